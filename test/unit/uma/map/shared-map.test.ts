import { expect, test } from "vitest";
import { MARK_ORPHAN } from "../../../../src/backend/memory/layout.ts";
import { Uma, defineMap, openMap } from "../../../../src/index.ts";

const MIB = 2 ** 20;
const coded = (code: string): unknown => expect.objectContaining({ code });

function makeUma(): Uma {
  return Uma.create({ bytes: 16 * MIB, workers: 4 });
}

function finish(uma: Uma): void {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
}

test("what is set is got, replaced and deleted, as in a Map", () => {
  const uma = makeUma();
  const map = openMap(uma, defineMap("numbers", { capacity: 1000 }));
  const model = new Map<number, number>();
  let seed = 12345;
  const next = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >>> 8) % below;
  };
  for (let n = 0; n < 20_000; n++) {
    const key = next(600) - 300;
    switch (next(3)) {
      case 0:
        expect(map.delete(key)).toBe(model.delete(key));
        break;
      case 1:
        map.set(key, n / 4);
        model.set(key, n / 4);
        break;
      default:
        expect(map.get(key)).toBe(model.get(key));
        expect(map.has(key)).toBe(model.has(key));
    }
  }
  expect(map.size).toBe(model.size);
  expect(new Map(map.entries())).toEqual(model);
  expect(map.verify()).toEqual([]);
  finish(uma);
});

test.each([
  ["i32", [-(2 ** 31), -1, 0, 1, 2 ** 31 - 1], [2 ** 31, 0.5, NaN]],
  ["u32", [0, 1, 2 ** 31, 2 ** 32 - 1], [-1, 2 ** 32, 0.5]],
  ["item", [0, 16, 4096], [2 ** 31, "x"]],
  ["f64", [-0.5, 0, 2 ** 53, Infinity, NaN], ["x", null]],
] as const)("keys and values of type %s hold their whole range and nothing else", (type, good, bad) => {
  const uma = makeUma();
  const map = openMap(uma, defineMap(`of ${type}`, { capacity: 100, key: type, value: type }));
  for (const key of good) map.set(key, key);
  for (const key of good) expect(map.get(key)).toBe(key);
  const { size } = map;
  for (const wrong of bad) {
    expect(() => map.set(wrong as number, good[0])).toThrow(coded("ERR_UMA_VALUE"));
    expect(() => map.set(good[0], wrong as number)).toThrow(coded("ERR_UMA_VALUE"));
    expect(map.delete(wrong as number)).toBe(false);
  }
  expect(map.size).toBe(size);
  expect(map.verify()).toEqual([]);
  finish(uma);
});

test("a key is given a first value once, and keeps it, by whomever it was given meanwhile", () => {
  const uma = makeUma();
  const definition = defineMap("m", { capacity: 2 });
  const map = openMap(uma, definition);
  expect(map.getOrSet(7, 1)).toBe(1);
  expect(map.getOrSet(7, 2)).toBe(1);
  const nodes = uma.open(definition.nodes);
  const alloc = nodes.allocSmr.bind(nodes);
  // Just before the node is there somebody else sets the key; the second time, their entry is gone again when it is read.
  const seen: string[] = [];
  const free = nodes.freeSmr.bind(nodes);
  nodes.allocSmr = () => {
    nodes.allocSmr = alloc;
    map.set(8, 3);
    return alloc();
  };
  expect(map.getOrSet(8, 4)).toBe(3);
  map.delete(8);
  nodes.allocSmr = () => {
    nodes.allocSmr = alloc;
    map.set(8, 5);
    nodes.freeSmr = (p) => {
      nodes.freeSmr = free;
      seen.push(String(map.get(8)));
      map.delete(8);
      free(p);
    };
    return alloc();
  };
  expect(map.getOrSet(8, 6)).toBe(6);
  expect(seen).toEqual(["5"]);
  expect(() => map.getOrSet(9, 1)).toThrow(coded("ERR_UMA_LIMIT"));
  expect(map.getOrSet(8, 9)).toBe(6);
  expect(() => map.getOrSet(8, "x" as unknown as number)).toThrow(coded("ERR_UMA_VALUE"));
  expect(() => map.getOrSet(0.5, 1)).toThrow(coded("ERR_UMA_VALUE"));
  expect(map.size).toBe(2);
  expect(map.verify()).toEqual([]);
  uma.smr.synchronize(1000);
  finish(uma);
});

test("0 and -0 are one key", () => {
  const uma = makeUma();
  const map = openMap(uma, defineMap("zero", { capacity: 10, key: "f64" }));
  map.set(0, 1);
  map.set(-0, 2);
  expect([map.get(0), map.get(-0), map.size]).toEqual([2, 2, 1]);
  finish(uma);
});

test("a full map refuses a new key, takes a new value of an old one, and a key after a delete", () => {
  const uma = makeUma();
  const map = openMap(uma, defineMap("full", { capacity: 100 }));
  for (let key = 0; key < 100; key++) map.set(key, key);
  expect(() => map.set(100, 1)).toThrow(coded("ERR_UMA_LIMIT"));
  expect(map.size).toBe(100);
  map.set(7, 70);
  expect(map.get(7)).toBe(70);
  map.delete(8);
  map.set(100, 1);
  expect(map.size).toBe(100);
  expect(map.verify()).toEqual([]);
  finish(uma);
});

test("replacing values for ever takes no more memory", () => {
  const uma = makeUma();
  const map = openMap(uma, defineMap("churn", { capacity: 100 }));
  for (let n = 0; n < 2000; n++) map.set(n % 100, n);
  const { heapInUse } = uma.stats();
  for (let n = 0; n < 100_000; n++) map.set(n % 100, n);
  expect(uma.stats().heapInUse).toBeLessThanOrEqual(heapInUse + 16 * 4096);
  finish(uma);
});

test("a value is read inside a section of the caller's, too, and stays what it was there", () => {
  const uma = makeUma();
  const map = openMap(uma, defineMap("section", { capacity: 10 }));
  map.set(1, 5);
  uma.smr.enter();
  expect(map.get(1)).toBe(5);
  map.set(1, 6);
  expect(map.get(1)).toBe(6);
  uma.smr.exit();
  expect(uma.smr.entered()).toBe(false);
  finish(uma);
});

test("a definition that disagrees is refused", () => {
  const uma = makeUma();
  openMap(uma, defineMap("same", { capacity: 100 }));
  for (const options of [
    { capacity: 1000 },
    { capacity: 101 },
    { capacity: 100, key: "u32" as const },
    { capacity: 100, value: "i32" as const },
  ]) {
    expect(() => openMap(uma, defineMap("same", options))).toThrow(coded("ERR_UMA_ZONE_MISMATCH"));
  }
  for (const bad of [
    { capacity: 0 },
    { capacity: 1.5 },
    { capacity: 10, key: "x" as "i32" },
    { capacity: 10, value: 5 as unknown as "i32" },
  ]) {
    expect(() => defineMap("bad", bad)).toThrow(coded("ERR_UMA_OPTION"));
  }
  finish(uma);
});

test.each([
  ["deleted", (map: ReturnType<typeof openMap>) => void map.delete(7)],
  ["replaced", (map: ReturnType<typeof openMap>) => map.set(7, 2)],
])("a dead writer's entry that is being %s is not swept under the hands of who does it", (_how, act) => {
  const uma = makeUma();
  const definition = defineMap("m", { capacity: 10 });
  const map = openMap(uma, definition);
  map.set(7, 1);
  const nodes = uma.open(definition.nodes);
  const [node] = Array.from(nodes.owned());
  const { slabs, floor } = uma.core;
  floor.cells.u8[slabs.markOf(node as number, nodes.shift)] = MARK_ORPHAN;
  const free = nodes.freeSmr.bind(nodes);
  const swept: number[] = [];
  // Just after the node is unlinked somebody sweeps.
  nodes.freeSmr = (p) => {
    nodes.freeSmr = free;
    swept.push(map.sweep());
    // Were this worker to die here, its recovery would find the node by its mark.
    expect(nodes.ownerOf(p)).toBe(uma.slot);
    free(p);
  };
  act(map);
  expect(swept).toEqual([0]);
  map.delete(7);
  expect(map.verify()).toEqual([]);
  uma.smr.synchronize(1000);
  finish(uma);
});

test("of two who sweep at once, one frees what a dead writer has left", () => {
  const uma = makeUma();
  const definition = defineMap("m", { capacity: 10 });
  const map = openMap(uma, definition);
  const nodes = uma.open(definition.nodes);
  const left = nodes.allocSmr();
  const { slabs, floor } = uma.core;
  floor.cells.i32[(left >>> 2) + 1] = 0;
  floor.cells.u8[slabs.markOf(left, nodes.shift)] = MARK_ORPHAN;
  const free = nodes.freeSmr.bind(nodes);
  const swept: number[] = [];
  nodes.freeSmr = (p) => {
    nodes.freeSmr = free;
    swept.push(map.sweep());
    free(p);
  };
  swept.push(map.sweep());
  expect(swept).toEqual([0, 1]);
  expect(map.verify()).toEqual([]);
  uma.smr.synchronize(1000);
  finish(uma);
});

test("a table whose maker died before it was the map's is freed by the next who opens the map", () => {
  const uma = makeUma();
  const definition = defineMap("m", { capacity: 10 });
  openMap(uma, definition).set(1, 2);
  const tables = uma.open(definition.table);
  const [own] = Array.from(tables.owned());
  const { slabs, floor } = uma.core;
  for (const table of [own as number, tables.alloc()]) floor.cells.u8[slabs.markOf(table, tables.shift)] = MARK_ORPHAN;
  const map = openMap(uma, definition);
  expect(tables.stats().used).toBe(1);
  expect(map.get(1)).toBe(2);
  expect(map.verify()).toEqual([]);
  map.delete(1);
  uma.smr.synchronize(1000);
  finish(uma);
});
