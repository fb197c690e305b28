import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PAGE_BYTES, SB_ZONE_SERIAL } from "../../../../src/backend/memory/layout.ts";
import { defineZone, type ZoneDefinition } from "../../../../src/uma/definition.ts";
import { CLASS_SIZES, classZones } from "../../../../src/uma/malloc/classes.ts";
import { type Malloc, createMalloc } from "../../../../src/uma/malloc/malloc.ts";
import { Uma } from "../../../../src/uma/uma.ts";
import { codeOf } from "../../../fixtures/codes.ts";
import { startWorker } from "../../../fixtures/workers.ts";

const MiB = 2 ** 20;
let uma: Uma;
let heap: Malloc;

beforeEach(() => {
  uma = Uma.create({ bytes: 8 * MiB, workers: 4 });
  heap = createMalloc(uma);
});

afterEach(() => {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

/** The code that `act` throws; fails when it throws nothing, or anything else. */
function fill(p: number, bytes: number, value: number): void {
  uma.views.u8.fill(value, p, p + bytes);
}

function holds(p: number, bytes: number, value: number): boolean {
  return uma.views.u8.subarray(p, p + bytes).every((byte) => byte === value);
}

describe("malloc", () => {
  test("gives disjoint 16-byte-aligned ranges of at least the size asked for", () => {
    const ranges: [number, number][] = [];
    for (const size of [0, 1, 15, 16, 17, 100, 511, 513, 1000, 4096, 4097, 8192, 8193, 20_000, 100_000]) {
      for (let n = 0; n < 3; n++) {
        const p = heap.malloc(size);
        expect(p % 16).toBe(0);
        expect(heap.usableSize(p)).toBeGreaterThanOrEqual(Math.max(size, 1));
        ranges.push([p, p + heap.usableSize(p)]);
      }
    }
    ranges.sort((one, other) => one[0] - other[0]);
    for (let n = 1; n < ranges.length; n++) expect(ranges[n]?.[0]).toBeGreaterThanOrEqual(ranges[n - 1]?.[1] as number);
    expect(heap.stats().used).toBe(ranges.length);
    for (const [p] of ranges) heap.free(p);
    expect(heap.stats().used).toBe(0);
    expect(heap.stats().usedBytes).toBe(0);
  });

  test("gives two allocations of 0 bytes two addresses", () => {
    const one = heap.malloc(0);
    const other = heap.malloc(0);
    expect(one).not.toBe(0);
    expect(other).not.toBe(one);
    heap.free(one);
    heap.free(other);
    expect(heap.stats().used).toBe(0);
  });

  test("answers 0 when there is no memory, and goes on once some is freed", () => {
    const taken: number[] = [];
    for (let p = heap.malloc(100_000); p !== 0; p = heap.malloc(100_000)) taken.push(p);
    expect(uma.lastFailure).toBe("EMPTY");
    expect(taken.length).toBeGreaterThan(50);
    for (let p = heap.malloc(5000); p !== 0; p = heap.malloc(5000)) taken.push(p);
    expect(uma.lastFailure).toBe("EMPTY");
    expect(uma.verify().problems).toEqual([]);
    for (const p of taken) heap.free(p);
    expect(heap.stats().used).toBe(0);
    const again = heap.malloc(100_000);
    expect(again).not.toBe(0);
    heap.free(again);
  });

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 40, 8 * MiB])("refuses a size of %d", (size) => {
    const before = uma.stats().heapInUse;
    expect(codeOf(() => heap.malloc(size))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => heap.realloc(0, size))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => heap.calloc(1, size))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => heap.alignedAlloc(16, size))).toBe("ERR_UMA_OPTION");
    expect(uma.stats().heapInUse).toBe(before);
  });

  test("gives back no more of one class than others take, so that what a class has freed is there when it is needed again", () => {
    const taken = Array.from({ length: (4 * MiB) / 64 }, () => heap.malloc(64));
    for (const p of taken) heap.free(p);
    const { heapInUse } = uma.stats();
    const other = Array.from({ length: MiB / 320 }, () => heap.malloc(320));
    const ofClass = (size: number): number => heap.stats().classes.find((one) => one.size === size)?.bytes ?? 0;
    expect(ofClass(64)).toBeGreaterThan(2 * MiB);
    expect(ofClass(64)).toBeLessThan(3.5 * MiB);
    expect(uma.stats().heapInUse).toBeLessThan(heapInUse + 64 * PAGE_BYTES);
    for (const p of other) heap.free(p);
  });

  test("gives slabs of one class back when another needs the pages", () => {
    const rounds = [48, 1152, 320].map((size) => {
      const taken: number[] = [];
      for (let n = 0; n < 5 * MiB; n += size) taken.push(heap.malloc(size));
      expect(taken).not.toContain(0);
      for (const p of taken) heap.free(p);
      return uma.stats().heapPeak;
    });
    expect(rounds.at(-1)).toBeLessThan(7 * MiB);
    expect(heap.trim()).toBe(true);
    expect(uma.stats().heapInUse).toBeLessThan(MiB);
  });
});

describe("calloc", () => {
  test("zeroes what was used before, in classes and in blocks", () => {
    for (const size of [64, 5000, 30_000]) {
      const used = heap.malloc(size);
      fill(used, size, 0xff);
      heap.free(used);
      const p = heap.calloc(size / 4, 4);
      expect(holds(p, size, 0)).toBe(true);
      heap.free(p);
    }
  });

  test("refuses a product that overflows", () => {
    expect(codeOf(() => heap.calloc(2 ** 20, 2 ** 20))).toBe("ERR_UMA_OPTION");
    expect(heap.stats().used).toBe(0);
  });
});

describe("realloc", () => {
  test.each([
    [10, 100],
    [100, 8000],
    [8000, 9000],
    [9000, 200_000],
    [200_000, 9000],
    [9000, 100],
    [4000, 10],
    [0, 0],
  ])("from %d to %d bytes keeps the contents and leaks nothing", (from, to) => {
    const p = heap.malloc(from);
    fill(p, from, 7);
    const q = heap.realloc(p, to);
    expect(holds(q, Math.min(from, to), 7)).toBe(true);
    expect(heap.usableSize(q)).toBeGreaterThanOrEqual(to);
    expect(heap.stats().used).toBe(1);
    heap.free(q);
    expect(heap.stats().used).toBe(0);
  });

  test("stays where it is within a class, and when it shrinks a little", () => {
    const p = heap.malloc(1100);
    expect(heap.realloc(p, 1150)).toBe(p);
    expect(heap.realloc(p, 700)).toBe(p);
    heap.free(p);
  });

  test("lengthens a block into the free pages behind it, and shortens it in place", () => {
    const p = heap.malloc(20_000);
    expect(heap.realloc(p, 60_000)).toBe(p);
    expect(heap.usableSize(p)).toBe(15 * PAGE_BYTES);
    expect(uma.verify().problems).toEqual([]);
    expect(heap.realloc(p, 10_000)).toBe(p);
    expect(heap.usableSize(p)).toBe(3 * PAGE_BYTES);
    expect(uma.verify().problems).toEqual([]);
    expect(heap.stats().blocks).toMatchObject({ blocks: 1, bytes: 3 * PAGE_BYTES });
    heap.free(p);
  });

  test("moves a block that has no room behind it", () => {
    const p = heap.malloc(20_000);
    fill(p, 20_000, 9);
    const wall = heap.malloc(20_000);
    const q = heap.realloc(p, 60_000);
    expect(q).not.toBe(p);
    expect(holds(q, 20_000, 9)).toBe(true);
    expect(heap.stats().blocks.blocks).toBe(2);
    heap.free(q);
    heap.free(wall);
  });

  test("takes exactly the pages up to the next block", () => {
    const [p, gap, wall] = [heap.malloc(20_000), heap.malloc(12_288), heap.malloc(20_000)];
    heap.free(gap);
    expect(gap).toBe(p + 20_480);
    expect(heap.realloc(p, 32_768)).toBe(p);
    expect(uma.verify().problems).toEqual([]);
    heap.free(p);
    heap.free(wall);
  });

  test("answers 0 and leaves the allocation alone when there is no memory", () => {
    const p = heap.malloc(100);
    fill(p, 100, 3);
    const { heapStart, heapEnd } = uma.core.floor.geometry;
    expect(heap.realloc(p, heapEnd - heapStart)).toBe(0);
    expect(holds(p, 100, 3)).toBe(true);
    expect(heap.usableSize(p)).toBe(112);
    heap.free(p);
  });

  test("of 0 is malloc", () => {
    const p = heap.realloc(0, 40);
    expect(heap.usableSize(p)).toBe(48);
    heap.free(p);
  });

  test("of a class whose zone is not open yet, and to one, is as any other", () => {
    const other = createMalloc(uma);
    const p = heap.malloc(200);
    fill(p, 200, 5);
    const q = other.realloc(p, 210);
    expect(holds(q, 200, 5)).toBe(true);
    const r = other.realloc(q, 700);
    expect(holds(r, 200, 5)).toBe(true);
    expect(heap.stats().used).toBe(1);
    other.free(r);
  });

  test("in the middle of an allocation, to a wrong size, or of a zone's item is refused, and changes nothing", () => {
    const zone = uma.open(defineZone("mine", { size: 64 }));
    const item = zone.alloc();
    const p = heap.malloc(100);
    expect(codeOf(() => heap.realloc(p + 16, 10))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => heap.realloc(p + 0.5, 10))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => heap.realloc(item, 10))).toBe("ERR_UMA_WRONG_ZONE");
    for (const size of [-1, 0.5, Number.NaN, 2 ** 40]) expect(codeOf(() => heap.realloc(p, size))).toBe("ERR_UMA_OPTION");
    expect(heap.usableSize(p)).toBe(112);
    expect(heap.stats().used).toBe(1);
    heap.free(p);
    zone.free(item);
  });

  test.each([100, 50_000])("of an allocation of %d bytes that was freed is refused", (size) => {
    const p = heap.malloc(size);
    heap.free(p);
    expect(["ERR_UMA_ADDRESS", "ERR_UMA_DOUBLE_FREE"]).toContain(codeOf(() => heap.realloc(p, size * 2)));
    expect(heap.stats().used).toBe(0);
  });
});

describe("realloc in a memory of 2 GiB", () => {
  test("takes the content of the very last item along", () => {
    using large = Uma.create({ bytes: 2 ** 31, workers: 2 });
    const end = 2 ** 31;
    const all = createMalloc(large);
    all.free(all.malloc(256));
    const rest = all.contiguous((large.core.heap.counts().free - 40) * PAGE_BYTES);
    const items: number[] = [];
    while (!items.includes(end - 256)) items.push(all.malloc(256));
    expect(items).not.toContain(0);
    const { u8 } = large.core.floor.cells;
    u8.fill(7, end - 256);
    all.free(rest);
    const moved = all.realloc(end - 256, 300);
    expect(u8.subarray(moved, moved + 256).every((byte) => byte === 7)).toBe(true);
  });
});

describe("free", () => {
  test("ignores 0", () => {
    heap.free(0);
    expect(heap.stats().used).toBe(0);
  });

  test.each([
    [100, "ERR_UMA_DOUBLE_FREE"],
    [50_000, "ERR_UMA_ADDRESS"],
  ])("twice of %d bytes is refused with %s", (size, code) => {
    const keep = heap.malloc(size);
    const p = heap.malloc(size);
    heap.free(p);
    expect(codeOf(() => heap.free(p))).toBe(code);
    expect(heap.stats().used).toBe(1);
    heap.free(keep);
  });

  test.each([
    [100, 16],
    [100, 1],
    [50_000, 16],
    [50_000, PAGE_BYTES],
  ])("in the middle of %d bytes, at %d, is refused", (size, offset) => {
    const p = heap.malloc(size);
    expect(codeOf(() => heap.free(p + offset))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => heap.usableSize(p + offset))).toBe("ERR_UMA_ADDRESS");
    expect(heap.stats().used).toBe(1);
    heap.free(p);
  });

  test.each([-16, 0.5, Number.NaN, 2 ** 40, 16, 4096, 8 * MiB - PAGE_BYTES])("of %d, never allocated, is refused", (p) => {
    expect(codeOf(() => heap.free(p))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => heap.usableSize(p))).toBe("ERR_UMA_ADDRESS");
  });

  test("of a zone's item is refused, and of the allocator's own pages", () => {
    const zone = uma.open(defineZone("mine", { size: 64 }));
    const item = zone.alloc();
    expect(codeOf(() => heap.free(item))).toBe("ERR_UMA_WRONG_ZONE");
    const { heapStart, heapEnd } = uma.core.floor.geometry;
    for (let p = heapStart; p < heapEnd; p += PAGE_BYTES) expect(codeOf(() => heap.free(p))).not.toBe("no error");
    zone.free(item);
  });

  test("works through another malloc object of the same memory", () => {
    const small = heap.malloc(700);
    const large = heap.malloc(70_000);
    const other = createMalloc(uma);
    other.free(small);
    other.free(large);
    expect(heap.stats().used).toBe(0);
  });
});

test("a class whose zone was closed behind malloc's back is opened anew by a free", () => {
  const index = CLASS_SIZES.indexOf(64);
  const kept = Array.from({ length: 10 }, () => heap.malloc(64));
  heap.free(kept.pop() as number);
  uma.open(classZones("keep")[index] as ZoneDefinition).close();
  expect(codeOf(() => heap.malloc(64))).toBe("ERR_UMA_ZONE_CLOSED");
  for (const p of kept) heap.free(p);
  expect(heap.stats().used).toBe(0);
  heap.free(heap.malloc(64));
});

test("a class whose zone was destroyed behind malloc's back takes nothing of the zone that comes after it", () => {
  heap.free(heap.malloc(64));
  const gone = uma.open(classZones("keep")[CLASS_SIZES.indexOf(64)] as ZoneDefinition);
  const { id } = gone;
  gone.destroy();
  const next = uma.open(defineZone("next", { size: 64 }));
  expect(next.id).toBe(id);
  const item = next.alloc();
  expect(codeOf(() => heap.malloc(64))).toBe("ERR_UMA_ZONE_CLOSED");
  expect(codeOf(() => heap.free(item))).toBe("ERR_UMA_WRONG_ZONE");
  next.free(item);
});

test("a class whose bounds have grown with its items can be opened, used and freed from by others", () => {
  const items = Array.from({ length: 20_000 }, () => heap.malloc(100));
  expect(uma.stats().zones.find((z) => z.name === "malloc-112")?.bucketSize).toBeGreaterThan(100);
  uma.open(classZones("keep").find((d) => d.size === 112) as ZoneDefinition).close();
  const other = createMalloc(uma);
  for (const p of items) other.free(p);
  const again = other.malloc(100);
  expect(other.usableSize(again)).toBe(112);
  other.free(again);
  expect(heap.stats().used).toBe(0);
});

test("frees by address also what lies in a zone that was made after a thousand others", () => {
  const { i32, base } = uma.core.floor.cells;
  i32[base + SB_ZONE_SERIAL] = 5000;
  const p = heap.malloc(24);
  heap.free(p);
  expect(heap.stats().used).toBe(0);
  expect(codeOf(() => heap.free(p))).toBe("ERR_UMA_DOUBLE_FREE");
});

describe("alignedAlloc", () => {
  test("gives multiples of every power of two, up to a page and beyond", () => {
    for (let align = 1; align <= 64 * PAGE_BYTES; align *= 2) {
      for (const size of [1, 24, 100, 1000, 5000, 8192, 20_000]) {
        const taken = [heap.alignedAlloc(align, size), heap.alignedAlloc(align, size)];
        for (const p of taken) {
          expect(p % align).toBe(0);
          expect(heap.usableSize(p)).toBeGreaterThanOrEqual(size);
        }
        for (const p of taken) heap.free(p);
      }
    }
    expect(heap.stats().used).toBe(0);
  });

  test.each([0, -1, 3, 2 ** 31, Number.NaN])("refuses an alignment of %d", (align) => {
    expect(codeOf(() => heap.alignedAlloc(align, 8))).toBe("ERR_UMA_OPTION");
  });
});

describe("stats", () => {
  test("count each class, and the blocks, by use", () => {
    const small = [heap.malloc(33), heap.malloc(48), heap.malloc(47)];
    const large = heap.malloc(9000);
    heap.free(small[0] as number);
    const { classes, blocks, used } = heap.stats();
    expect(classes.find((c) => c.size === 48)).toMatchObject({ used: 2, requests: 3, fail: 0, crossFrees: 0 });
    expect(blocks).toEqual({ blocks: 1, bytes: 3 * PAGE_BYTES, requests: 1 });
    expect(used).toBe(3);
    for (const p of [...small.slice(1), large]) heap.free(p);
  });

  test.each(["keep", "free"] as const)("a dead worker's small allocations: %s", async (onDeath) => {
    const ours = createMalloc(uma, { onDeath });
    const mine = ours.malloc(100);
    const ticket = uma.ticket();
    const worker = new Worker(new URL("../../../fixtures/malloc-worker.ts", import.meta.url), { workerData: { ticket, onDeath } });
    const recovered = uma.watch(worker, ticket);
    const [addresses] = (await once(worker, "message")) as [number[]];
    await worker.terminate();
    const report = await recovered;
    const left = onDeath === "keep" ? addresses : [];
    expect(new Set(report?.zones.flatMap((z) => z.items))).toEqual(new Set(left));
    expect(ours.stats().used).toBe(1 + left.length);
    for (const p of left) ours.free(p);
    ours.free(mine);
  });

  test("with the classes opened, an allocation of any size opens no zone", () => {
    heap.openClasses();
    const opened = uma.stats().zones.length;
    expect(opened).toBe(classZones("keep").length);
    for (let size = 1; size <= 8192; size += 37) heap.free(heap.malloc(size));
    expect(uma.stats().zones.length).toBe(opened);
  });

  test("a thread with another policy for the dead is refused", () => {
    const mine = heap.malloc(100);
    const other = createMalloc(uma, { onDeath: "free" });
    expect(other.malloc(40)).not.toBe(0);
    expect(codeOf(() => other.malloc(100))).toBe("ERR_UMA_ZONE_MISMATCH");
    heap.free(mine);
  });

  test("the blocks of a worker that leaves stay, are reported, and can be freed by others", () => {
    const ticket = uma.ticket();
    const { slots } = uma.core.floor;
    slots.adopt(ticket.name);
    const p = heap.malloc(30_000);
    expect(uma.core.heap.setOwner(p, uma.name, ticket.name)).toBe(true);
    const report = uma.reap(ticket);
    expect(report?.blocks).toEqual([{ address: p, bytes: 8 * PAGE_BYTES }]);
    expect(heap.usableSize(p)).toBe(8 * PAGE_BYTES);
    heap.free(p);
    expect(heap.stats().used).toBe(0);
  });
});

describe("contiguous", () => {
  test("gives whole pages where the constraints allow it, told by blockPages from items of a class", () => {
    const p = heap.contiguous(10_000, { align: 65_536, min: MiB });
    expect(p % 65_536).toBe(0);
    expect(p).toBeGreaterThanOrEqual(MiB);
    expect(heap.blockPages(p)).toBe(3);
    const q = heap.contiguous(1, { max: 3 * MiB });
    expect(q + PAGE_BYTES).toBeLessThanOrEqual(3 * MiB);
    expect(heap.blockPages(q)).toBe(1);
    const item = heap.malloc(PAGE_BYTES);
    expect(heap.blockPages(item)).toBe(0);
    expect(heap.contiguous(4 * MiB, { max: 4 * MiB })).toBe(0);
    expect(uma.lastFailure).toBe("EMPTY");
    expect(codeOf(() => heap.contiguous(-1))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => heap.contiguous(4096, { align: 5000 }))).toBe("ERR_VMEM_CONSTRAINT");
    for (const one of [p, q, item]) heap.free(one);
    expect(heap.stats().used).toBe(0);
  });
});

describe("waiting, and not waiting", () => {
  test("allocNow answers BUSY at once where a lock is taken, and serves from the cache even so", () => {
    const cached = heap.malloc(64);
    heap.free(cached);
    const { i32 } = uma.core.floor.cells;
    const lock = uma.core.heap.arena;
    const stranger = uma.ticket();
    i32[lock] = stranger.name;
    expect(heap.allocNow(100_000)).toBe(0);
    expect(uma.lastFailure).toBe("BUSY");
    expect(heap.allocNow(64)).toBe(cached);
    i32[lock] = 0;
    heap.free(cached);
    uma.reap(stranger);
    expect(codeOf(() => heap.allocNow(-1))).toBe("ERR_UMA_OPTION");
  });

  test.each([100, 100_000])("allocWait of %d bytes ends with ERR_UMA_TIMEOUT when nothing comes free, and changes nothing", (size) => {
    const taken: number[] = [];
    for (const bytes of [100_000, 8000, size]) for (let p = heap.malloc(bytes); p !== 0; p = heap.malloc(bytes)) taken.push(p);
    expect(codeOf(() => heap.allocWait(size, { timeout: 30 }))).toBe("ERR_UMA_TIMEOUT");
    for (const p of taken) heap.free(p);
    const p = heap.allocWait(size, { timeout: 0 });
    expect(heap.usableSize(p)).toBeGreaterThanOrEqual(size);
    heap.free(p);
    expect(heap.stats().used).toBe(0);
  });

  test("allocWait of a block naps while a lock is out of reach, whoever holds it", () => {
    const { i32 } = uma.core.floor.cells;
    const lock = uma.core.heap.arena;
    const stranger = uma.ticket();
    i32[lock] = stranger.name;
    // Found out of reach once, it is not waited for again: each further look at it takes no time.
    expect(heap.malloc(100_000)).toBe(0);
    const loads = vi.spyOn(Atomics, "compareExchange");
    try {
      expect(codeOf(() => heap.allocWait(100_000, { timeout: 200 }))).toBe("ERR_UMA_TIMEOUT");
      expect(loads.mock.calls.length).toBeLessThan(1000);
    } finally {
      loads.mockRestore();
      i32[lock] = 0;
    }
    heap.free(heap.allocWait(100_000, { timeout: 1000 }));
  });

  test.each([100, 100_000])("allocWait of %d bytes is served by what another worker frees", async (size) => {
    const taken: number[] = [];
    for (const bytes of [100_000, 8000, 100]) for (let p = heap.malloc(bytes); p !== 0; p = heap.malloc(bytes)) taken.push(p);
    const ticket = uma.ticket();
    const freer = startWorker("heap-worker.ts", { ticket, free: taken, after: 30 });
    const recovered = uma.watch(freer.worker, ticket);
    await freer.next();
    const p = heap.allocWait(size, { timeout: 20_000 });
    expect(p).not.toBe(0);
    await recovered;
    heap.free(p);
  });

  test("what was set aside is for allocReserved only, and stays when classes are trimmed", () => {
    heap.reserve(1000, 4);
    heap.trim();
    const taken: number[] = [];
    for (const bytes of [100_000, 8000, 1000]) for (let p = heap.malloc(bytes); p !== 0; p = heap.malloc(bytes)) taken.push(p);
    heap.trim();
    const kept = Array.from({ length: 4 }, () => heap.allocReserved(1000));
    expect(kept).not.toContain(0);
    expect(heap.allocReserved(1000)).toBe(0);
    expect(heap.allocReserved(100_000)).toBe(0);
    for (const p of [...taken, ...kept]) heap.free(p);
    expect(codeOf(() => heap.reserve(9000, 1))).toBe("ERR_UMA_OPTION");
  });
});
