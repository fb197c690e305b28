import { describe, expect, test } from "vitest";
import { defineZone, type ZoneOptions } from "../../../src/index.ts";
import { KEG_IPERS, LINE_ALLOCS, LINE_ALLOCS_HIGH, PAGE_BYTES } from "../../../src/backend/memory/layout.ts";
import { codeOf, errorOf } from "../../fixtures/codes.ts";
import { randomFrom, seedFor } from "../../fixtures/seeds.ts";
import { expectSound, give, lineOf, makeUma, take } from "../../fixtures/zones.ts";

const KINDS: [string, Partial<ZoneOptions>][] = [
  ["plain", {}],
  ["hooked", { ctor: () => true, dtor: () => undefined }],
  ["unchecked", { checks: false }],
  ["unchecked and hooked", { checks: false, ctor: () => true, dtor: () => undefined }],
  ["without buckets", { bucket: 0 }],
  ["with buckets of one", { bucket: 1 }],
];

describe.each(KINDS)("a zone that is %s", (_kind, options) => {
  const open = (size = 64) => {
    const uma = makeUma();
    return { uma, zone: uma.open(defineZone("zone", { size, ...options })) };
  };

  test("hands out items that do not overlap, inside the memory and nowhere near its records", () => {
    const { uma, zone } = open(48);
    const items = take(zone, 3000);
    const sorted = items.toSorted((a, b) => a - b);
    const { heapStart, heapEnd } = uma.core.floor.geometry;
    expect(sorted[0]).toBeGreaterThanOrEqual(heapStart);
    expect((sorted.at(-1) as number) + 48).toBeLessThanOrEqual(heapEnd);
    for (let n = 1; n < sorted.length; n++) expect((sorted[n] as number) - (sorted[n - 1] as number)).toBeGreaterThanOrEqual(48);
    expectSound(uma);
    give(zone, items);
    expectSound(uma);
  });

  test("counts what is out and what was asked for", () => {
    const { uma, zone } = open();
    const items = take(zone, 500);
    expect(zone.stats()).toMatchObject({ used: 500, requests: 500, fail: 0, xdomain: 0 });
    give(zone, items.splice(0, 200));
    expect(zone.stats()).toMatchObject({ used: 300, requests: 500 });
    const { used, free, slabs, freeInSlabs, freeInDepot, freeInCaches } = zone.stats();
    expect(free).toBe(freeInSlabs + freeInDepot + freeInCaches);
    expect(used + free).toBe(slabs * (uma.core.floor.cells.i32[zone.keg + KEG_IPERS] as number));
    give(zone, items);
    expect(zone.stats()).toMatchObject({ used: 0, requests: 500 });
    expectSound(uma);
  });

  test("lets every item be written over its whole size without touching another, or the zone's own records", () => {
    const { uma, zone } = open(80);
    const { u8 } = uma.views;
    const items = take(zone, 400);
    items.forEach((item, n) => u8.fill(n & 255, item, item + 80));
    items.forEach((item, n) => expect(u8.subarray(item, item + 80).every((byte) => byte === (n & 255))).toBe(true));
    expectSound(uma);
    give(zone, items);
    for (const item of items) u8.fill(0xff, item, item + 80);
    expectSound(uma);
    expect(new Set(take(zone, 400)).size).toBe(400);
    expectSound(uma);
  });

  test("can use the whole memory, and all of it again", () => {
    const { uma, zone } = open(1024);
    const rounds = [1, 2, 3].map(() => {
      const items: number[] = [];
      for (let item = zone.tryAlloc(); item !== 0; item = zone.tryAlloc()) items.push(item);
      expect(uma.lastFailure).toBe("EMPTY");
      expect(errorOf(() => zone.alloc())).toMatchObject({ code: "ERR_UMA_EMPTY", zone: "zone", value: 1024 });
      expectSound(uma);
      give(zone, items);
      expectSound(uma);
      return items.length;
    });
    expect(rounds[0]).toBeGreaterThan(3000);
    expect(rounds).toEqual([rounds[0], rounds[0], rounds[0]]);
    expect(zone.stats()).toMatchObject({ used: 0, fail: 6 });
  });

  test("frees 0 without a word", () => {
    const { uma, zone } = open();
    zone.free(0);
    zone.free(-0);
    expect(zone.stats()).toMatchObject({ used: 0, requests: 0, slabs: 0 });
    expectSound(uma);
  });

  test("stays sound through thousands of random allocations, frees and reclaims", () => {
    const random = randomFrom(seedFor(`zone ${_kind}`));
    const { uma, zone } = open(100);
    const held: number[] = [];
    for (let step = 0; step < 20_000; step++) {
      const what = random.below(100);
      if (what < 55 + (step % 5000 < 2500 ? 10 : -20)) {
        const item = zone.tryAlloc();
        if (item !== 0) held.push(item);
      } else if (what < 99 && held.length > 0) {
        const at = random.below(held.length);
        zone.free(held[at] as number);
        held[at] = held.at(-1) as number;
        held.pop();
      } else if (step % 50 === 0) {
        zone.reclaim();
      }
    }
    expect(new Set(held).size).toBe(held.length);
    expect(zone.stats().used).toBe(held.length);
    expectSound(uma);
    give(zone, held);
    zone.reclaim();
    expect(zone.stats()).toMatchObject({ used: 0, slabs: 0, freeInCaches: 0, freeInDepot: 0 });
    expectSound(uma);
  });
});

describe("the last item freed is the next one allocated", () => {
  test.each(KINDS.filter(([kind]) => kind !== "without buckets"))("in a zone that is %s", (_kind, options) => {
    const uma = makeUma();
    const zone = uma.open(defineZone("hot", { size: 64, ...options }));
    const items = take(zone, 10);
    for (const item of items) {
      zone.free(item);
      expect(zone.alloc()).toBe(item);
    }
    for (const item of items) zone.free(item);
    expect(zone.alloc()).toBe(items.at(-1));
  });
});

describe("sizes and alignments", () => {
  test.each([
    [1, 16],
    [16, 16],
    [24, 8],
    [100, 16],
    [100, 64],
    [333, 128],
    [1000, 1024],
    [2049, 2048],
    [4096, 4096],
    [4097, 16],
    [5000, 4096],
    [12_345, 16],
    [65_536, 4096],
    [300_000, 256],
  ])("items of %d bytes at alignment %d are aligned, apart, and all counted", (size, align) => {
    const uma = makeUma({ bytes: 16 << 20 });
    const zone = uma.open(defineZone("sized", { size, align }));
    const items = take(zone, 40);
    const sorted = items.toSorted((a, b) => a - b);
    for (const item of items) expect(item % align).toBe(0);
    for (let n = 1; n < sorted.length; n++) expect((sorted[n] as number) - (sorted[n - 1] as number)).toBeGreaterThanOrEqual(size);
    const { u8 } = uma.views;
    items.forEach((item, n) => u8.fill(n + 1, item, item + size));
    items.forEach((item, n) => expect([u8[item], u8[item + size - 1]]).toEqual([n + 1, n + 1]));
    expectSound(uma);
    give(zone, items);
    expect(zone.reclaim().bytes).toBeGreaterThanOrEqual(40 * size);
    expectSound(uma);
  });

  test("every size from 1 to 600 bytes works in one memory, one zone each", () => {
    const uma = makeUma({ bytes: 64 << 20 });
    for (let size = 1; size <= 600; size++) {
      const zone = uma.open(defineZone(`of ${size}`, { size }));
      const [a, b] = take(zone, 2) as [number, number];
      expect(Math.abs(a - b)).toBeGreaterThanOrEqual(size);
      zone.free(a);
      zone.free(b);
    }
    expectSound(uma);
  });

  test("an item may take up nearly the whole memory; one that is larger than it is told to be too large", () => {
    const uma = makeUma();
    const large = uma.open(defineZone("large", { size: 3 << 20 }));
    const item = large.alloc();
    expect(item % PAGE_BYTES).toBe(0);
    expect(large.tryAlloc()).toBe(0);
    expect(uma.lastFailure).toBe("EMPTY");
    large.free(item);
    const huge = uma.open(defineZone("huge", { size: 2 ** 30 }));
    expect(huge.tryAlloc()).toBe(0);
    expect(errorOf(() => huge.alloc())).toMatchObject({ code: "ERR_UMA_EMPTY", zone: "huge", value: 2 ** 30 });
    expectSound(uma);
  });
});

describe("zeroing", () => {
  test("zero: each item is zero at every allocation, over its whole size", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("zero", { size: 72, zero: true }));
    const { u8 } = uma.views;
    for (let round = 0; round < 3; round++) {
      const items = take(zone, 100);
      for (const item of items) {
        expect(u8.subarray(item, item + 72).every((byte) => byte === 0)).toBe(true);
        u8.fill(0xaa, item, item + 72);
      }
      give(zone, items);
    }
    expectSound(uma);
  });

  test("zero comes before ctor", () => {
    const uma = makeUma();
    const zone = uma.open(
      defineZone("zero", { size: 16, zero: true, ctor: (item, arg, { i32 }) => void (i32[item >> 2] = arg as number) }),
    );
    const item = zone.alloc(7);
    expect(uma.views.i32[item >> 2]).toBe(7);
    zone.free(item);
  });

  test("zinit: items are zero when their slab is born, before init, and keep what they held when freed", () => {
    const uma = makeUma();
    const { u8, i32 } = uma.views;
    u8.fill(0x55, uma.core.floor.geometry.heapEnd - (1 << 20), uma.core.floor.geometry.heapEnd);
    const seen: number[] = [];
    const definition = defineZone("zinit", {
      size: 256,
      zinit: true,
      init: (item, views) => void seen.push(views.i32[item >> 2] as number),
    });
    const zone = uma.open(definition);
    const items = take(zone, 2000);
    expect(seen.every((word) => word === 0)).toBe(true);
    for (const item of items) expect(u8.subarray(item, item + 256).every((byte) => byte === 0)).toBe(true);
    const item = items.pop() as number;
    i32[item >> 2] = 99;
    zone.free(item);
    expect(zone.alloc()).toBe(item);
    expect(i32[item >> 2]).toBe(99);
  });
});

describe("counters", () => {
  test.each(KINDS)("of a zone that is %s carry past 2³¹ requests, and lose none", (_kind, options) => {
    const uma = makeUma();
    const zone = uma.open(defineZone("many", { size: 64, ...options }));
    const { i32 } = uma.core.floor.cells;
    zone.free(zone.alloc());
    i32[zone.line + LINE_ALLOCS] = 0x7ffffffd;
    for (let n = 1; n <= 10; n++) {
      zone.free(zone.alloc());
      expect(zone.stats().requests).toBe(0x7ffffffd + n);
    }
    i32[zone.line + LINE_ALLOCS] = 0x7fffffff;
    i32[zone.line + LINE_ALLOCS_HIGH] = 41;
    zone.free(zone.tryAlloc());
    zone.free(zone.tryAlloc());
    expect(zone.stats().requests).toBe(42 * 2 ** 31 + 1);
    expectSound(uma);
  });

  test("a refused allocation at the carry is not counted", () => {
    const uma = makeUma();
    let refuse = false;
    const zone = uma.open(defineZone("many", { size: 64, bucket: 0, ctor: () => !refuse }));
    const { i32 } = uma.core.floor.cells;
    zone.free(zone.alloc());
    refuse = true;
    for (const [low, requests] of [
      [0x7fffffff, 2 ** 31 - 1],
      [0x7ffffffe, 2 ** 31 - 2],
      [-0x80000000, 2 ** 31],
    ] as const) {
      i32[zone.line + LINE_ALLOCS] = low;
      i32[zone.line + LINE_ALLOCS_HIGH] = 0;
      expect(zone.tryAlloc()).toBe(0);
      expect(zone.stats().requests).toBe(requests);
    }
    expect(zone.stats().fail).toBe(3);
    expectSound(uma);
  });
});

describe("a zone that is closed in this thread", () => {
  test("refuses everything but a second close", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("closed", { size: 64 }));
    const item = zone.alloc();
    zone.close();
    zone.close();
    for (const work of [
      () => zone.alloc(),
      () => zone.tryAlloc(),
      () => zone.free(item),
      () => zone.prealloc(1),
      () => zone.reclaim(),
      () => zone.destroy(),
      () => zone.transfer(item, 1),
      () => zone.adopt(item),
      () => zone.owned(),
      () => zone.ownedBy(1),
      () => zone.stats(),
      () => zone.setAllocf(() => 0),
      () => zone.setFreef(() => undefined),
    ])
      expect(codeOf(work)).toBe("ERR_UMA_ZONE_CLOSED");
    zone.free(0);
    expectSound(uma);
  });

  test("keeps its items: opened again they can be freed, by the new handle", () => {
    const uma = makeUma();
    const definition = defineZone("again", { size: 64 });
    const first = uma.open(definition);
    const items = take(first, 300);
    give(first, items.splice(0, 100));
    first.close();
    expect(uma.verify().outstanding).toBe(200);
    const second = uma.open(definition);
    expect(second).not.toBe(first);
    expect(second.stats()).toMatchObject({ used: 200, requests: 300 });
    give(second, items);
    expect(second.stats().used).toBe(0);
    expectSound(uma);
  });

  test("gives its buckets to the depot, where others find the items", () => {
    const uma = makeUma();
    const definition = defineZone("depot", { size: 64 });
    const zone = uma.open(definition);
    give(zone, take(zone, 100));
    const cached = zone.stats().freeInCaches;
    expect(cached).toBeGreaterThan(0);
    zone.close();
    const again = uma.open(definition);
    expect(again.stats()).toMatchObject({ freeInCaches: 0, freeInDepot: cached });
    expect(lineOf(uma, again)).toEqual({});
    again.free(again.alloc());
    expect(again.stats().freeInDepot).toBeLessThan(cached);
    expectSound(uma);
  });

  test("is closed by using, as a disposable", () => {
    const uma = makeUma();
    const definition = defineZone("disposed", { size: 64 });
    {
      using zone = uma.open(definition);
      zone.free(zone.alloc());
    }
    expect(uma.core.open.every((zone) => zone === undefined)).toBe(true);
    expectSound(uma);
  });
});
