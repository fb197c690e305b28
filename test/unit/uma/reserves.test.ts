import { expect, test } from "vitest";
import { Uma, type Zone, defineZone } from "../../../src/index.ts";
import { hire } from "../../fixtures/crew.ts";
import { expectSound, take } from "../../fixtures/zones.ts";
import { ten } from "../../fixtures/feature-zones.ts";

const MIB = 2 ** 20;
const coded = (code: string): unknown => expect.objectContaining({ code });

function makeUma(bytes = 8 * MIB): Uma {
  return Uma.create({ bytes, workers: 4, patience: 2000 });
}

function takeAll(z: Zone): number[] {
  const items: number[] = [];
  for (let p = z.tryAlloc(); p !== 0; p = z.tryAlloc()) items.push(p);
  return items;
}

function finish(uma: Uma): void {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
}

test("a reserve is there for those who ask for it, and for nobody else", () => {
  const uma = makeUma(MIB);
  const z = uma.open(defineZone("reserved", { size: 256 }));
  z.reserve(20);
  expect(z.stats().freeInSlabs).toBeGreaterThanOrEqual(20);
  takeAll(z);
  expect(uma.lastFailure).toBe("EMPTY");
  expect(z.stats().freeInSlabs).toBe(20);
  for (let n = 0; n < 20; n++) expect(z.allocReserved()).not.toBe(0);
  expect(z.allocReserved()).toBe(0);
  expect(z.tryAlloc()).toBe(0);
  finish(uma);
});

test("a reclaim leaves the reserve", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("kept", { size: 256 }));
  z.reserve(100);
  z.prealloc(1000);
  z.reclaim("drain");
  expect(z.stats().freeInSlabs).toBeGreaterThanOrEqual(100);
  expect(z.stats().freeInSlabs).toBeLessThan(200);
  finish(uma);
});

test("reserveKva sets a range aside: a limit, and slabs that stay", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("range", { size: 256 }));
  expect(z.reserveKva(500)).toBe(true);
  expect(z.getMax()).toBe(500);
  const { pages } = z.stats();
  expect(z.reclaim()).toEqual({ slabs: 0, bytes: 0 });
  expect(takeAll(z).length).toBe(500);
  expect(z.stats().pages).toBe(pages);
  finish(uma);
});

test("reserveKva that finds no memory says so and gives back what it took", () => {
  const uma = makeUma(MIB);
  const z = uma.open(defineZone("range", { size: 4096 }));
  const before = uma.stats().heapInUse;
  expect(z.reserveKva(100_000)).toBe(false);
  expect(z.getMax()).toBe(0);
  expect(z.stats().pages).toBe(0);
  expect(uma.stats().heapInUse - before).toBeLessThan(20 * 4096);
  finish(uma);
});

test("prefill: the next allocations cannot fail, though others take all the rest", () => {
  const uma = makeUma(MIB);
  const z = uma.open(defineZone("ahead", { size: 256 }));
  z.prefill(50);
  expect(z.stats().used).toBe(0);
  expect(uma.verify().problems).toEqual([]);
  const hog = uma.open(defineZone("hog", { size: 256 }));
  takeAll(hog);
  const items: number[] = [];
  for (let n = 0; n < 50; n++) items.push(z.alloc());
  expect(new Set(items).size).toBe(50);
  const rest = z.stats().freeInSlabs;
  expect(takeAll(z).length).toBe(rest);
  finish(uma);
});

test("what was prefilled stays when others ask for what is cached, and goes back when it is no longer wanted", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  z.prefill(8);
  const hand = await hire(uma, "ten");
  const theirs = await hand.tell<number[]>({ op: "alloc", count: 4 });
  expect(theirs.filter((item) => item !== 0).length).toBe(2);
  z.reclaim("drain");
  expect(z.stats().freeInCaches).toBe(8);
  z.prefill(3);
  expect(z.stats().freeInCaches).toBe(3);
  z.prefill(0);
  expect(z.stats().freeInCaches).toBe(0);
  await hand.kill();
  finish(uma);
});

test("a prefill beyond the limit, the memory or a bucket is refused and changes nothing", () => {
  const uma = makeUma(MIB);
  const z = uma.open(defineZone("small", { size: 256, limit: 10 }));
  z.prefill(4);
  expect(() => z.prefill(11)).toThrow(coded("ERR_UMA_LIMIT"));
  expect(z.stats().freeInCaches).toBe(4);
  expect(() => z.prefill(10_000)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => z.prefill(-1)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => z.reserve(1.5)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => z.reserveKva(0)).toThrow(coded("ERR_UMA_OPTION"));
  const big = uma.open(defineZone("big", { size: 65536 }));
  expect(() => big.prefill(100)).toThrow(coded("ERR_UMA_EMPTY"));
  expect(big.stats().freeInCaches).toBe(0);
  expect(big.tryAlloc()).not.toBe(0);
  finish(uma);
});

test("the prefilled items of a worker that is killed come back", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  const hand = await hire(uma, "ten");
  await hand.tell({ op: "prefill", count: 9 });
  expect(takeAll(z).length).toBe(1);
  await hand.kill();
  expect(takeAll(z).length).toBe(9);
  finish(uma);
});

test("a prefill that an exception cuts short, and whose undoing it cuts short too, hands nothing out twice", () => {
  const uma = makeUma();
  const zone = uma.open(defineZone("prefilled before", { size: 64, bucket: 4 }));
  zone.prealloc(300);
  zone.prefill(1);
  const slabs = uma.core.slabs as { -readonly [K in keyof typeof uma.core.slabs]: (typeof uma.core.slabs)[K] };
  const locks = uma.core.floor.locks as { -readonly [K in keyof typeof uma.core.floor.locks]: (typeof uma.core.floor.locks)[K] };
  const { take: takeItems } = slabs;
  const { release } = locks;
  slabs.take = (...given) => {
    takeItems(...given);
    throw new RangeError("as if the stack were full");
  };
  locks.release = () => {
    throw new RangeError("as if the stack were full");
  };
  expect(() => zone.prefill(5)).toThrow(RangeError);
  Object.assign(slabs, { take: takeItems });
  Object.assign(locks, { release });
  const items = take(zone, 200);
  expect(new Set(items).size).toBe(200);
  expectSound(uma);
});
