import { expect, test } from "vitest";
import { Uma, type Zone, defineZone } from "../../../src/index.ts";
import { SB_RELIEF, SB_TICK } from "../../../src/backend/memory/layout.ts";
import { hire } from "../../fixtures/crew.ts";
import { large, plain } from "../../fixtures/feature-zones.ts";

const MIB = 2 ** 20;
const coded = (code: string): unknown => expect.objectContaining({ code });

function makeUma(bytes = 8 * MIB): Uma {
  return Uma.create({ bytes, workers: 4, patience: 2000 });
}

/** Allocates and frees `count` items: they end up in buckets. */
function spike(z: Zone, count: number): void {
  const items = Array.from({ length: count }, () => z.alloc());
  for (const item of items) z.free(item);
}

/** A tick as if time had passed. */
function tick(uma: Uma): void {
  uma.core.floor.cells.i32[uma.core.floor.cells.base + SB_TICK] = 0;
  expect(uma.tick()).toBe(true);
}

function finish(uma: Uma): void {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
}

test("drain gives back all that is free; trim leaves what the working set wants", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("spiky", { size: 64 }));
  spike(z, 10_000);
  tick(uma);
  for (let n = 0; n < 3; n++) spike(z, 5000);
  tick(uma);
  const before = z.stats().freeInDepot;
  z.reclaim("trim");
  const trimmed = z.stats();
  expect(trimmed.freeInDepot).toBeGreaterThan(1000);
  expect(trimmed.freeInDepot).toBeLessThanOrEqual(before);
  expect(z.reclaim("drain").slabs).toBeGreaterThan(10);
  expect(z.stats().pages).toBe(0);
  finish(uma);
});

test("drain-cpu has other workers give up their caches as well, though they are idle", async () => {
  const uma = makeUma();
  const z = uma.open(plain);
  const hand = await hire(uma, "plain");
  const items = await hand.tell<number[]>({ op: "alloc", count: 100 });
  await hand.tell({ op: "free", items });
  expect(z.stats().freeInCaches).toBeGreaterThanOrEqual(100);
  z.reclaim("drain-cpu");
  while (z.stats().pages > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(z.stats().free).toBe(0);
  await hand.kill();
  finish(uma);
});

test("ticks let an idle zone's memory go, step by step, with nobody asking", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("idle", { size: 64 }));
  spike(z, 20_000);
  const peak = z.stats().pages;
  for (let n = 0; n < 6; n++) tick(uma);
  expect(z.stats().pages).toBeLessThan(peak / 1.5);
  for (let n = 0; n < 40; n++) tick(uma);
  expect(z.stats().pages).toBeLessThan(peak / 20);
  finish(uma);
});

test("a zone without buckets shrinks with the ticks, too", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("bare", { size: 64, bucket: 0 }));
  spike(z, 10_000);
  expect(z.stats().pages).toBeGreaterThan(100);
  tick(uma);
  tick(uma);
  expect(z.stats().pages).toBe(0);
  finish(uma);
});

test("two ticks within a second are one", () => {
  const uma = makeUma();
  expect(uma.tick()).toBe(true);
  expect(uma.tick()).toBe(false);
  finish(uma);
});

test("a reclaim of the whole memory passes unmanaged zones by, and never takes slabs of a nofree zone", () => {
  const uma = makeUma();
  const normal = uma.open(defineZone("normal", { size: 64 }));
  const unmanaged = uma.open(defineZone("unmanaged", { size: 64, unmanaged: true }));
  const nofree = uma.open(defineZone("nofree", { size: 64, nofree: true }));
  for (const z of [normal, unmanaged, nofree]) spike(z, 5000);
  const [, pages, kept] = [normal, unmanaged, nofree].map((z) => z.stats().pages);
  const { slabs, bytes } = uma.reclaim("drain");
  expect(bytes).toBe(slabs * 4096);
  expect(normal.stats().pages).toBe(0);
  expect(unmanaged.stats().pages).toBe(pages);
  expect(nofree.stats().pages).toBe(kept);
  expect(nofree.stats().freeInSlabs).toBe(nofree.stats().free);
  finish(uma);
});

test("buckets that grew under contention shrink when it is quiet, not below where they began", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("grown", { size: 1024 }));
  const start = z.stats().bucketSize;
  uma.core.floor.cells.i32[z.zone + 10] = start + 20;
  tick(uma);
  tick(uma);
  const after = z.stats().bucketSize;
  expect(after).toBeLessThan(start + 20);
  for (let n = 0; n < 30; n++) tick(uma);
  expect(z.stats().bucketSize).toBe(start);
  finish(uma);
});

test("each trim makes the zone's buckets smaller by one item, each drain-cpu half the way to where they began", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("narrowed", { size: 1024 }));
  const start = z.stats().bucketSize;
  uma.core.floor.cells.i32[z.zone + 10] = start + 20;
  z.reclaim("trim");
  expect(z.stats().bucketSize).toBe(start + 19);
  z.reclaim("drain-cpu");
  expect(z.stats().bucketSize).toBe(start + 9);
  for (let n = 0; n < 20; n++) z.reclaim("trim");
  expect(z.stats().bucketSize).toBe(start);
  finish(uma);
});

test("buckets grow while workers meet at the depot, and shrink to where they began when nobody does", async () => {
  const uma = makeUma();
  const z = uma.open(large);
  const start = z.stats().bucketSize;
  const hands = await Promise.all([1, 2, 3].map(() => hire(uma, "large")));
  for (let round = 0; round < 50 && z.stats().bucketSize === start; round++) {
    await Promise.all(hands.map((hand) => hand.tell({ op: "churn", count: 200 })));
  }
  const grown = z.stats();
  expect(grown.bucketSize).toBeGreaterThan(start);
  expect(grown.contentions).toBeGreaterThan(0);
  expect(grown.exchanges).toBeGreaterThan(grown.contentions);
  for (let n = grown.bucketSize; n >= start; n--) tick(uma);
  tick(uma);
  expect(z.stats().bucketSize).toBe(start);
  for (const hand of hands) await hand.kill();
  finish(uma);
});

test("maxBucket begins with the largest buckets", () => {
  const uma = makeUma();
  const usual = uma.open(defineZone("usual", { size: 1024 })).stats().bucketSize;
  expect(uma.open(defineZone("max", { size: 1024, maxBucket: true })).stats().bucketSize).toBeGreaterThan(usual);
  finish(uma);
});

test("above the memory limit the callbacks are called, and caches drained, once a second", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("hungry", { size: 64 }));
  const cache = uma.open(defineZone("cache", { size: 64 }));
  spike(cache, 5000);
  let calls = 0;
  const end = uma.onLowMemory(() => calls++);
  uma.setMemoryLimit(uma.stats().heapInUse + 4096);
  for (let n = 0; n < 2000; n++) z.alloc();
  expect(calls).toBe(1);
  expect(cache.stats().pages).toBe(0);
  end();
  uma.core.floor.cells.i32[uma.core.floor.cells.base + SB_RELIEF] = 0;
  for (let n = 0; n < 20_000; n++) z.alloc();
  expect(calls).toBe(1);
  finish(uma);
});

test("spikes of cohorts leave whole empty slabs: little is wasted after a reclaim", () => {
  const uma = makeUma(64 * MIB);
  const zones = [64, 160, 320].map((size) => uma.open(defineZone(`mixed ${size}`, { size })));
  const survivors: number[] = zones.map(() => 0);
  for (let cohort = 0; cohort < 10; cohort++) {
    const items = zones.map((z) => Array.from({ length: 3000 }, () => z.alloc()));
    if (cohort % 10 === 0) items.forEach((list, n) => (survivors[n] = list.length));
    else items.forEach((list, n) => zones[n]?.freeBulk(list));
  }
  uma.reclaim("drain");
  let used = 0;
  let held = 0;
  zones.forEach((z) => {
    const { used: items, size, bytes, headerBytes } = z.stats();
    used += items * size;
    held += bytes + headerBytes;
  });
  expect(used / held).toBeGreaterThan(0.86);
  finish(uma);
});

test("bad values are refused", () => {
  const uma = makeUma();
  const z = uma.open(plain);
  expect(() => z.reclaim("all" as unknown as "drain")).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => uma.reclaim(1 as unknown as "drain")).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => uma.setMemoryLimit(-1)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => uma.onLowMemory(1 as unknown as () => void)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => uma.maintain(0)).toThrow(coded("ERR_UMA_OPTION"));
  uma.maintain(1000)[Symbol.dispose]();
  finish(uma);
});

test("an allocation during which a callback or a fini throws for want of memory has allocated nothing", () => {
  const kinds = [
    {},
    { bucket: 0 },
    { checks: false },
    { ctor: () => undefined },
    { zinit: true, bucket: 3 },
    { limit: 1 },
  ] satisfies Partial<Parameters<typeof defineZone>[1]>[];
  for (const options of kinds) {
    for (const by of ["callback", "fini"] as const) {
      const uma = makeUma(2 * MIB);
      const z = uma.open(defineZone("z", { size: 64, ...options }));
      const thrower = uma.open(
        defineZone("thrower", {
          size: 64,
          fini: () => {
            throw new Error("the user's");
          },
        }),
      );
      thrower.free(thrower.alloc());
      uma.setMemoryLimit(4096);
      const end = by === "callback" ? uma.onLowMemory(() => void thrower.reclaim()) : (): void => undefined;
      expect(() => z.alloc()).toThrow(coded("ERR_UMA_HOOK"));
      end();
      uma.setMemoryLimit(0);
      uma.poll();
      expect(z.getCur()).toBe(0);
      expect([...z.owned()]).toEqual([]);
      expect(z.stats()).toMatchObject({ used: 0, requests: 0 });
      z.free(z.alloc());
      finish(uma);
    }
  }
});
