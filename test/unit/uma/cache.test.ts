import { describe, expect, test, vi } from "vitest";
import { defineSecondary, defineZone, type Uma, type Zone } from "../../../src/index.ts";
import {
  BUCKET_EMPTY,
  BUCKET_MASK,
  KEG_LOCK,
  LINE_EXCHANGES,
  LINE_REASONS,
  LINE_SP,
  LINE_TOP,
  NO_BUCKET,
  REASON_DRAIN,
  SB_HEAP_ARENA,
  SB_POOL_LOCK,
  SB_WORKERS,
  ZONE_CONTENTIONS,
  ZONE_EMPTY_COUNT,
  ZONE_FULL_COUNT,
} from "../../../src/backend/memory/layout.ts";
import { codeOf } from "../../fixtures/codes.ts";
import { refuseLocks, rivalOf, whileHeld } from "../../fixtures/floors.ts";
import { expectSound, give, lineOf, makeUma, secondWorker, take } from "../../fixtures/zones.ts";

const CAP = 10;
const definition = defineZone("cached", { size: 64, bucket: CAP });
const hooked = defineZone("cached and hooked", { size: 64, bucket: CAP, ctor: () => true, dtor: () => undefined });

function depot(uma: Uma, zone: Zone): { full: number; empty: number; items: number } {
  const { i32 } = uma.core.floor.cells;
  return {
    full: i32[zone.zone + ZONE_FULL_COUNT] as number,
    empty: i32[zone.zone + ZONE_EMPTY_COUNT] as number,
    items: zone.stats().freeInDepot,
  };
}

function exchanges(uma: Uma, zone: Zone): number {
  return uma.core.floor.cells.i32[zone.line + LINE_EXCHANGES] as number;
}

describe("a worker's two buckets", () => {
  test("are filled with one bucket's worth of items at the first allocation", () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    expect(lineOf(uma, zone)).toEqual({});
    zone.alloc();
    expect(lineOf(uma, zone)).toEqual({ sp: CAP - 1 });
    expect(zone.stats().freeInCaches).toBe(CAP - 1);
  });

  test("take two bucketfuls of frees before anything goes to the depot", () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const items = take(zone, 4 * CAP);
    give(zone, items.splice(0, CAP));
    expect(lineOf(uma, zone)).toEqual({ sp: CAP });
    give(zone, items.splice(0, CAP));
    expect(lineOf(uma, zone)).toEqual({ sp: CAP, spare: CAP });
    expect(depot(uma, zone)).toEqual({ full: 0, empty: 0, items: 0 });
    zone.free(items.pop() as number);
    expect(lineOf(uma, zone)).toEqual({ sp: 1, spare: CAP });
    expect(depot(uma, zone)).toEqual({ full: 1, empty: 0, items: CAP });
    give(zone, items);
    expectSound(uma);
  });

  test("swing between alloc and free at a bucket's edge without the depot", () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const items = take(zone, 3 * CAP);
    give(zone, items.splice(0, 2 * CAP));
    const before = exchanges(uma, zone);
    for (let n = 0; n < 100; n++) {
      const held = take(zone, CAP + 1);
      give(zone, held);
    }
    expect(exchanges(uma, zone)).toBe(before);
    expectSound(uma);
  });

  test("with the depot: full buckets come back whole, and the empty one is kept as the spare", () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    give(zone, take(zone, 6 * CAP));
    expect(depot(uma, zone)).toEqual({ full: 4, empty: 0, items: 4 * CAP });
    const again = take(zone, 6 * CAP);
    expect(depot(uma, zone).items).toBe(0);
    expect(depot(uma, zone).full).toBe(0);
    expect(zone.stats().freeInSlabs).toBe(zone.stats().free);
    give(zone, again);
    expectSound(uma);
  });

  test("exchange whole buckets with another worker through the depot", async () => {
    const uma = makeUma();
    const mine = uma.open(definition);
    const other = await secondWorker(uma);
    const theirs = other.open(definition);
    const items = take(mine, 8 * CAP);
    // All freed by the other: one claim each, and a bucket at a time to the depot.
    give(theirs, items);
    expect(theirs.stats()).toMatchObject({ used: 0, xdomain: 8 * CAP });
    expect(depot(uma, mine).full).toBe(6);
    const slabs = mine.stats().slabs;
    const left = lineOf(uma, mine).sp as number;
    const again = take(mine, left + 6 * CAP).slice(left);
    expect(new Set(again).size).toBe(6 * CAP);
    expect(items).toEqual(expect.arrayContaining(again));
    expect(mine.stats().slabs).toBe(slabs);
    expect(depot(uma, mine).full).toBe(0);
    expectSound(uma);
  });

  test("grow by one item when the keg's lock was found taken, up to the option", () => {
    const uma = makeUma({ patience: 0 });
    const { i32 } = uma.core.floor.cells;
    const zone = uma.open(defineZone("growing", { size: 2048 }));
    const cap = zone.stats().bucketSize;
    const locks = uma.core.floor.locks as { contended: () => boolean };
    const { contended } = locks;
    locks.contended = () => true;
    give(zone, take(zone, 3 * cap));
    locks.contended = contended;
    expect(zone.stats().bucketSize).toBeGreaterThan(cap);
    expect(i32[zone.zone + ZONE_CONTENTIONS]).toBeGreaterThan(0);
    expectSound(uma);
    const bounded = uma.open(definition);
    locks.contended = () => true;
    give(bounded, take(bounded, 100));
    locks.contended = contended;
    expect(bounded.stats().bucketSize).toBe(CAP);
    give(zone, take(zone, 100));
    expectSound(uma);
  });
});

describe("items larger than a page", () => {
  test("have buckets of one, of which the depot keeps few: the rest go back to their slabs", () => {
    const uma = makeUma({ bytes: 8 * 2 ** 20 });
    const zone = uma.open(defineZone("large", { size: 8000 }));
    const items = take(zone, 300);
    give(zone, items);
    expect(depot(uma, zone).items).toBe(32);
    expect(zone.stats().freeInSlabs).toBeGreaterThan(260);
    expect(depot(uma, zone).full + depot(uma, zone).empty).toBeLessThan(40);
    zone.setMaxCache(Infinity);
    give(zone, take(zone, 300));
    expect(depot(uma, zone).items).toBe(32);
    expectSound(uma);
  });

  test("lie in the depot as the option maxCache says, if it says something", () => {
    const uma = makeUma({ bytes: 8 * 2 ** 20 });
    const zone = uma.open(defineZone("large", { size: 8000, maxCache: 100 }));
    give(zone, take(zone, 300));
    expect(depot(uma, zone).items).toBe(100);
    expectSound(uma);
  });
});

describe("draining", () => {
  test("a reclaim empties one's own buckets and the depot into the slabs, and gives every empty slab back", () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const items = take(zone, 400);
    const keep = items.filter((_, n) => n % 100 === 0);
    give(
      zone,
      items.filter((_, n) => n % 100 !== 0),
    );
    const slabs = zone.stats().slabs;
    const back = zone.reclaim();
    const stats = zone.stats();
    expect(stats).toMatchObject({ used: keep.length, freeInCaches: 0, freeInDepot: 0, slabs: slabs - back.slabs });
    expect(stats.slabs).toBeLessThanOrEqual(keep.length);
    expect(back.bytes).toBe(back.slabs * (stats.bytes / stats.slabs));
    expect(depot(uma, zone)).toEqual({ full: 0, empty: 0, items: 0 });
    expectSound(uma);
    give(zone, keep);
    expect(zone.reclaim().slabs).toBe(stats.slabs);
    expect(zone.reclaim()).toEqual({ slabs: 0, bytes: 0 });
    expectSound(uma);
  });

  test("leaves another worker's buckets alone: its cached items keep their slabs", async () => {
    const uma = makeUma();
    const mine = uma.open(definition);
    const other = await secondWorker(uma);
    const theirs = other.open(definition);
    theirs.free(theirs.alloc());
    give(mine, take(mine, 50));
    mine.reclaim();
    expect(mine.stats()).toMatchObject({ used: 0, slabs: 1, freeInCaches: CAP });
    theirs.reclaim();
    expect(mine.stats().slabs).toBe(0);
    expectSound(uma);
  });

  test("a call to drain is done at the next slow path or poll of the worker called", () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const { i32 } = uma.core.floor.cells;
    for (const notice of [() => uma.poll(), () => give(zone, take(zone, 1)), () => void zone.reclaim()]) {
      give(zone, take(zone, 2 * CAP));
      expect(zone.stats().freeInCaches).toBe(2 * CAP);
      i32[zone.line + LINE_REASONS] = REASON_DRAIN;
      i32[zone.line + LINE_TOP] = 0;
      notice();
      expect(i32[zone.line + LINE_REASONS]).toBe(0);
      expect(zone.stats().freeInCaches).toBeLessThanOrEqual(CAP);
      expectSound(uma);
    }
  });

  test("a call that comes while a slow path runs is seen at the next free, not covered up", () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const { i32 } = uma.core.floor.cells;
    const items = take(zone, 2 * CAP);
    i32[zone.line + LINE_REASONS] = REASON_DRAIN;
    uma.core.caches.resetTop(zone);
    expect(i32[zone.line + LINE_TOP]).toBe(0);
    zone.free(items.pop() as number);
    expect(i32[zone.line + LINE_REASONS]).toBe(0);
    give(zone, items);
    expect(i32[zone.line + LINE_TOP]).toBe(BUCKET_EMPTY + CAP);
    expectSound(uma);
  });

  test.each([definition, hooked])(
    "a call that meets an empty bucket and a full spare ($name) sends no empty bucket to the depot",
    (which) => {
      const uma = makeUma();
      const zone = uma.open(which);
      const { i32 } = uma.core.floor.cells;
      const items = take(zone, 5 * CAP);
      give(zone, items.splice(0, 2 * CAP));
      // The alloc bucket empty, the spare full: as after an exchange.
      const held = take(zone, CAP);
      expect(lineOf(uma, zone)).toEqual({ sp: 0, spare: CAP });
      i32[zone.line + LINE_REASONS] = REASON_DRAIN;
      i32[zone.line + LINE_TOP] = 0;
      zone.free(items.pop() as number);
      expectSound(uma);
      give(zone, [...items, ...held]);
      expectSound(uma);
      expect(zone.stats().used).toBe(0);
    },
  );
});

describe("while a lock is out of reach", () => {
  test("an allocation that needs the depot answers BUSY, and one from the bucket goes on", () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const { keg } = zone;
    zone.alloc();
    whileHeld(rivalOf(uma), keg + KEG_LOCK, () => {
      expect(take(zone, CAP - 1).length).toBe(CAP - 1);
      expect(zone.tryAlloc()).toBe(0);
      expect(uma.lastFailure).toBe("BUSY");
      expect(codeOf(() => zone.alloc())).toBe("ERR_UMA_BUSY");
      expect(codeOf(() => zone.reclaim())).toBe("ERR_UMA_BUSY");
      expect(codeOf(() => zone.prealloc(10_000))).toBe("ERR_UMA_BUSY");
    });
    expect(zone.stats()).toMatchObject({ used: CAP, fail: 2 });
    expect(zone.alloc()).toBeGreaterThan(0);
    expectSound(uma);
  });

  test.each([
    ["the pool's", SB_POOL_LOCK],
    ["the heap's", SB_HEAP_ARENA],
  ])("%s: a zone that has to grow answers BUSY, and nothing is lost", (_whose, lock) => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const { base } = uma.core.floor.cells;
    whileHeld(rivalOf(uma), base + lock, () => {
      expect(zone.tryAlloc()).toBe(0);
      expect(uma.lastFailure).toBe("BUSY");
      expect(codeOf(() => zone.prealloc(1))).toBe("ERR_UMA_BUSY");
    });
    expect(zone.stats()).toMatchObject({ used: 0, slabs: 0, fail: 1 });
    uma.poll();
    expectSound(uma);
    zone.free(zone.alloc());
    expectSound(uma);
  });

  test.each([definition, hooked])(
    "a free never fails ($name): the item waits in this thread, is still counted, and is put back later",
    (which) => {
      const uma = makeUma();
      const zone = uma.open(which);
      const items = take(zone, 4 * CAP);
      give(zone, items.splice(0, 2 * CAP));
      expect(lineOf(uma, zone)).toEqual({ sp: CAP, spare: CAP });
      whileHeld(rivalOf(uma), zone.keg + KEG_LOCK, () => {
        give(zone, items.splice(0, 5));
        expect(uma.core.unfinished.length).toBe(5);
        expect(zone.stats().used).toBe(2 * CAP);
        // None of them can be freed again, nor used.
        const { item } = uma.core.unfinished[0] as { item: number };
        expect(codeOf(() => zone.free(item))).toBe("ERR_UMA_ITEM_BUSY");
      });
      zone.free(items.pop() as number);
      expect(uma.core.unfinished).toEqual([]);
      expect(zone.stats().used).toBe(items.length);
      expectSound(uma);
      give(zone, items);
      expectSound(uma);
    },
  );

  test("uma.poll puts back what waits", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("none", { size: 64, bucket: 0 }));
    const items = take(zone, 3);
    whileHeld(rivalOf(uma), zone.keg + KEG_LOCK, () => give(zone, items));
    expect(zone.stats().used).toBe(3);
    uma.poll();
    expect(zone.stats().used).toBe(0);
    expectSound(uma);
  });

  test("a drain that is cut short at any lock leaves a line that no free can write past, and goes on later", () => {
    for (let nth = 1; nth <= 5; nth++) {
      const uma = makeUma();
      const zone = uma.open(definition);
      const { i32 } = uma.core.floor.cells;
      const items = take(zone, 6 * CAP);
      const spareItem = items.pop() as number;
      give(zone, items);
      const workers = i32[SB_WORKERS];
      const refusal = refuseLocks(uma.core.floor, nth);
      expect(codeOf(() => zone.reclaim())).toBe("ERR_UMA_BUSY");
      refusal.restore();
      expect(i32[zone.line + LINE_TOP]).toBe(0);
      zone.free(spareItem);
      expect(i32[SB_WORKERS]).toBe(workers);
      const sp = i32[zone.line + LINE_SP] as number;
      expect(sp === NO_BUCKET || (sp & BUCKET_MASK) >= BUCKET_EMPTY).toBe(true);
      expect(zone.stats().used).toBe(0);
      expectSound(uma);
      zone.reclaim();
      expect(zone.stats().slabs).toBe(0);
      expectSound(uma);
    }
  });

  test("whichever lock of a slow path is refused, whatever was asked for: nothing is lost or counted twice", () => {
    const work: [string, (uma: Uma, zone: Zone, items: number[]) => void][] = [
      [
        "grow",
        (_uma, zone, items) => void items.push(...Array.from({ length: 3 * CAP }, () => zone.tryAlloc()).filter((item) => item !== 0)),
      ],
      ["free", (_uma, zone, items) => give(zone, items.splice(0, 3 * CAP))],
      ["reclaim", (_uma, zone) => void zone.reclaim()],
      ["prealloc", (_uma, zone) => zone.prealloc(1000)],
    ];
    for (const which of [definition, hooked, defineZone("plain", { size: 600, bucket: 0 })]) {
      for (const [what, run] of work) {
        for (let nth = 1; nth <= 24; nth++) {
          const uma = makeUma({ bytes: 1 << 20 });
          const zone = uma.open(which);
          const items = take(zone, 5 * CAP);
          give(zone, items.splice(0, CAP));
          const refusal = refuseLocks(uma.core.floor, nth, 1 + (nth % 3));
          try {
            run(uma, zone, items);
          } catch (error) {
            expect(error, what).toMatchObject({ code: "ERR_UMA_BUSY" });
          }
          refusal.restore();
          uma.poll();
          expect(zone.stats().used, `${what}, ${nth}`).toBe(items.length);
          expectSound(uma);
          give(zone, items);
          zone.reclaim();
          expect(zone.stats().slabs).toBe(0);
          expectSound(uma);
        }
      }
    }
  });
});

describe("without memory for a bucket", () => {
  test("items come one at a time from their slab, and go back there", () => {
    const uma = makeUma({ bytes: 131_072, workers: 1, bootPages: 4 });
    const zone = uma.open(defineZone("lone", { size: 4096 }));
    const fill = uma.open(defineZone("fill", { size: 4096, bucket: 0 }));
    zone.prealloc(2);
    const filled: number[] = [];
    for (let item = fill.tryAlloc(); item !== 0; item = fill.tryAlloc()) filled.push(item);
    const items = take(zone, 2);
    expect(lineOf(uma, zone)).toEqual({});
    expect(zone.tryAlloc()).toBe(0);
    expect(uma.lastFailure).toBe("EMPTY");
    expect(zone.stats()).toMatchObject({ used: 2, freeInCaches: 0 });
    give(zone, items);
    expect(zone.stats()).toMatchObject({ used: 0, freeInSlabs: 2, requests: 2 });
    expectSound(uma);
    give(fill, filled);
    expectSound(uma);
  });
});

describe("a drain that a lock out of reach cuts short between two buckets of a line", () => {
  test.each([
    ["items larger than a page", defineZone("large", { size: 8192 })],
    ["a depot with a bound", defineZone("few", { size: 64, bucket: CAP, maxCache: 2 * CAP })],
  ])("leaves a line that frees go on with: %s", (_what, of) => {
    const uma = makeUma();
    const zone = uma.open(of);
    const items = take(zone, 60);
    const kept = items.splice(0, 5);
    give(zone, items);
    const refused = refuseLocks(uma.core.floor, 2);
    expect(codeOf(() => zone.reclaim("drain"))).toBe("ERR_UMA_BUSY");
    refused.restore();
    // One that went round in circles would ask for the lock for ever.
    const asked = vi.spyOn(uma.core.floor.locks, "acquire");
    give(zone, kept);
    expect(asked.mock.calls.length).toBeLessThan(20);
    expect(zone.stats().used).toBe(0);
    expectSound(uma);
  });
});

test("an item whose own dtor has had its zone closed and taken apart is not freed once more", async () => {
  const uma = makeUma();
  const other = await secondWorker(uma);
  const primary = defineZone("primary", { size: 64, secondaries: true });
  const p = uma.open(primary);
  let meanwhile = (): void => undefined;
  const s = uma.open(defineSecondary("secondary", primary, { dtor: () => meanwhile() }));
  other.open(primary);
  const theirs = other.open(defineSecondary("secondary", primary, { dtor() {} }));
  const item = s.alloc();
  meanwhile = () => {
    meanwhile = () => undefined;
    theirs.destroy({ force: true });
    uma.poll();
  };
  s.free(item);
  uma.poll();
  uma.poll();
  expect(s.closed).toBe(true);
  p.free(p.alloc());
  expectSound(uma);
});

test("a zone made on the record of one that somebody is still looking at leaves him the lock", () => {
  const uma = makeUma();
  const rival = rivalOf(uma);
  const { i32 } = uma.core.floor.cells;
  const old = uma.open(defineZone("old", { size: 64, bucket: 0 }));
  const { keg } = old;
  rival.locks.acquire(keg + KEG_LOCK, 0);
  old.destroy();
  const young = uma.open(defineZone("young", { size: 128 }));
  expect(young.keg).toBe(keg);
  expect(i32[keg + KEG_LOCK]).toBe(rival.me);
  rival.locks.release();
  young.free(young.alloc());
  expectSound(uma);
});
