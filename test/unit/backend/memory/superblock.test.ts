import { describe, expect, test } from "vitest";
import { createCells } from "../../../../src/backend/memory/cells.ts";
import {
  LAYOUT_VERSION,
  MAX_WORKERS,
  PAGE_BYTES,
  SB_BOOT_END,
  SB_BOOT_NEXT,
  SB_BYTES,
  SB_BYTE_ORDER,
  SB_FEATURES,
  SB_MAGIC,
  SB_READY,
  SB_VERSION,
  SLOT_WORDS,
} from "../../../../src/backend/memory/layout.ts";
import { checkWorkers, defaultWorkers, layOut, readGeometry } from "../../../../src/backend/memory/superblock.ts";
import { codeOf, errorOf } from "../../../fixtures/codes.ts";
import { layGround } from "../../../fixtures/floors.ts";

describe("laying out", () => {
  test.each([
    { bytes: 131_072, base: 0, workers: 8 },
    { bytes: 1 << 20, base: 0, workers: 126 },
    { bytes: 131_072 + 65_536, base: 65_536, workers: 1 },
    { bytes: (1 << 20) + 4095, base: 0, workers: 8 },
  ])("$bytes bytes, base $base, $workers workers: the regions follow each other without overlap and end inside", (options) => {
    const { geometry: g, cells } = layGround(options);
    const firstPage = g.base / PAGE_BYTES;
    const pages = (g.heapEnd - g.base) / PAGE_BYTES;
    const order = [
      g.base,
      g.zoneDirectory * 4,
      g.slots * 4,
      (g.slots + (g.workers + 1) * SLOT_WORDS) * 4,
      (g.pageTable + firstPage * 4) * 4,
      (g.pageTable + (firstPage + pages) * 4) * 4,
      cells.i32[cells.base + SB_BOOT_NEXT] as number,
      cells.i32[cells.base + SB_BOOT_END] as number,
      g.heapEnd,
      options.bytes,
    ];
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(cells.i32[cells.base + SB_BOOT_END]).toBe(g.heapStart);
    expect([g.heapStart % PAGE_BYTES, g.heapEnd % PAGE_BYTES]).toEqual([0, 0]);
    expect(readGeometry(cells)).toEqual(g);
  });

  test("two memories never have the same identity", () => {
    const ids = new Set(Array.from({ length: 100 }, () => layGround({ bytes: 131_072 }).geometry).map((g) => `${g.idLow}:${g.idHigh}`));
    expect(ids.size).toBe(100);
  });

  test("more workers or boot pages than leave a heap are refused before anything is written", () => {
    const cells = createCells(new SharedArrayBuffer(131_072), 0, true);
    expect(errorOf(() => layOut(cells, MAX_WORKERS, 4)).value).toBe(MAX_WORKERS);
    expect(codeOf(() => layOut(cells, 1, 100))).toBe("ERR_UMA_OPTION");
    expect(cells.i32.every((word) => word === 0)).toBe(true);
  });

  test("two GiB are laid out with addresses up to 2³¹", () => {
    const { geometry, cells } = layGround({ bytes: 2 ** 31, workers: 126 });
    expect(geometry.heapEnd).toBe(2 ** 31);
    expect(readGeometry(cells)).toEqual(geometry);
  });

  test("the default for workers grows with the memory, and is an allowed one", () => {
    for (const bytes of [131_072, 1 << 20, 16 << 20, 2 ** 31]) expect(() => checkWorkers(defaultWorkers(bytes))).not.toThrow();
    expect(defaultWorkers(131_072)).toBeLessThan(defaultWorkers(1 << 20));
    expect(defaultWorkers(16 << 20)).toBe(MAX_WORKERS);
  });

  test.each([0, -1, 127, 1.5, Number.NaN, "8", null, undefined])("%o workers are refused", (workers) => {
    expect(codeOf(() => checkWorkers(workers))).toBe("ERR_UMA_OPTION");
  });
});

describe("a superblock that somebody else wrote", () => {
  const damaged = (word: number, value: number): (() => unknown) => {
    const { cells } = layGround({ bytes: 131_072 });
    cells.i32[cells.base + word] = value;
    return () => readGeometry(cells);
  };

  test.each([
    ["has no magic number", SB_MAGIC, 0, "ERR_UMA_NOT_A_MEMORY"],
    ["was written in the other byte order", SB_BYTE_ORDER, 0x01020304, "ERR_UMA_BYTE_ORDER"],
    ["is of a later layout version", SB_VERSION, LAYOUT_VERSION + 1, "ERR_UMA_VERSION"],
    ["has a feature bit that is not known here", SB_FEATURES, 0x80, "ERR_UMA_VERSION"],
    ["is not finished yet", SB_READY, 0, "ERR_UMA_NOT_A_MEMORY"],
    ["was made in a buffer of another length", SB_BYTES, 1 << 20, "ERR_UMA_NOT_A_MEMORY"],
  ])("is refused when it %s", (_why, word, value, code) => {
    expect(codeOf(damaged(word, value))).toBe(code);
  });

  test("is not looked for beyond the end of the buffer", () => {
    expect(codeOf(() => readGeometry(createCells(new SharedArrayBuffer(131_072), 131_072, true)))).toBe("ERR_UMA_NOT_A_MEMORY");
  });

  test("an empty buffer is no memory", () => {
    expect(codeOf(() => readGeometry(createCells(new SharedArrayBuffer(131_072), 0, true)))).toBe("ERR_UMA_NOT_A_MEMORY");
  });
});

describe("the views of a memory", () => {
  test.each([131_073, 131_074, 131_076, 131_079])("reach as far as whole words do in a buffer of %d bytes", (bytes) => {
    const cells = createCells(new SharedArrayBuffer(bytes), 0, true);
    expect([cells.i32.length, cells.u8.length, cells.f64.length]).toEqual([bytes >>> 2, bytes, bytes >>> 3]);
  });
});
