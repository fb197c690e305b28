import { expect, test } from "vitest";
import { Uma, type Zone, defineZone } from "../../../src/index.ts";
import { secondWorker } from "../../fixtures/zones.ts";

const MIB = 2 ** 20;
const coded = (code: string): unknown => expect.objectContaining({ code });

function makeUma(): Uma {
  return Uma.create({ bytes: 8 * MIB, workers: 8 });
}

function finish(uma: Uma): void {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
}

const KINDS = [
  ["plain", {}],
  ["unchecked", { checks: false }],
  ["hooked", { ctor: (): void => undefined }],
  ["without buckets", { bucket: 0 }],
  ["with buckets of three", { bucket: 3 }],
] as const;

test.each(KINDS)("a zone %s gives many items at once, all different, and takes them back", (_kind, options) => {
  const uma = makeUma();
  const z = uma.open(defineZone("bulk", { size: 64, ...options }));
  for (const count of [0, 1, 32, 500]) {
    const items = new Int32Array(count);
    expect(z.allocBulk(items)).toBe(true);
    expect(new Set(items).size).toBe(count);
    expect(z.stats().used).toBe(count);
    expect(uma.verify().problems).toEqual([]);
    z.freeBulk(items);
    expect(z.stats().used).toBe(0);
  }
  expect(z.stats().requests).toBe(533);
  finish(uma);
});

test("all or nothing: where there are not so many, none is taken or counted", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("few", { size: 64, limit: 10 }));
  const items = new Array<number>(11).fill(5);
  expect(z.allocBulk(items)).toBe(false);
  expect(uma.lastFailure).toBe("LIMIT");
  expect(items).toEqual(new Array(11).fill(0));
  const { used, requests, fail } = z.stats();
  expect({ used, requests, fail }).toEqual({ used: 0, requests: 0, fail: 1 });
  expect(z.allocBulk(items, 10)).toBe(true);
  finish(uma);
});

test("a ctor that refuses in the middle ends it: what was built goes through dtor", () => {
  const uma = makeUma();
  const log: string[] = [];
  const z = uma.open(
    defineZone("choosy", {
      size: 64,
      ctor: (_item, arg) => {
        log.push("ctor");
        return log.length < (arg as number);
      },
      dtor: () => void log.push("dtor"),
    }),
  );
  expect(z.allocBulk(new Int32Array(8), 8, 4)).toBe(false);
  expect(log).toEqual(["ctor", "ctor", "ctor", "ctor", "dtor", "dtor", "dtor"]);
  expect(z.stats().used).toBe(0);
  finish(uma);
});

test("a list with one bad address is refused and nothing of it is freed", () => {
  const uma = makeUma();
  for (const options of [{}, { dtor: (): void => undefined }]) {
    const z = uma.open(defineZone(`bad ${JSON.stringify(Object.keys(options))}`, { size: 64, ...options }));
    const other = uma.open(defineZone("other", { size: 64 }));
    const items = Array.from({ length: 8 }, () => z.alloc());
    const free = z.alloc();
    z.free(free);
    for (const [bad, code] of [
      [items[0] as number, "ERR_UMA_DOUBLE_FREE"],
      [free, "ERR_UMA_DOUBLE_FREE"],
      [(items[0] as number) + 16, "ERR_UMA_ADDRESS"],
      [other.alloc(), "ERR_UMA_WRONG_ZONE"],
      [-5, "ERR_UMA_ADDRESS"],
      [1.5, "ERR_UMA_ADDRESS"],
    ] as const) {
      expect(() => z.freeBulk([...items, bad])).toThrow(coded(code));
      expect(z.stats().used).toBe(8);
      expect(items.map((item) => z.ownerOf(item))).toEqual(items.map(() => uma.slot));
    }
    expect(() => z.freeBulk(items, 9)).toThrow(coded("ERR_UMA_OPTION"));
    expect(() => z.freeBulk("x" as unknown as number[])).toThrow(coded("ERR_UMA_OPTION"));
    expect(() => z.allocBulk(items, -1)).toThrow(coded("ERR_UMA_OPTION"));
    z.freeBulk([...items, 0]);
    expect(z.stats().used).toBe(0);
  }
  finish(uma);
});

test("items of another worker in the list are freed with the rest", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("mixed", { size: 64 }));
  const items = Array.from({ length: 8 }, () => z.alloc());
  const ticket = uma.ticket();
  z.transfer(items[3] as number, ticket.name & 127);
  z.freeBulk(items);
  expect(z.stats().used).toBe(0);
  expect(z.stats().xdomain).toBe(1);
  finish(uma);
});

test("another worker's item that stands twice in a list is refused, with nothing freed", async () => {
  const uma = makeUma();
  const zone = uma.open(defineZone("twice", { size: 64 }));
  const other = await secondWorker(uma);
  const there = other.open(defineZone("twice", { size: 64 }));
  const [theirs, second] = [there.alloc(), there.alloc()];
  const mine = zone.alloc();
  for (const list of [
    [theirs, theirs],
    [mine, theirs, second, mine],
    [theirs, second, 12345],
  ]) {
    expect(() => zone.freeBulk(list)).toThrow();
    expect([zone.ownerOf(theirs), zone.ownerOf(second), zone.ownerOf(mine)]).toEqual([other.slot, other.slot, uma.slot]);
    expect(zone.getCur()).toBe(3);
  }
  zone.freeBulk([theirs, mine, second]);
  expect(zone.stats()).toMatchObject({ used: 0, xdomain: 2 });
  expect(uma.verify().problems).toEqual([]);
  other.detach();
  uma.detach();
});

test.each([0.5, 2.5, -1, Number.NaN, 33, "2"])("a count of %s is refused, and nothing is taken or freed", (count) => {
  const uma = makeUma();
  const z = uma.open(defineZone("counted", { size: 64 }));
  const items = new Int32Array(32);
  z.free(z.alloc());
  expect(() => z.allocBulk(items, count as number)).toThrow(coded("ERR_UMA_OPTION") as Error);
  expect(z.allocBulk(items)).toBe(true);
  expect(() => z.freeBulk(items, count as number)).toThrow(coded("ERR_UMA_OPTION") as Error);
  expect(z.stats().used).toBe(32);
  z.freeBulk(items);
  finish(uma);
});

test.each([Int32Array, Array<number>])("a list with an item twice, or free already, is refused and frees nothing: as %p", (List) => {
  const uma = makeUma();
  const z = uma.open(defineZone("twice", { size: 64 }));
  const items = new List(32) as Int32Array;
  expect(z.allocBulk(items)).toBe(true);
  const [first, last] = [items[0] as number, items[31] as number];
  for (const wrong of [first, first + 16, 12, 2 ** 30]) {
    items[31] = wrong;
    expect(() => z.freeBulk(items)).toThrow();
    expect(z.stats().used).toBe(32);
    expect(uma.verify().problems).toEqual([]);
  }
  items[31] = last;
  z.freeBulk(items);
  expect(() => z.freeBulk(items)).toThrow(coded("ERR_UMA_DOUBLE_FREE") as Error);
  expect(z.stats().used).toBe(0);
  finish(uma);
});

/** A list of neighbours of one page, as a slab gives them out, from a bucket that is full of them. */
function neighbours(z: Zone, count: number): Int32Array {
  const items = new Int32Array(count);
  z.free(z.alloc());
  expect(z.allocBulk(items)).toBe(true);
  const steps = new Set([...items.subarray(1)].map((item, n) => item - (items[n] as number)));
  expect([...steps].map(Math.abs)).toEqual([64]);
  return items;
}

test.each([16, 17, 31, 32, 48])("%s neighbours are given and taken in any order, and marked like any other item", (count) => {
  const uma = makeUma();
  const z = uma.open(defineZone("neighbours", { size: 64, bucket: 64 }));
  const items = neighbours(z, count);
  for (const order of ["as given", "reversed", "halves swapped", "as given"]) {
    expect([...items].map((item) => z.ownerOf(item))).toEqual([...items].map(() => uma.slot));
    expect(z.stats().used).toBe(count);
    if (order === "reversed") items.reverse();
    if (order === "halves swapped") items.set([...items.slice(count >> 1), ...items.slice(0, count >> 1)]);
    z.freeBulk(items);
    expect(z.stats().used).toBe(0);
    expect(uma.verify().problems).toEqual([]);
    for (const item of items) expect(() => z.free(item)).toThrow(coded("ERR_UMA_DOUBLE_FREE") as Error);
    expect(z.allocBulk(items)).toBe(true);
    expect(new Set(items).size).toBe(count);
  }
  z.freeBulk(items);
  finish(uma);
});

test.each([0, 5, 15, 16, 31])("neighbours of which the one at %s is not to be freed stay as they are", async (at) => {
  const uma = makeUma();
  const z = uma.open(defineZone("neighbours", { size: 64, bucket: 64 }));
  const items = neighbours(z, 32);
  const victim = items[at] as number;
  z.free(victim);
  expect(() => z.freeBulk(items)).toThrow(coded("ERR_UMA_DOUBLE_FREE") as Error);
  expect(z.stats().used).toBe(31);
  expect(uma.verify().problems).toEqual([]);
  expect(z.alloc()).toBe(victim);
  for (const wrong of [items[(at + 1) & 31] as number, victim + 16, 12]) {
    items[at] = wrong;
    expect(() => z.freeBulk(items)).toThrow();
    expect(z.stats().used).toBe(32);
    expect(uma.verify().problems).toEqual([]);
  }
  items[at] = victim;
  // One that is another worker's by now is freed with the rest, by the long way.
  const other = await secondWorker(uma);
  z.transfer(victim, other.slot);
  z.freeBulk(items);
  expect(z.stats()).toMatchObject({ used: 0, xdomain: 1 });
  other.detach();
  finish(uma);
});

test("a list that is longer than the buckets is freed by the bucket, whatever is in it", async () => {
  const uma = makeUma();
  const z = uma.open(defineZone("long", { size: 64, bucket: 20 }));
  const other = await secondWorker(uma);
  const items = new Int32Array(103);
  expect(z.allocBulk(items, 100)).toBe(true);
  z.transfer(items[50] as number, other.slot);
  items.copyWithin(31, 30, 100);
  items[30] = 0;
  z.freeBulk(items);
  expect(z.stats()).toMatchObject({ used: 0, xdomain: 1, requests: 100 });
  other.detach();
  finish(uma);
});
