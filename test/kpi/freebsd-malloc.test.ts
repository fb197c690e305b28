/** malloc(9) and contigmalloc(9) under their own names. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Uma } from "../../src/index.ts";
import {
  type FreebsdMalloc,
  MALLOC_DEFINE,
  M_NOWAIT,
  M_USE_RESERVE,
  M_WAITOK,
  M_ZERO,
  createFreebsdMalloc,
} from "../../src/kpi/freebsd-malloc.ts";
import { codeOf } from "../fixtures/codes.ts";

const MiB = 2 ** 20;
const M_TEMP = MALLOC_DEFINE("temp", "temporary buffers");
const M_CDEV = MALLOC_DEFINE("cdev", "device nodes");
let uma: Uma;
let k: FreebsdMalloc;

beforeEach(() => {
  uma = Uma.create({ bytes: 8 * MiB, workers: 4, patience: 20 });
  k = createFreebsdMalloc(uma);
});

afterEach(() => {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

describe("malloc(9)", () => {
  test("keeps books by type, which vmstat -m shows", () => {
    const one = k.malloc(100, M_TEMP, M_WAITOK);
    const other = k.malloc(20_000, M_TEMP, M_NOWAIT | M_ZERO);
    const node = k.mallocarray(10, 8, M_CDEV, M_WAITOK);
    expect(k.vmstat_m()).toEqual([
      { name: "cdev", description: "device nodes", inUse: 1, memUse: 80, requests: 1, fail: 0, sizes: [128] },
      { name: "temp", description: "temporary buffers", inUse: 2, memUse: 112 + 20_480, requests: 2, fail: 0, sizes: [128, 32_768] },
    ]);
    expect([...k.vmstat_m_table()][2]).toMatch(/^ +temp +2 +21K +2 {2}128,32768$/);
    k.free(one, M_TEMP);
    k.zfree(other, M_TEMP);
    k.free(0, M_TEMP);
    expect(k.vmstat_m()[1]).toMatchObject({ inUse: 0, memUse: 0, requests: 2 });
    k.free(node, M_CDEV);
  });

  test("has the books of all threads in one place: a type that another thread has made is found by its name", () => {
    const other = createFreebsdMalloc(uma);
    const p = k.malloc(64, M_TEMP, M_WAITOK);
    const q = other.malloc(64, MALLOC_DEFINE("temp"), M_WAITOK);
    expect(other.vmstat_m()).toHaveLength(1);
    expect(other.vmstat_m()[0]).toMatchObject({ inUse: 2, description: "temporary buffers" });
    k.free(q, M_TEMP);
    other.free(p, M_TEMP);
  });

  test("wants exactly one of M_WAITOK and M_NOWAIT, and a type", () => {
    expect(codeOf(() => k.malloc(10, M_TEMP, 0))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.malloc(10, M_TEMP, M_WAITOK | M_NOWAIT))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.malloc(10, M_TEMP, M_WAITOK | M_USE_RESERVE))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.malloc(10, undefined as never, M_WAITOK))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.malloc(Number.NaN, M_TEMP, M_WAITOK))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => MALLOC_DEFINE(""))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => MALLOC_DEFINE("x".repeat(49)))).toBe("ERR_UMA_OPTION");
  });

  test("M_USE_RESERVE gets what was set aside when there is nothing else, and counts its failures", () => {
    k.malloc_reserve(1000, 5);
    const taken: number[] = [];
    for (const size of [1000, 100_000, 8000, 1000, 64]) {
      for (let p = k.malloc(size, M_TEMP, M_NOWAIT); p !== 0; p = k.malloc(size, M_TEMP, M_NOWAIT)) taken.push(p);
    }
    expect(k.malloc(1000, M_TEMP, M_NOWAIT)).toBe(0);
    const last = Array.from({ length: 5 }, () => k.malloc(1000, M_TEMP, M_NOWAIT | M_USE_RESERVE));
    expect(last).not.toContain(0);
    expect(k.malloc(1000, M_TEMP, M_NOWAIT | M_USE_RESERVE)).toBe(0);
    expect(k.vmstat_m()[0]?.fail).toBeGreaterThan(5);
    expect(uma.verify().problems).toEqual([]);
    for (const p of [...taken, ...last]) k.free(p, M_TEMP);
    expect(k.vmstat_m()[0]).toMatchObject({ inUse: 0, memUse: 0 });
  });

  test("realloc moves the books along; reallocf frees what could not grow", () => {
    const p = k.malloc(100, M_TEMP, M_WAITOK);
    uma.views.u8.fill(9, p, p + 100);
    const q = k.realloc(p, 10_000, M_TEMP, M_WAITOK | M_ZERO);
    expect(uma.views.u8[q + 99]).toBe(9);
    expect(uma.views.u8[q + 9999]).toBe(0);
    expect(k.vmstat_m()[0]).toMatchObject({ inUse: 1, memUse: 12_288 });
    const wall = k.malloc(4 * MiB, M_CDEV, M_WAITOK);
    expect(k.realloc(q, 5 * MiB, M_TEMP, M_NOWAIT)).toBe(0);
    expect(k.malloc_usable_size(q)).toBe(12_288);
    expect(k.reallocf(q, 5 * MiB, M_TEMP, M_NOWAIT)).toBe(0);
    expect(k.vmstat_m()[1]).toMatchObject({ inUse: 0, memUse: 0, fail: 2 });
    k.free(wall, M_CDEV);
    expect(k.realloc(0, 10, M_TEMP, M_NOWAIT)).not.toBe(0);
    expect(k.malloc_usable_size(0)).toBe(0);
  });

  test("contigmalloc heeds alignment, boundary and bounds, and contigfree its size", () => {
    const p = k.contigmalloc(10_000, M_TEMP, M_NOWAIT | M_ZERO, 0, 2 ** 40, 65_536, 0);
    expect(p % 65_536).toBe(0);
    const q = k.contigmalloc(16_384, M_TEMP, M_WAITOK, 4 * MiB, 5 * MiB, 0, 16_384);
    expect(q).toBeGreaterThanOrEqual(4 * MiB);
    expect(q + 16_384).toBeLessThanOrEqual(5 * MiB);
    expect(Math.floor(q / 16_384)).toBe(Math.floor((q + 16_383) / 16_384));
    expect(k.contigmalloc(2 * MiB, M_TEMP, M_NOWAIT, 0, 2 * MiB, 0, 0)).toBe(0);
    expect(codeOf(() => k.contigmalloc(4096, M_TEMP, M_NOWAIT, 0, MiB, 3000, 0))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.contigmalloc(8192, M_TEMP, M_NOWAIT, 0, MiB, 0, 4096))).toBe("ERR_VMEM_CONSTRAINT");
    expect(codeOf(() => k.contigfree(p, 4096, M_TEMP))).toBe("ERR_VMEM_SIZE");
    expect(codeOf(() => k.contigfree(p + 4096, 4096, M_TEMP))).toBe("ERR_UMA_ADDRESS");
    k.contigfree(p, 10_000, M_TEMP);
    k.contigfree(q, 16_384, M_TEMP);
    expect(codeOf(() => k.contigfree(q, 16_384, M_TEMP))).toBe("ERR_UMA_ADDRESS");
  });
});
