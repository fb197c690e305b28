import { describe, expect, test } from "vitest";
import { defineZone } from "../../../src/index.ts";
import { errorOf } from "../../fixtures/codes.ts";
import { expectSound, give, makeUma, secondWorker, take } from "../../fixtures/zones.ts";

describe("a limit", () => {
  test.each([
    [1, {}],
    [7, {}],
    [100, {}],
    [1000, {}],
    [7, { bucket: 0 }],
    [100, { bucket: 1 }],
    [100, { checks: false }],
    [7, { ctor: () => true }],
  ])("of %d items (%o) lets so many be out, and no more", (limit, options) => {
    const uma = makeUma();
    const zone = uma.open(defineZone("limited", { size: 64, limit, ...options }));
    const items = take(zone, limit);
    expect(zone.tryAlloc()).toBe(0);
    expect(uma.lastFailure).toBe("LIMIT");
    expect(errorOf(() => zone.alloc())).toMatchObject({ code: "ERR_UMA_LIMIT", zone: "limited" });
    expect(zone.stats()).toMatchObject({ limit, used: limit, fail: 2 });
    expectSound(uma);
    zone.free(items.pop() as number);
    items.push(zone.alloc());
    expect(zone.tryAlloc()).toBe(0);
    give(zone, items);
    expect(zone.stats().used).toBe(0);
    expectSound(uma);
    give(zone, take(zone, limit));
    expectSound(uma);
  });

  test("does not bound what is preallocated, only what is out of the slabs", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("limited", { size: 64, limit: 10 }));
    zone.prealloc(200);
    expect(zone.stats().freeInSlabs).toBeGreaterThanOrEqual(200);
    expect(take(zone, 10).length).toBe(10);
    expect(zone.tryAlloc()).toBe(0);
    expect(uma.lastFailure).toBe("LIMIT");
    expectSound(uma);
  });

  test("counts what lies in caches: it is never passed, however many workers there are", async () => {
    const uma = makeUma();
    const definition = defineZone("limited", { size: 64, limit: 20 });
    const mine = uma.open(definition);
    const other = await secondWorker(uma);
    const theirs = other.open(definition);
    const items = take(mine, 15);
    const others: number[] = [];
    for (let item = theirs.tryAlloc(); item !== 0; item = theirs.tryAlloc()) others.push(item);
    expect(other.lastFailure).toBe("LIMIT");
    expect(others.length).toBeLessThanOrEqual(5);
    expectSound(uma);
    // What the first has cached is within reach of the second once it is in the depot or the slabs.
    mine.reclaim();
    others.push(...take(theirs, 5 - others.length));
    expect(theirs.tryAlloc()).toBe(0);
    expect(mine.tryAlloc()).toBe(0);
    expect(mine.stats().used).toBe(20);
    expectSound(uma);
    give(theirs, items);
    give(mine, others);
    expect(mine.stats()).toMatchObject({ used: 0, xdomain: 20 });
    expectSound(uma);
  });

  test("a limit that another opener's definition does not share is told", () => {
    const uma = makeUma();
    uma.open(defineZone("limited", { size: 64, limit: 10 }));
    expect(errorOf(() => uma.open(defineZone("limited", { size: 64, limit: 11 })))).toMatchObject({
      code: "ERR_UMA_ZONE_MISMATCH",
      zone: "limited",
      value: 10,
    });
    expectSound(uma);
  });
});
