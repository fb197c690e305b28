/** Areas as they are when their owner has died, or an exception has come, between any two steps. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Floor } from "../../../../src/backend/memory/floor.ts";
import { ARENA_LOCK, MAP_LIVE, MAP_NOTE, MAP_WHAT, PAGE_BYTES, VMAP_ARENA, VMAP_START } from "../../../../src/backend/memory/layout.ts";
import { type Core, createCore } from "../../../../src/uma/core.ts";
import { Uma } from "../../../../src/uma/uma.ts";
import { openVmalloc } from "../../../../src/uma/vmalloc/vmalloc.ts";
import { rivalOf } from "../../../fixtures/floors.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const request = { pages: 1, foreign: null, mayWait: true };
let uma: Uma;

beforeEach(() => {
  uma = Uma.create({ bytes: 4 * 2 ** 20, workers: 6, patience: 0 });
  openVmalloc(uma, { warnBytes: 0 });
});

afterEach(() => {
  vi.restoreAllMocks();
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

/** A worker beside this one, down to its areas. */
function neighbour(): Core {
  return createCore(rivalOf(uma));
}

function lockOfAddresses(): number {
  return (uma.core.floor.cells.i32[uma.core.areas.table.record() + VMAP_ARENA] as number) + ARENA_LOCK;
}

/**
 * Has `work` done by others at the `nth` moment of what this thread does from now on at which they could be seen to get between: when
 * it loads the word `watched`, before it takes a lock, and after it has let one go.
 */
function meanwhile(floor: Floor, watched: number, nth: number, work: () => void): { came: () => boolean } {
  const locks = floor.locks as Mutable<Floor["locks"]>;
  const { acquire, release } = locks;
  const { load } = Atomics;
  let moments = 0;
  const moment = (): void => {
    if (++moments === nth) work();
  };
  locks.acquire = (lock, patience) => {
    moment();
    return acquire(lock, patience);
  };
  locks.release = () => {
    release();
    moment();
  };
  vi.spyOn(Atomics, "load").mockImplementation(((cells: Int32Array, at: number) => {
    if (at === watched) moment();
    return load(cells, at);
  }) as typeof Atomics.load);
  return {
    came: () => {
      Object.assign(locks, { acquire, release });
      vi.restoreAllMocks();
      return moments >= nth;
    },
  };
}

/** Throws, as a stack overflow would, at the `nth` lock that is taken or let go from now on. */
function overflowAt(floor: Floor, what: "acquire" | "release", nth: number): { came: () => boolean } {
  const locks = floor.locks as Mutable<Floor["locks"]>;
  const { acquire, release } = locks;
  let calls = 0;
  const step = (): void => {
    if (++calls === nth) throw new RangeError("as a stack overflow would");
  };
  if (what === "release") {
    locks.release = () => {
      step();
      release();
    };
  } else {
    locks.acquire = (lock, patience) => {
      step();
      return acquire(lock, patience);
    };
  }
  return {
    came: () => {
      Object.assign(locks, { acquire, release });
      return calls >= nth;
    },
  };
}

describe("a dead worker's area", () => {
  test("is not taken apart by its recoverer when somebody has begun to free it meanwhile, at whatever moment", () => {
    let came = true;
    for (let nth = 1; came; nth++) {
      const dead = neighbour();
      const other = neighbour();
      const p = dead.areas.make(request);
      const { heap } = other as { heap: Mutable<Core["heap"]> };
      const { free } = heap;
      let goesOn = (): unknown => 0;
      heap.free = (...given) => {
        goesOn = () => free(...given);
        throw new Error("is preempted here");
      };
      uma.core.floor.slots.certify(dead.floor.me);
      const between = meanwhile(uma.core.floor, uma.core.areas.headerAt(p) + MAP_WHAT, nth, () => {
        expect(() => other.areas.remove(p, false)).toThrow();
      });
      uma.reap(dead.floor.slot);
      came = between.came();
      const page = uma.core.heap.alloc(1, uma.name, 0);
      goesOn();
      expect(uma.core.heap.sizeOf(page)).toBe(1);
      uma.core.heap.free(page, 0);
      heap.free = free;
      other.areas.finish();
      if (uma.core.areas.headerAt(p) !== 0) uma.core.areas.remove(p, false);
      uma.reap(other.floor.slot);
      expect(uma.verify().problems).toEqual([]);
    }
  });

  test("becomes nobody's also when somebody who had begun to free it has died before that was final, at whatever moment", () => {
    const { i32 } = uma.core.floor.cells;
    let came = true;
    for (let nth = 1; came; nth++) {
      const dead = neighbour();
      const other = neighbour();
      const p = dead.areas.make(request);
      const header = uma.core.areas.headerAt(p);
      uma.core.floor.slots.certify(dead.floor.me);
      const between = meanwhile(uma.core.floor, header + MAP_WHAT, nth, () => {
        const { locks, journal, me } = other.floor;
        if (!locks.acquire(lockOfAddresses(), 0)) return;
        journal.set(header + MAP_NOTE, me);
        journal.set(header + MAP_WHAT, (i32[header + MAP_WHAT] as number) & ~MAP_LIVE);
        uma.core.floor.slots.certify(me);
      });
      const report = uma.reap(dead.floor.slot);
      came = between.came();
      expect(report?.done).toBe(true);
      uma.reap(other.floor.slot);
      expect(uma.verify().problems).toEqual([]);
      uma.core.areas.remove(p, false);
    }
  });
});

test("a recovery that a lock out of reach cuts short reports, once it is done, what it had found before, and nothing twice", () => {
  const dead = neighbour();
  const kept = dead.areas.make(request);
  const half = dead.areas.make(request);
  (dead.heap as Mutable<Core["heap"]>).free = () => {
    throw new Error("dies here");
  };
  expect(() => dead.areas.remove(half, false)).toThrow("dies here");
  uma.core.floor.slots.certify(dead.floor.me);
  // The pages' lock is out of reach at first.
  const own = uma.core.heap as Mutable<Core["heap"]>;
  const { free } = own;
  own.free = () => false;
  expect(uma.reap(dead.floor.slot)?.done).toBe(false);
  own.free = free;
  const report = uma.reap(dead.floor.slot);
  expect([report?.done, report?.areas.map(({ address }) => address)]).toEqual([true, [kept]]);
  expect(uma.core.areas.headerAt(half)).toBe(0);
  uma.core.areas.remove(kept, false);
});

describe.each(["acquire", "release"] as const)("an exception where a lock is to be had (%s)", (what) => {
  test.each(["the first of all", "not the first"])("leaves no half area behind the next call, wherever a mapping was, %s", (which) => {
    // The first provides tags and a table, so that each attempt gets further than the one before by more than a lock.
    if (which !== "the first of all") uma.core.areas.remove(uma.core.areas.make(request), false);
    let came = true;
    for (let nth = 1; came; nth++) {
      const overflow = overflowAt(uma.core.floor, what, nth);
      let p = 0;
      try {
        p = uma.core.areas.make({ ...request, pages: 3 });
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
      came = overflow.came();
      expect(uma.core.areas.finish()).toBe(true);
      if (p !== 0) uma.core.areas.remove(p, false);
      expect(uma.core.areas.next(VMAP_START - PAGE_BYTES)).toBe(0);
      expect(uma.verify().problems).toEqual([]);
    }
  });

  test("has an area freed whole or not at all by the next call, wherever its removal was", () => {
    let came = true;
    for (let nth = 1; came; nth++) {
      const p = uma.core.areas.make({ ...request, pages: 3 });
      const overflow = overflowAt(uma.core.floor, what, nth);
      try {
        uma.core.areas.remove(p, false);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
      came = overflow.came();
      expect(uma.core.areas.finish()).toBe(true);
      const header = uma.core.areas.headerAt(p);
      if (header !== 0) {
        expect((uma.core.floor.cells.i32[header + MAP_WHAT] as number) & MAP_LIVE).toBe(MAP_LIVE);
        uma.core.areas.remove(p, false);
      }
      expect(uma.core.areas.next(VMAP_START - PAGE_BYTES)).toBe(0);
      expect(uma.verify().problems).toEqual([]);
    }
  });

  test("lets what somebody else has mapped there since be", () => {
    const other = neighbour();
    uma.core.areas.remove(uma.core.areas.make(request), false);
    let came = true;
    for (let nth = 1; came; nth++) {
      const overflow = overflowAt(uma.core.floor, what, nth);
      let p = 0;
      try {
        p = uma.core.areas.make(request);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
      came = overflow.came();
      uma.core.floor.locks.mend();
      const theirs = other.areas.make(request);
      uma.core.areas.finish();
      other.areas.remove(theirs, false);
      if (p !== 0) uma.core.areas.remove(p, false);
    }
    uma.reap(other.floor.slot);
  });
});
