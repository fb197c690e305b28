/**
 * After NetBSD's rump kernspace/alloc.c: a waiter on one pool wakes when another thread empties the other pool, and an allocation
 * that may not wait never exceeds the limit. And after XNU's tests/zalloc.c: one name made and destroyed again and again, trims
 * while others allocate, reserves that are filled again.
 */
import { expect, test } from "vitest";
import { Uma, defineZone } from "../../src/index.ts";
import { hire } from "../fixtures/crew.ts";
import { plain, ten } from "../fixtures/feature-zones.ts";

function finish(uma: Uma): void {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
}

test("a waiter on pool B wakes when another thread empties pool A", async () => {
  const uma = Uma.create({ bytes: 512 * 1024, workers: 4, patience: 2000 });
  const b = uma.open(defineZone("pool b", { size: 1024 }));
  const hand = await hire(uma, "plain");
  const theirs = (await hand.tell<number[]>({ op: "alloc", count: 8000 })).filter((item) => item !== 0);
  const mine: number[] = [];
  for (let item = b.tryAlloc(); item !== 0; item = b.tryAlloc()) mine.push(item);
  const wait = b.allocAsync();
  await hand.tell({ op: "free", items: theirs });
  await hand.tell({ op: "reclaim" });
  expect(await wait).not.toBe(0);
  expect(uma.open(plain).stats().used).toBe(0);
  await hand.kill();
  finish(uma);
});

test("four workers that may not wait never have more than the limit between them", async () => {
  const uma = Uma.create({ bytes: 2 ** 22, workers: 8, patience: 2000 });
  const z = uma.open(ten);
  const hands = await Promise.all([1, 2, 3, 4].map(() => hire(uma, "ten")));
  const taken = await Promise.all(hands.map((hand) => hand.tell<number[]>({ op: "alloc", count: 50 })));
  const items = taken.flat().filter((item) => item !== 0);
  expect(new Set(items).size).toBe(items.length);
  expect(items.length).toBeLessThanOrEqual(10);
  expect(z.getCur()).toBe(items.length);
  for (const hand of hands) await hand.kill();
  finish(uma);
});

test("one name is made and destroyed five times", () => {
  const uma = Uma.create({ bytes: 2 ** 22, workers: 4, patience: 2000 });
  const before = uma.stats().heapInUse;
  for (let round = 0; round < 5; round++) {
    const z = uma.open(defineZone("again", { size: 256 + round }));
    const items = Array.from({ length: 100 }, () => z.alloc());
    for (const item of items) z.free(item);
    z.reclaim("drain");
    const used = z.alloc();
    expect(used).not.toBe(0);
    z.free(used);
    z.destroy();
  }
  expect(uma.stats().heapInUse).toBeLessThanOrEqual(before + 8 * 4096);
  finish(uma);
});

test("trims and drains race with workers that allocate, and lose nothing", async () => {
  const uma = Uma.create({ bytes: 2 ** 23, workers: 8, patience: 2000 });
  const z = uma.open(plain);
  const hands = await Promise.all([1, 2, 3].map(() => hire(uma, "plain")));
  let working = true;
  const work = Promise.all(hands.map((hand) => hand.tell<number>({ op: "churn", count: 300 }))).finally(() => {
    working = false;
  });
  const modes = ["trim", "drain", "drain-cpu"] as const;
  for (let n = 0; working; n++) {
    z.reclaim(modes[n % 3]);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(await work).toEqual([300, 300, 300]);
  expect(z.stats().used).toBe(0);
  for (const hand of hands) await hand.kill();
  finish(uma);
});

test("a reserve that was used is filled again by what is freed", () => {
  const uma = Uma.create({ bytes: 2 ** 20, workers: 2 });
  const z = uma.open(defineZone("reserve", { size: 1024, bucket: 0 }));
  z.reserve(4);
  const items: number[] = [];
  for (let item = z.tryAlloc(); item !== 0; item = z.tryAlloc()) items.push(item);
  for (let round = 0; round < 10; round++) {
    const urgent = [1, 2, 3, 4].map(() => z.allocReserved());
    expect(urgent.includes(0)).toBe(false);
    expect(z.allocReserved()).toBe(0);
    for (const item of urgent) z.free(item);
    expect(z.tryAlloc()).toBe(0);
  }
  finish(uma);
});
