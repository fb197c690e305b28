/** An exception (a stack overflow) can come at any call, also inside a reader's section and under a bucket's lock. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { ZONE_ROOT } from "../../../../src/backend/memory/layout.ts";
import { type MapDefinition, type SharedMap, Uma, defineMap, openMap } from "../../../../src/index.ts";
import type { Core } from "../../../../src/uma/core.ts";
import type * as hashing from "../../../../src/uma/map/hash.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const overflow = vi.hoisted(() => ({ inHash: false }));

vi.mock("../../../../src/uma/map/hash.ts", async (original) => {
  const actual = await original<typeof hashing>();
  const hashOf: typeof actual.hashOf = (type, key) => {
    if (overflow.inHash) throw new RangeError("as a stack overflow would");
    return actual.hashOf(type, key);
  };
  return { ...actual, hashOf };
});

afterEach(() => {
  overflow.inHash = false;
  vi.restoreAllMocks();
});

/** Whether a goal of now is reached, nobody reading. */
function graceEnds(uma: Uma): boolean {
  return uma.smr.poll(uma.smr.advance());
}

function overflowInStore(): void {
  vi.spyOn(Atomics, "store").mockImplementation(() => {
    throw new RangeError("as a stack overflow would");
  });
}

test("a get that is cut short leaves no section behind", () => {
  const uma = Uma.create({ bytes: 2 ** 20, workers: 2 });
  const map = openMap(uma, defineMap("m", { capacity: 10 }));
  map.set(1, 2);
  overflow.inHash = true;
  expect(() => map.get(1)).toThrow(RangeError);
  expect(uma.smr.entered()).toBe(false);
  expect(graceEnds(uma)).toBe(true);
  overflow.inHash = false;
  expect(map.get(1)).toBe(2);
  uma.detach();
});

test("a walk over the entries that is cut short leaves no section behind, and one inside a section leaves that be", () => {
  const uma = Uma.create({ bytes: 2 ** 20, workers: 2 });
  const map = openMap(uma, defineMap("m", { capacity: 10 }));
  map.set(1, 2);
  const walk = map.entries();
  const push = vi.spyOn(Array.prototype, "push").mockImplementation(() => {
    throw new RangeError("as a stack overflow would");
  });
  let thrown: unknown;
  try {
    for (const entry of walk) thrown = entry;
  } catch (error) {
    thrown = error;
  }
  push.mockRestore();
  expect(thrown).toBeInstanceOf(RangeError);
  expect(uma.smr.entered()).toBe(false);
  expect(graceEnds(uma)).toBe(true);
  uma.smr.enter();
  expect([...map.entries()]).toEqual([[1, 2]]);
  expect(uma.smr.entered()).toBe(true);
  uma.smr.exit();
  uma.detach();
});

test.each([
  ["the next get", (_uma: Uma, get: () => void) => get()],
  ["poll", (uma: Uma) => uma.poll()],
  ["the next grace period", (uma: Uma) => void uma.smr.advance()],
])("a section whose leaving is cut short as well is no section, and has ended with %s", (_what, next) => {
  const uma = Uma.create({ bytes: 2 ** 20, workers: 2 });
  const map = openMap(uma, defineMap("m", { capacity: 10 }));
  map.set(1, 2);
  const { load } = Atomics;
  // Entered, and from then on nothing can be called.
  vi.spyOn(Atomics, "load").mockImplementation(((cells: Int32Array, at: number) => {
    overflow.inHash = true;
    return load(cells, at);
  }) as typeof Atomics.load);
  const { store } = Atomics;
  vi.spyOn(Atomics, "store").mockImplementation(((cells: Int32Array, at: number, value: number) => {
    if (value === 0) throw new RangeError("as a stack overflow would");
    return store(cells, at, value);
  }) as typeof Atomics.store);
  expect(() => map.get(1)).toThrow(RangeError);
  vi.restoreAllMocks();
  overflow.inHash = false;
  expect(uma.smr.entered()).toBe(false);
  next(uma, () => expect(map.get(1)).toBe(2));
  expect(graceEnds(uma)).toBe(true);
  uma.smr.enter();
  expect(uma.smr.entered()).toBe(true);
  uma.smr.exit();
  uma.detach();
});

test("a section that could not even be entered leaves nothing behind", () => {
  const uma = Uma.create({ bytes: 2 ** 20, workers: 2 });
  const map = openMap(uma, defineMap("m", { capacity: 10 }));
  map.set(1, 2);
  overflowInStore();
  expect(() => map.get(1)).toThrow(RangeError);
  vi.restoreAllMocks();
  uma.smr.enter();
  expect(uma.smr.entered()).toBe(true);
  expect(map.get(1)).toBe(2);
  expect(uma.smr.entered()).toBe(true);
  uma.smr.exit();
  expect(graceEnds(uma)).toBe(true);
  uma.detach();
});

test("a bucket's lock that was not let go is so at the next change of the map", () => {
  const uma = Uma.create({ bytes: 2 ** 20, workers: 2 });
  const map = openMap(uma, defineMap("m", { capacity: 10 }));
  const locks = uma.core.floor.locks as { release: () => void };
  for (const act of [(): unknown => map.delete(1), (): unknown => map.set(1, 5), (): unknown => map.sweep()]) {
    map.set(1, 2);
    const { release } = locks;
    locks.release = () => {
      throw new RangeError("as a stack overflow would");
    };
    expect(act).toThrow(RangeError);
    Object.assign(locks, { release });
    map.delete(1);
    expect(map.get(1)).toBeUndefined();
  }
  map.sweep();
  uma.smr.synchronize(1000);
  uma.poll();
  map.sweep();
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

/** Has an exception come where a bucket's lock is taken or let go, just before or just after. */
function overflowAtBucket(uma: Uma, definition: MapDefinition, when: "before" | "after", what: "acquire" | "release"): () => void {
  const locks = uma.core.floor.locks as Mutable<Core["floor"]["locks"]>;
  const { acquire, release } = locks;
  const root = (uma.core.floor.cells.i32[uma.open(definition.nodes).zone + ZONE_ROOT] as number) >>> 2;
  let holds = false;
  const restore = (): void => void Object.assign(locks, { acquire, release });
  const around = <T>(isHere: boolean, work: () => T): T => {
    if (isHere) restore();
    if (isHere && when === "before") throw new RangeError("as a stack overflow would");
    const result = work();
    if (isHere) throw new RangeError("as a stack overflow would");
    return result;
  };
  locks.acquire = (lock, patience) => {
    holds = lock > root && lock < root + 200;
    return around(holds && what === "acquire", () => acquire(lock, patience));
  };
  locks.release = () => around(holds && what === "release", release);
  return restore;
}

describe.each(["before", "after"] as const)("an exception %s a bucket's lock", (when) => {
  const changes: [string, boolean, (map: SharedMap) => unknown][] = [
    ["a new key", false, (map) => map.set(1, 5)],
    ["a new value", true, (map) => map.set(1, 5)],
    ["a first value", false, (map) => map.getOrSet(1, 5)],
    ["a delete", true, (map) => map.delete(1)],
  ];

  test.each(changes)("is taken or let go leaves %s made or not made, and no node behind", (_name, isThere, change) => {
    for (const what of ["acquire", "release"] as const) {
      const uma = Uma.create({ bytes: 2 ** 20, workers: 2 });
      const definition = defineMap("m", { capacity: 10 });
      const map = openMap(uma, definition);
      if (isThere) map.set(1, 2);
      const restore = overflowAtBucket(uma, definition, when, what);
      expect(() => change(map)).toThrow(RangeError);
      restore();
      const seen = map.get(1);
      map.set(2, 2);
      map.delete(2);
      uma.smr.synchronize(1000);
      uma.poll();
      expect([what, map.get(1), map.verify()]).toEqual([what, seen, []]);
      map.delete(1);
      expect(uma.verify().problems).toEqual([]);
      uma.detach();
    }
  });
});
