import { expect, test } from "vitest";
import { UmaError } from "../../../src/backend/memory/errors.ts";
import { defineZone } from "../../../src/uma/definition.ts";
import { Uma } from "../../../src/uma/uma.ts";

test("maxCache bounds the items in the depot; what is more goes back to the slabs", () => {
  const uma = Uma.create({ bytes: 2 ** 21, workers: 2 });
  const zone = uma.open(defineZone("bounded", { size: 64, bucket: 10, maxCache: 25 }));
  const free = uma.open(defineZone("unbounded", { size: 64, bucket: 10 }));
  for (const z of [zone, free]) {
    const items = Array.from({ length: 500 }, () => z.alloc());
    for (const item of items) z.free(item);
    expect(z.stats().used).toBe(0);
  }
  expect(zone.stats().freeInDepot).toBeLessThanOrEqual(25);
  expect(zone.stats().freeInDepot).toBeGreaterThan(0);
  expect(zone.stats().freeInSlabs).toBeGreaterThan(450);
  expect(free.stats().freeInDepot).toBeGreaterThan(450);
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

test("a bucket of items that each move their slab into another list goes back to the slabs, in transactions that are not too long", () => {
  const uma = Uma.create({ bytes: 2 ** 22, workers: 2 });
  const zone = uma.open(defineZone("scattered", { size: 512, bucket: 200, maxCache: 1 }));
  const perSlab = 8;
  const items = Array.from({ length: 400 * perSlab }, () => zone.alloc()).sort((one, other) => one - other);
  // One of each slab, then the next of each.
  for (let nth = 0; nth < perSlab; nth++) {
    for (let slab = 0; slab < 400; slab++) zone.free(items[slab * perSlab + nth] as number);
    expect(uma.verify().problems).toEqual([]);
  }
  expect(zone.stats().freeInSlabs).toBeGreaterThan(400 * perSlab - 401);
  expect(zone.reclaim("drain").slabs).toBeGreaterThan(395);
  uma.detach();
});

test.each([-1, 0.5, Number.NaN, 2 ** 31])("a maxCache of %d is refused", (maxCache) => {
  expect(() => defineZone("wrong", { size: 64, maxCache })).toThrow(UmaError);
});
