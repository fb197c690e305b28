import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ARENA_LOCK, MAP_WHAT, PAGE_BYTES, VMAP_ARENA } from "../../../../src/backend/memory/layout.ts";
import { Uma } from "../../../../src/uma/uma.ts";
import type { AreaLeftover } from "../../../../src/uma/vmalloc/areas.ts";
import { createIoMaps } from "../../../../src/uma/vmalloc/io.ts";
import { type Vmalloc, openVmalloc } from "../../../../src/uma/vmalloc/vmalloc.ts";
import { codeOf } from "../../../fixtures/codes.ts";
import { randomFrom, seedFor } from "../../../fixtures/seeds.ts";

const MiB = 2 ** 20;
let uma: Uma;
let vm: Vmalloc;
let warnings: string[];

beforeEach(() => {
  uma = Uma.create({ bytes: 4 * MiB, workers: 4, patience: 20 });
  warnings = [];
  vm = openVmalloc(uma, { warn: (message) => warnings.push(message) });
});

afterEach(() => {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

/** Takes the whole heap but runs of so many pages, each with one between it and the next. @returns what gives the rest back. */
function leave(runs: readonly number[]): () => void {
  const { heap } = uma.core;
  const taken: number[] = [];
  for (let p = heap.alloc(1, uma.name, 0); p > 0; p = heap.alloc(1, uma.name, 0)) taken.push(p);
  taken.sort((one, other) => one - other);
  const free = new Set<number>();
  // Pages of the heap's own may lie between two of them: whole stretches only.
  const isWhole = (n: number, run: number): boolean => taken[n + run] === (taken[n] as number) + run * PAGE_BYTES;
  let n = 1;
  for (const run of runs) {
    while (!isWhole(n, run)) n++;
    for (let k = 0; k < run; k++) free.add(taken[n + k] as number);
    n += run + 1;
  }
  for (const p of free) heap.free(p, 0);
  return () => {
    for (const p of taken) if (!free.has(p)) heap.free(p, 0);
  };
}

/** Leaves single pages only. */
function scatter(pages: number): () => void {
  return leave(new Array<number>(pages).fill(1));
}

function lengths(p: number, size: number): number[] {
  return Array.from(vm.pieces(p, size), ({ bytes }) => bytes / PAGE_BYTES);
}

describe("vmalloc", () => {
  test("maps whole pages at addresses behind every byte address, with a guard page between two areas", () => {
    const one = vm.alloc(10_000);
    const other = vm.alloc(PAGE_BYTES + 1);
    expect(one).toBeGreaterThanOrEqual(2 ** 31);
    expect(one % PAGE_BYTES).toBe(0);
    expect(vm.sizeOf(one)).toBe(3 * PAGE_BYTES);
    expect(vm.sizeOf(other)).toBe(2 * PAGE_BYTES);
    expect(Math.abs(other - one)).toBeGreaterThanOrEqual(Math.min(vm.sizeOf(one), vm.sizeOf(other)) + PAGE_BYTES);
    expect(codeOf(() => vm.getU8(one - 1))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => vm.getU8(one + 3 * PAGE_BYTES))).toBe("ERR_UMA_ADDRESS");
    vm.free(one);
    vm.free(other);
    expect(vm.stats()).toMatchObject({ areas: 0, bytes: 0, used: 0 });
  });

  test("makes one stretch of pages that lie apart, and reads back what was written, of every type, across pages too", () => {
    // A few more: the heap wants pages for its own tags.
    vm.free(vm.alloc(100));
    const gather = scatter(70);
    const p = vm.alloc(64 * PAGE_BYTES);
    const pieces = [...vm.pieces(p, 64 * PAGE_BYTES)];
    expect(pieces.length).toBe(64);
    expect(new Set(pieces.map((piece) => piece.address)).size).toBe(64);
    const bytes = Uint8Array.from({ length: 64 * PAGE_BYTES }, (_, n) => n * 31 + (n >> 8));
    vm.copyIn(p, bytes);
    const out = new Uint8Array(bytes.length);
    vm.copyOut(p, out);
    expect(Buffer.compare(out, bytes)).toBe(0);
    for (const at of [p + 8, p + PAGE_BYTES - 8, p + PAGE_BYTES - 3, p + 5 * PAGE_BYTES - 1, p + 7]) {
      vm.setF64(at, Math.PI);
      expect(vm.getF64(at)).toBe(Math.PI);
      vm.setU64(at, 0x0123456789abcdefn);
      expect(vm.getU64(at)).toBe(0x0123456789abcdefn);
      expect(vm.getU32(at)).toBe(0x89abcdef);
      expect(vm.getU8(at + 7)).toBe(1);
      vm.setI64(at, -5n);
      expect(vm.getI64(at)).toBe(-5n);
      vm.setI32(at, -6);
      expect(vm.getI32(at)).toBe(-6);
      vm.setU32(at, 0xfffffffe);
      expect(vm.getU32(at)).toBe(0xfffffffe);
      vm.setF32(at, 1.5);
      expect(vm.getF32(at)).toBe(1.5);
      vm.setI16(at, -7);
      expect(vm.getI16(at)).toBe(-7);
      vm.setU16(at, 65_535);
      expect(vm.getU16(at)).toBe(65_535);
      vm.setI8(at, -8);
      expect(vm.getI8(at)).toBe(-8);
      vm.setU8(at, 200);
      expect(vm.getU8(at)).toBe(200);
    }
    vm.free(p);
    gather();
    uma.verify();
  });

  test("takes pages in the longest runs that there are, and single ones when there are no others", () => {
    vm.free(vm.alloc(100));
    const gather = leave([1, 9, 1, 5, 20, 2, 1, 1, 1, 1]);
    const p = vm.alloc(38 * PAGE_BYTES);
    expect(lengths(p, 38 * PAGE_BYTES).sort((one, other) => other - one)).toEqual([20, 9, 5, 2, 1, 1]);
    vm.fill(p, 3, 38 * PAGE_BYTES);
    expect(uma.verify().problems).toEqual([]);
    vm.free(p);
    gather();
    const whole = vm.alloc(300 * PAGE_BYTES);
    expect(lengths(whole, 300 * PAGE_BYTES).length).toBeLessThan(10);
    vm.free(whole);
  });

  test("copies between mapped ranges and the memory itself, by pages that lie apart", () => {
    const plain = uma.core.heap.alloc(8, uma.name, 0);
    const here = uma.views.u8.subarray(plain + 50, plain + 50 + 7 * PAGE_BYTES);
    vm.free(vm.alloc(100));
    const gather = scatter(12);
    const p = vm.alloc(8 * PAGE_BYTES);
    here.forEach((_, n) => (here[n] = n * 7 + (n >> 9)));
    const bytes = here.slice();
    vm.copyIn(p + 123, here);
    here.fill(0);
    vm.copyOut(p + 123, here);
    expect(Buffer.compare(here, bytes)).toBe(0);
    const out = new Uint8Array(bytes.length);
    vm.copyOut(p + 123, out);
    expect(Buffer.compare(out, bytes)).toBe(0);
    vm.free(p);
    gather();
    uma.core.heap.free(plain, 0);
  });

  test("verify() finds a page of a run that is missing, or another one in its place", () => {
    const p = vm.alloc(5 * PAGE_BYTES);
    const { i32 } = uma.core.floor.cells;
    const word = uma.core.areas.table.entryOf(p + 3 * PAGE_BYTES) + MAP_WHAT;
    const page = i32[word] as number;
    i32[word] = 0;
    expect(uma.verify().problems.join()).toContain(`no page is mapped at ${p + 3 * PAGE_BYTES}`);
    i32[word] = page + 4 * PAGE_BYTES;
    expect(uma.verify().problems.join()).toContain("does not follow in a run of pages");
    i32[word] = page;
    vm.free(p);
  });

  test("gives neighbouring pages as one piece, and pieces from within a page to within another", () => {
    const p = vm.alloc(10 * PAGE_BYTES);
    const pieces = [...vm.pieces(p + 100, 2 * PAGE_BYTES)];
    expect(pieces.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(2 * PAGE_BYTES);
    expect(pieces[0]?.address).toBe(vm.at(p + 100));
    expect(pieces.length).toBeLessThanOrEqual(3);
    for (const { address, bytes } of pieces) uma.views.u8.fill(9, address, address + bytes);
    expect(vm.getU8(p + 100)).toBe(9);
    expect(vm.getU8(p + 100 + 2 * PAGE_BYTES - 1)).toBe(9);
    expect([...vm.pieces(p, 0)]).toEqual([]);
    vm.free(p);
  });

  test("zeroes on demand what somebody has used before", () => {
    const used = vm.alloc(5 * PAGE_BYTES);
    vm.fill(used, 0xff, 5 * PAGE_BYTES);
    vm.free(used);
    const p = vm.alloc(5 * PAGE_BYTES, { zero: true });
    const out = new Uint8Array(5 * PAGE_BYTES).fill(1);
    vm.copyOut(p, out);
    expect(out.every((byte) => byte === 0)).toBe(true);
    vm.free(p);
  });

  test("answers 0 when there are no pages, gives back what it had taken by then, and goes on once there are some", () => {
    const free = uma.stats().heapFree;
    const p = vm.alloc(free / 2);
    expect(p).not.toBe(0);
    const inUse = uma.stats().heapInUse;
    expect(vm.alloc(free / 2 + 64 * PAGE_BYTES)).toBe(0);
    expect(uma.lastFailure).toBe("EMPTY");
    // Tables of the page table and pages of the heap's own tags may have come, and stay.
    expect(uma.stats().heapInUse - inUse).toBeLessThanOrEqual(16 * PAGE_BYTES);
    expect(uma.verify().problems).toEqual([]);
    vm.free(p);
    const again = vm.alloc(free / 2);
    expect(again).not.toBe(0);
    vm.free(again);
  });

  test("answers 0 when there are no addresses, however many pages there are", () => {
    const other = Uma.create({ bytes: 8 * MiB, workers: 2 });
    const small = openVmalloc(other, { bytes: 2 * MiB, warnBytes: 0 });
    expect(small.alloc(2 * MiB)).toBe(0);
    expect(other.lastFailure).toBe("EMPTY");
    const p = small.alloc(MiB);
    expect(p).not.toBe(0);
    expect(small.alloc(MiB)).toBe(0);
    small.free(p);
    expect(small.alloc(MiB)).not.toBe(0);
    expect(other.verify().problems).toEqual([]);
    other.detach();
  });

  test.each([0, -1, 0.5, Number.NaN, 2 ** 40])("refuses a size of %d", (size) => {
    const before = uma.stats().heapInUse;
    expect(codeOf(() => vm.alloc(size))).toBe("ERR_UMA_OPTION");
    expect(uma.stats().heapInUse).toBe(before);
  });

  test("refuses to free half a range, its middle, twice, what was never mapped, and changes nothing", () => {
    const p = vm.alloc(4 * PAGE_BYTES);
    vm.setU32(p + 2 * PAGE_BYTES, 42);
    const before = uma.stats().heapInUse;
    for (const wrong of [p + 2 * PAGE_BYTES, p + 1, p - PAGE_BYTES, p + 8 * PAGE_BYTES, 4096, -1, Number.NaN, vm.end, vm.start]) {
      expect(
        codeOf(() => vm.free(wrong)),
        String(wrong),
      ).toBe("ERR_UMA_ADDRESS");
    }
    expect(() => vm.free(p + 2 * PAGE_BYTES)).toThrow(`it lies ${2 * PAGE_BYTES} bytes inside the area at ${p}`);
    expect(uma.stats().heapInUse).toBe(before);
    expect(vm.getU32(p + 2 * PAGE_BYTES)).toBe(42);
    vm.free(p);
    expect(codeOf(() => vm.free(p))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => vm.getU8(p))).toBe("ERR_UMA_ADDRESS");
    vm.free(0);
  });

  test("copies nothing at all when a part of the range is not mapped", () => {
    const p = vm.alloc(2 * PAGE_BYTES);
    expect(codeOf(() => vm.copyIn(p + PAGE_BYTES, new Uint8Array(PAGE_BYTES + 1).fill(7)))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => vm.fill(p, 7, 3 * PAGE_BYTES))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => vm.setU32(p + 2 * PAGE_BYTES - 2, -1))).toBe("ERR_UMA_ADDRESS");
    vm.setU8(p + PAGE_BYTES, 3);
    expect(vm.getU8(p + PAGE_BYTES)).toBe(3);
    expect(codeOf(() => vm.copyOut(p, new Uint8Array(2 * PAGE_BYTES + 1)))).toBe("ERR_UMA_ADDRESS");
    vm.free(p);
  });

  test("lists its areas while others come and go, and holds no lock", () => {
    const areas = [3, 1, 5].map((pages) => vm.alloc(pages * PAGE_BYTES));
    const lines = vm.info();
    const first = lines.next().value;
    expect(first).toMatchObject({ address: Math.min(...areas), kind: "vmalloc", owner: uma.slot });
    vm.free(areas[2] as number);
    const rest = [...lines];
    expect(rest.map((line) => line.address)).toContain(areas[1]);
    expect(rest.map((line) => line.address)).not.toContain(areas[2]);
    for (const p of [areas[0] as number, areas[1] as number]) vm.free(p);
  });

  test("says who mapped an area, by function, file and line, where that is asked for, in every thread", () => {
    const noting = openVmalloc(uma, { warnBytes: 0, callers: true });
    function openDevice(): number {
      return noting.alloc(2 * PAGE_BYTES, { nowait: true });
    }
    const p = openDevice();
    const silent = vm.alloc(2 * PAGE_BYTES);
    const io = createIoMaps(uma, noting, { callers: true });
    const buffer = new SharedArrayBuffer(PAGE_BYTES);
    const q = io.map(buffer, 0, PAGE_BYTES);
    io.write32(q + PAGE_BYTES - 4, 7);
    expect(codeOf(() => io.read8(q + PAGE_BYTES))).toBe("ERR_UMA_ADDRESS");
    const lines = new Map(Array.from(vm.info(), (line) => [line.address, line]));
    expect(lines.get(p)?.caller).toMatch(/^openDevice vmalloc\.test\.ts:\d+$/);
    expect(lines.get(silent)?.caller).toBe("");
    expect(lines.get(q)).toMatchObject({ kind: "ioremap", pages: 1, caller: expect.stringMatching(/vmalloc\.test\.ts:\d+$/) as string });
    expect(uma.verify().problems).toEqual([]);
    vm.free(p);
    vm.free(silent);
    io.unmap(q);
    const again = vm.alloc(2 * PAGE_BYTES);
    expect([...vm.info()].map(({ caller }) => caller)).toEqual([""]);
    vm.free(again);
  });

  test("its arena's name is nobody else's, before it is opened and after", () => {
    const other = Uma.create({ bytes: 4 * MiB, workers: 2 });
    const theirs = { quantum: 16, span: { start: 0, size: 1600 } };
    expect(codeOf(() => other.arenas.create("vmalloc", theirs))).toBe("ERR_UMA_OPTION");
    expect(other.arenas.list()).toEqual([]);
    const mapped = openVmalloc(other, { warnBytes: 0 });
    expect(codeOf(() => other.arenas.create("vmalloc", theirs))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => other.arenas.create("vmalloc", { quantum: PAGE_BYTES }))).toBe("ERR_UMA_OPTION");
    mapped.free(mapped.alloc(2 * PAGE_BYTES));
    expect(other.arenas.open("vmalloc").size("alloc")).toBe(0);
    expect(other.verify().problems).toEqual([]);
    other.detach();
  });

  test("waits for no lock with nowait, and finishes a free that met one later", () => {
    const p = vm.alloc(2 * PAGE_BYTES);
    const { i32 } = uma.core.floor.cells;
    const lock = (i32[uma.core.areas.table.record() + VMAP_ARENA] as number) + ARENA_LOCK;
    const stranger = uma.ticket();
    i32[lock] = stranger.name;
    expect(vm.alloc(2 * PAGE_BYTES, { nowait: true })).toBe(0);
    expect(uma.lastFailure).toBe("BUSY");
    vm.free(p);
    expect(codeOf(() => vm.free(p))).toBe("ERR_UMA_DOUBLE_FREE");
    i32[lock] = 0;
    const q = vm.alloc(2 * PAGE_BYTES, { nowait: true });
    expect(vm.stats().areas).toBe(1);
    vm.free(q);
    uma.reap(stranger);
    expect(vm.stats()).toMatchObject({ areas: 0, bytes: 0 });
  });

  test("warns once of a large area and of one of one page, and says what would do", () => {
    for (let n = 0; n < 2; n++) {
      vm.free(vm.alloc(MiB));
      vm.free(vm.alloc(100));
      vm.free(vm.alloc(MiB / 2));
    }
    expect(warnings).toEqual([
      expect.stringContaining("single pages, worked through one by one, would do"),
      expect.stringContaining("one page needs no mapping"),
    ]);
  });

  test("keeps what a worker leaves, for others to free", () => {
    const p = vm.alloc(3 * PAGE_BYTES);
    const left: AreaLeftover[] = [];
    expect(uma.core.areas.recover(uma.name, left)).toBe(true);
    expect(left).toEqual([{ address: p, bytes: 3 * PAGE_BYTES, kind: "vmalloc" }]);
    expect([...vm.info()][0]?.owner).toBe(127);
    expect(uma.verify().problems).toEqual([]);
    vm.free(p);
  });

  test("keeps its books through a random history", () => {
    const random = randomFrom(seedFor("vmalloc history"));
    const held: { p: number; pages: number; value: number }[] = [];
    for (let step = 0; step < 1500; step++) {
      if (held.length < 40 && random.below(100) < 55) {
        const pages = 1 + random.below(20);
        const p = vm.alloc(pages * PAGE_BYTES - random.below(100));
        if (p === 0) continue;
        vm.fill(p, step & 255, pages * PAGE_BYTES);
        held.push({ p, pages, value: step & 255 });
      } else if (held.length > 0) {
        const [one] = held.splice(random.below(held.length), 1);
        if (one === undefined) continue;
        for (const at of [0, one.pages * PAGE_BYTES - 1]) expect(vm.getU8(one.p + at)).toBe(one.value);
        vm.free(one.p);
      }
    }
    expect(vm.stats().areas).toBe(held.length);
    expect(uma.verify().problems).toEqual([]);
    for (const { p } of held) vm.free(p);
  });
});
