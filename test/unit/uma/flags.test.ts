/** What the flags of a zone promise, each shown by what happens. */
import { afterEach, expect, test } from "vitest";
import { type Uma, type Zone, type ZoneOptions, defineCache, defineZone } from "../../../src/index.ts";
import { expectSound, give, lineOf, makeUma, take } from "../../fixtures/zones.ts";

let uma: Uma;
afterEach(() => {
  expectSound(uma);
  uma.detach();
});

function setUp(options: Partial<ZoneOptions>): Zone {
  uma = makeUma();
  return uma.open(defineZone("flagged", { size: 256, ...options }));
}

test("NOBUCKET: every alloc and free goes to the slab, nothing is cached", () => {
  const zone = setUp({ bucket: 0 });
  give(zone, take(zone, 50));
  expect(lineOf(uma, zone)).toEqual({});
  expect(zone.stats()).toMatchObject({ freeInCaches: 0, freeInDepot: 0, bucketSize: 0 });
});

test("MAXBUCKET: buckets begin as large as they get", () => {
  const zone = setUp({ maxBucket: true });
  const small = uma.open(defineZone("by size", { size: 256 }));
  expect(zone.stats().bucketSize).toBe(248);
  expect(small.stats().bucketSize).toBe(62);
});

test("NOFREE: slabs stay, whatever is reclaimed, until the zone is destroyed", () => {
  const zone = setUp({ nofree: true });
  give(zone, take(zone, 200));
  const { slabs } = zone.stats();
  zone.reclaim("drain-cpu");
  uma.reclaim("drain-cpu");
  expect(zone.stats()).toMatchObject({ slabs, freeInSlabs: zone.stats().free });
  const before = uma.stats().heapInUse;
  zone.destroy();
  expect(uma.stats().heapInUse).toBeLessThan(before);
});

test("ZINIT: items are zeroed when their slab is born, not at each allocation", () => {
  const zone = setUp({ zinit: true });
  const { u8 } = uma.views;
  const item = zone.alloc();
  expect(u8.subarray(item, item + 256).every((byte) => byte === 0)).toBe(true);
  u8.fill(7, item, item + 256);
  zone.free(item);
  expect(zone.alloc()).toBe(item);
  expect(u8[item]).toBe(7);
  zone.free(item);
  zone.reclaim("drain");
  const again = zone.alloc();
  expect(u8.subarray(again, again + 256).every((byte) => byte === 0)).toBe(true);
  zone.free(again);
});

test("OFFPAGE, always: not a byte of the slab's pages is the allocator's", () => {
  const zone = setUp({ size: 4096 });
  const items = take(zone, 8);
  for (const item of items) uma.views.u8.fill(0xff, item, item + 4096);
  give(zone, items);
  zone.reclaim("drain");
  expect(zone.stats().slabs).toBe(0);
});

test("NOTOUCH: items are never written to, whatever happens to them", () => {
  const zone = setUp({ notouch: true });
  const { u8 } = uma.views;
  const items = take(zone, 40);
  for (const item of items) u8.fill(0xa5, item, item + 256);
  give(zone, items);
  zone.reclaim("drain");
  for (const item of items) expect(u8.subarray(item, item + 256).every((byte) => byte === 0xa5)).toBe(true);
});

test("NOTOUCH: the integers of an identifier arena as items", () => {
  uma = makeUma();
  const ids = uma.arenas.create("ids", { span: { start: 1, size: 1000 }, identifiers: true });
  const zone = uma.open(
    defineCache("ids", {
      import: (store, count) => {
        let n = 0;
        for (let id = ids.tryAlloc(1); id >= 0; id = ids.tryAlloc(1)) {
          store[n++] = id;
          if (n === count) break;
        }
        return n;
      },
      release: (store, count) => {
        for (let n = 0; n < count; n++) ids.free(store[n] as number, 1);
      },
    }),
  );
  const held = take(zone, 300);
  expect(new Set(held).size).toBe(300);
  expect(Math.min(...held)).toBeGreaterThanOrEqual(1);
  expect(Math.max(...held)).toBeLessThanOrEqual(1000);
  give(zone, held);
  zone.reclaim("drain");
  expect(ids.size("alloc")).toBe(0);
  zone.destroy();
  ids.destroy();
});

test("CONTIG, always: a slab is one stretch of the memory", () => {
  const zone = setUp({ size: 3000 });
  const items = take(zone, 12).toSorted((a, b) => a - b);
  const { slabs, pages } = zone.stats();
  expect(pages).toBeGreaterThan(slabs);
  for (const item of items) uma.views.u8.fill(item & 0xff, item, item + 3000);
  for (const item of items) expect(uma.views.u8[item + 2999]).toBe(item & 0xff);
  give(zone, items);
});

test("UNMANAGED: reclaims of the whole memory and ticks pass it by, a reclaim of its own does not", () => {
  const zone = setUp({ unmanaged: true });
  give(zone, take(zone, 500));
  const before = zone.stats();
  uma.reclaim("drain-cpu");
  uma.tick();
  expect(zone.stats()).toEqual(before);
  zone.reclaim("drain");
  expect(zone.stats().slabs).toBe(0);
});
