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

test.each([-1, 0.5, Number.NaN, 2 ** 31])("a maxCache of %d is refused", (maxCache) => {
  expect(() => defineZone("wrong", { size: 64, maxCache })).toThrow(UmaError);
});
