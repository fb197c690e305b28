/** A stack overflow can come at any call, also inside a transaction: nothing may be lost or handed out twice by it. */
import { describe, expect, it } from "vitest";
import type { Segments } from "../../../src/backend/vmem/segments.ts";
import { Uma, type Zone, createMalloc, defineMap, defineZone, openMap, openVmalloc } from "../../../src/index.ts";

/** Uses up the stack down to its end, doing `work` at each depth on the way back up from every overflow. */
function exhaust(work: () => void, pad: number): number {
  let overflows = 0;
  let wrong: unknown;
  const isOverflow = (error: unknown): boolean => error instanceof RangeError || (error as Error).cause instanceof RangeError;
  // Right at the brink, and a little further up each time.
  const atTheBrink = (): void => {
    if (overflows === 0 || overflows >= 400) return;
    try {
      work();
    } catch (error) {
      if (isOverflow(error)) overflows++;
      else wrong ??= error;
    }
  };
  const down = (n: number, ...rest: number[]): number => {
    let below = 0;
    try {
      below = n > 0 ? down(n - 1, ...rest) : 0;
    } catch (error) {
      if (isOverflow(error)) overflows++;
      else wrong ??= error;
    }
    atTheBrink();
    return below + rest.length;
  };
  try {
    down(1e6, ...Array.from({ length: pad }, (_, k) => k));
  } catch (error) {
    if (!isOverflow(error)) throw error;
  }
  if (wrong !== undefined) throw wrong;
  return overflows;
}

const definitions = [
  defineZone("small buckets", { size: 64, bucket: 2 }),
  defineZone("no buckets", { size: 400, bucket: 0 }),
  defineZone("hooked", { size: 100, bucket: 3, ctor: () => true, dtor: () => undefined }),
];

describe("a stack overflow", () => {
  it.each(definitions)("in the slow paths of the zone $name leaves every invariant true", (definition) => {
    const uma = Uma.create({ bytes: 8 * 2 ** 20 });
    const zone: Zone = uma.open(definition);
    let overflows = 0;
    for (let pad = 0; pad < 120; pad++) {
      const held: number[] = [];
      overflows += exhaust(() => {
        if (held.length % 7 === 5) for (const item of held.splice(0, 5)) zone.free(item);
        else held.push(zone.alloc());
      }, pad);
      // Mended at the next slow path, before anything else.
      for (const item of held) if (zone.ownerOf(item) === uma.slot) tryFree(zone, item);
      uma.poll();
      const verdict = uma.verify();
      expect(verdict.problems).toEqual([]);
    }
    expect(overflows).toBeGreaterThan(100);
    const items = Array.from({ length: 50 }, () => zone.alloc());
    expect(new Set(items).size).toBe(50);
    for (const item of items) zone.free(item);
    zone.reclaim();
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });
});

describe("a stack overflow in malloc", () => {
  it("leaves every invariant true", () => {
    const uma = Uma.create({ bytes: 8 * 2 ** 20 });
    const heap = createMalloc(uma);
    let overflows = 0;
    for (let pad = 0; pad < 120; pad++) {
      const held: number[] = [];
      overflows += exhaust(() => {
        if (held.length % 7 === 5) for (const p of held.splice(0, 5)) heap.free(p);
        else held.push(heap.malloc(1000));
      }, pad);
      uma.poll();
      expect(uma.verify().problems).toEqual([]);
    }
    expect(overflows).toBeGreaterThan(100);
    const before = heap.stats().used;
    const taken = Array.from({ length: 50 }, () => heap.malloc(1000));
    expect(new Set(taken).size).toBe(50);
    for (const p of taken) heap.free(p);
    expect(heap.stats().used).toBe(before);
    uma.detach();
  });

  it("that even kept a transaction from being undone hands out nothing twice", () => {
    const uma = Uma.create({ bytes: 8 * 2 ** 20 });
    const heap = createMalloc(uma);
    // A slab of 64 and half of the next, so that the next bucket comes from a slab.
    const first = Array.from({ length: 70 }, () => heap.malloc(64));
    const slabs = uma.core.slabs as { take: typeof uma.core.slabs.take };
    const locks = uma.core.floor.locks as { release: () => void };
    const { take } = slabs;
    const { release } = locks;
    slabs.take = (...given) => {
      take(...given);
      throw new RangeError("as a stack overflow would");
    };
    locks.release = () => {
      throw new RangeError("as a stack overflow would");
    };
    const until = (): void => {
      for (;;) first.push(heap.malloc(64));
    };
    expect(until).toThrow(RangeError);
    Object.assign(slabs, { take });
    Object.assign(locks, { release });
    const taken = Array.from({ length: 200 }, () => heap.malloc(64));
    expect(new Set([...first, ...taken]).size).toBe(first.length + 200);
    expect(uma.verify().problems).toEqual([]);
    for (const p of [...first, ...taken]) heap.free(p);
    expect(heap.stats().used).toBe(0);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });
});

describe("an exception in the middle of a prefill", () => {
  it("that even kept the transaction from being undone hands out nothing twice", () => {
    const uma = Uma.create({ bytes: 8 * 2 ** 20 });
    const zone = uma.open(defineZone("prefilled", { size: 64, bucket: 4 }));
    zone.prealloc(300);
    const slabs = uma.core.slabs as { take: typeof uma.core.slabs.take };
    const locks = uma.core.floor.locks as { release: () => void };
    const { take } = slabs;
    const { release } = locks;
    slabs.take = (...given) => {
      take(...given);
      throw new RangeError("as a stack overflow would");
    };
    locks.release = () => {
      throw new RangeError("as a stack overflow would");
    };
    expect(() => zone.prefill(5)).toThrow(RangeError);
    Object.assign(slabs, { take });
    Object.assign(locks, { release });
    const items = Array.from({ length: 200 }, () => zone.alloc());
    expect(new Set(items).size).toBe(200);
    expect(uma.verify().problems).toEqual([]);
    for (const item of items) zone.free(item);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });
});

describe("a lock that an exception kept from being let go, with a transaction open,", () => {
  type Held = { uma: Uma; heap: ReturnType<typeof createMalloc>; block: number; map: ReturnType<typeof openMap> };
  const entries: [string, (held: Held) => void][] = [
    ["a malloc of a block", ({ heap }) => expect(heap.malloc(20_000)).not.toBe(0)],
    ["a block at a place", ({ heap }) => expect(heap.contiguous(20_000)).not.toBe(0)],
    ["a free of a block", ({ heap, block }) => heap.free(block)],
    ["a realloc of a block", ({ heap, block }) => expect(heap.realloc(block, 90_000)).not.toBe(0)],
    ["a trim", ({ heap }) => heap.trim()],
    ["a new zone", ({ uma }) => void uma.open(defineZone("new", { size: 32 }))],
    ["a ticket", ({ uma }) => void uma.ticket()],
    ["a reaping", ({ uma }) => expect(uma.reap(uma.ticket())?.done).toBe(true)],
    ["a tick", ({ uma }) => expect(uma.tick()).toBe(true)],
    ["a reclaim", ({ uma }) => void uma.reclaim("drain")],
    ["a look while others are at work", ({ uma }) => expect(uma.verify({ online: true }).problems).toEqual([])],
    ["a set in a map", ({ map }) => map.set(1, 2)],
    ["a delete in a map", ({ map }) => expect(map.delete(7)).toBe(true)],
    ["a sweep of a map", ({ map }) => void map.sweep()],
    ["a site", ({ uma }) => expect(uma.core.sites.idOf("here there.ts:1")).toBeGreaterThan(0)],
    ["mapped addresses", ({ uma }) => void openVmalloc(uma, { warnBytes: 0 })],
  ];

  it.each(entries)("is let go, and the transaction undone, by %s", (_what, enter) => {
    const uma = Uma.create({ bytes: 8 * 2 ** 20, patience: 0 });
    const heap = createMalloc(uma);
    const map = openMap(uma, defineMap("m", { capacity: 8 }));
    map.set(7, 7);
    const block = heap.malloc(40_000);
    for (const p of Array.from({ length: 300 }, () => heap.malloc(2000))) heap.free(p);
    const whole = uma.stats().heapInUse;
    const locks = uma.core.floor.locks as { release: () => void };
    const { release } = locks;
    const segments = uma.core.heap.segments as { carve: (...given: Parameters<Segments["carve"]>) => ReturnType<Segments["carve"]> };
    const { carve } = segments;
    segments.carve = (...given) => {
      carve(...given);
      throw new RangeError("as a stack overflow would");
    };
    locks.release = () => {
      throw new RangeError("as a stack overflow would");
    };
    expect(() => heap.malloc(30_000)).toThrow(RangeError);
    Object.assign(locks, { release });
    Object.assign(segments, { carve });
    expect(uma.stats().heapInUse).not.toBe(whole);
    enter({ uma, heap, block, map });
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });
});

/** An item whose free overflowed may be on its way back already. */
function tryFree(zone: Zone, item: number): void {
  try {
    zone.free(item);
  } catch (error) {
    expect((error as { code?: string }).code).toMatch(/ERR_UMA_(DOUBLE_FREE|ITEM_BUSY)/);
  }
}
