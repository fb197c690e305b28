import { expect, test } from "vitest";
import { Uma, type Zone, defineZone } from "../../../src/index.ts";

const MIB = 2 ** 20;
const coded = (code: string): unknown => expect.objectContaining({ code });

function makeUma(): Uma {
  return Uma.create({ bytes: 8 * MIB, workers: 8 });
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

test("a limit that is no multiple of a slab or a bucket is met exactly", () => {
  const uma = makeUma();
  for (const limit of [1, 2, 7, 121, 1000]) {
    const z = uma.open(defineZone(`limit ${limit}`, { size: 64, limit }));
    expect(takeAll(z).length).toBe(limit);
    expect(uma.lastFailure).toBe("LIMIT");
    expect(z.getMax()).toBe(limit);
    expect(z.getCur()).toBe(limit);
  }
  finish(uma);
});

test("setMax raises, lowers and clears the limit of a zone in use", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("moving", { size: 100, limit: 10 }));
  const items = takeAll(z);
  z.setMax(25);
  items.push(...takeAll(z));
  expect(items.length).toBe(25);
  z.setMax(5);
  expect(z.tryAlloc()).toBe(0);
  expect(uma.verify().problems).toEqual([]);
  for (const item of items.splice(5)) z.free(item);
  expect(z.tryAlloc()).toBe(0);
  z.free(items.pop() as number);
  expect(z.tryAlloc()).not.toBe(0);
  expect(z.tryAlloc()).toBe(0);
  z.setMax(0);
  expect(z.getMax()).toBe(0);
  expect(z.tryAlloc()).not.toBe(0);
  expect(z.stats().limit).toBe(0);
  finish(uma);
});

test("lowering the limit gives what is only cached back to the slabs", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("cached", { size: 64 }));
  const items = Array.from({ length: 1000 }, () => z.alloc());
  for (const item of items) z.free(item);
  z.setMax(3);
  expect(takeAll(z).length).toBe(3);
  finish(uma);
});

test("an item that ctor refuses is not counted against the limit", () => {
  const uma = makeUma();
  let refuse = true;
  const z = uma.open(defineZone("choosy", { size: 64, limit: 4, ctor: () => !refuse }));
  for (let n = 0; n < 100; n++) expect(z.tryAlloc()).toBe(0);
  expect(uma.lastFailure).toBe("REFUSED");
  refuse = false;
  expect(takeAll(z).length).toBe(4);
  const { used, fail, requests } = z.stats();
  expect({ used, fail, requests }).toEqual({ used: 4, fail: 101, requests: 4 });
  finish(uma);
});

test("the limit of another definition of the zone is not what setMax made of it", () => {
  const uma = makeUma();
  const d = defineZone("same", { size: 64, limit: 10 });
  uma.open(d).setMax(20);
  expect(uma.open(d).getMax()).toBe(20);
  finish(uma);
});

test("a warning is written once in its period, however often the limit is met", () => {
  const uma = makeUma();
  const said: string[] = [];
  const z = uma.open(defineZone("warned", { size: 64, limit: 1 }));
  z.setWarning("raise the limit", { to: (line) => said.push(line) });
  z.alloc();
  for (let n = 0; n < 10; n++) z.tryAlloc();
  expect(said).toEqual(["[zone: warned] raise the limit"]);
  z.setWarning("again", { to: (line) => said.push(line), every: 0 });
  z.tryAlloc();
  z.tryAlloc();
  expect(said.length).toBe(3);
  finish(uma);
});

test("a max action is called when the limit is met, may free items, and is not called while it runs", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("acting", { size: 64, limit: 2 }));
  const items = takeAll(z);
  let calls = 0;
  z.setMaxAction((zone) => {
    calls++;
    expect(zone.tryAlloc()).toBe(0);
    zone.free(items.pop() as number);
  });
  expect(z.tryAlloc()).toBe(0);
  expect(uma.lastFailure).toBe("LIMIT");
  expect(calls).toBe(1);
  expect(z.tryAlloc()).not.toBe(0);
  z.setMaxAction(null);
  z.tryAlloc();
  expect(calls).toBe(1);
  finish(uma);
});

test("setMaxCache bounds what lies in caches, and 0 means none at all", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("bounded", { size: 64 }));
  const churn = (): number => {
    const items = Array.from({ length: 2000 }, () => z.alloc());
    for (const item of items) z.free(item);
    const { freeInDepot, freeInCaches } = z.stats();
    return freeInDepot + freeInCaches;
  };
  expect(churn()).toBeGreaterThan(1900);
  for (const bound of [300, 50, 7, 1, 0]) {
    z.setMaxCache(bound);
    expect(churn()).toBeLessThanOrEqual(bound);
  }
  z.setMaxCache(Infinity);
  expect(churn()).toBeGreaterThan(1900);
  finish(uma);
});

test("bad values are refused and change nothing", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("strict", { size: 64, limit: 9 }));
  for (const bad of [-1, 1.5, NaN, Infinity, 2 ** 31, "5" as unknown as number]) {
    expect(() => z.setMax(bad)).toThrow(coded("ERR_UMA_OPTION"));
  }
  for (const bad of [-1, 1.5, NaN, 2 ** 31]) expect(() => z.setMaxCache(bad)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => z.setWarning(5 as unknown as string)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => z.setWarning("x", { every: -1 })).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => z.setMaxAction(5 as unknown as null)).toThrow(coded("ERR_UMA_OPTION"));
  expect(z.getMax()).toBe(9);
  finish(uma);
});
