/**
 * Items set aside: for everybody in an emergency (reserve), for this worker's next allocations (prefill), or a whole range for
 * good (reserveKva).
 *
 * A *reserve* is a number of items that ordinary allocations leave free in the keg; only `allocReserved` goes below it. FreeBSD
 * records the number and preallocates nothing; here the slabs are built at once, so that the reserve is there.
 *
 * A *prefill* is a bucket of this worker's beside its two others, named by the word PREFILL of its line: the next so many
 * allocations that find the alloc bucket empty take from it, by one store, without a lock, ahead of anything that could fail or
 * wait. Calls to give cached items back leave it alone; closing and recovery do not.
 */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import {
  BUCKET_EMPTY,
  BUCKET_MASK,
  BUCKET_MAX_ITEMS,
  KEG_FLAGS,
  KEG_FREE,
  KEG_ITEMS,
  KEG_LOCK,
  KEG_RESERVE,
  LINE_PREFILL,
  ZONE_ITEMS,
  ZONE_LIMIT,
} from "../backend/memory/layout.ts";
import type { Core } from "./core.ts";
import { FLAG_NOFREE } from "./definition.ts";
import { BUSY, EMPTY, LIMIT, OK, type Outcome, REFUSED } from "./outcome.ts";
import type { Zone } from "./zone.ts";

export interface Reserves {
  reserve(z: Zone, count: number): void;
  /** An item, from the reserve if there is no other; 0 = not even there. */
  allocReserved(z: Zone, arg: unknown): number;
  reserveKva(z: Zone, count: number): boolean;
  prefill(z: Zone, count: number): void;
}

/** What reserves need of the parts around them. */
export interface ReserveServices {
  prealloc(z: Zone, count: number): void;
  refuseCache(z: Zone, what: string): void;
  setMax(z: Zone, items: number): void;
}

/** Items put back in one transaction. */
const PUTS_PER_COMMIT = 4;

export function createReserves(core: Core, services: ReserveServices): Reserves {
  const { floor, caches, kegs, slabs, pools } = core;
  const { i32 } = floor.cells;
  const { locks, patienceMs } = floor;
  const { set, add, commit } = floor.journal;

  function busy(z: Zone, what: string): UmaError {
    return new UmaError("ERR_UMA_BUSY", `${what} of zone "${z.name}": a lock could not be had in time; try again`, { zone: z.name });
  }

  function setWord(z: Zone, word: number, value: number, what: string): void {
    if (!locks.acquire(z.keg + KEG_LOCK, patienceMs)) throw busy(z, what);
    try {
      set(word, value);
      commit();
    } finally {
      locks.release();
    }
  }

  function reserve(z: Zone, count: number): void {
    if (!Number.isInteger(count) || count < 0 || count > 0x7fffffff) {
      throw optionError("count of reserve", count, "an integer from 0 to 2147483647", z.name);
    }
    services.prealloc(z, count);
    setWord(z, z.keg + KEG_RESERVE, count, "reserve");
  }

  function allocReserved(z: Zone, arg: unknown): number {
    caches.useReserve(true);
    try {
      return z.tryAlloc(arg);
    } finally {
      caches.useReserve(false);
    }
  }

  function reserveKva(z: Zone, count: number): boolean {
    if (!Number.isInteger(count) || count < 1 || count > 0x7fffffff) {
      throw optionError("count of reserveKva", count, "an integer from 1 to 2147483647", z.name);
    }
    services.refuseCache(z, "reserveKva");
    const free = i32[z.keg + KEG_FREE];
    while (i32[z.keg + KEG_ITEMS] < count) {
      const grown = kegs.grow(z, true);
      if (grown === OK) continue;
      kegs.shrink(z, Math.max(free, i32[z.keg + KEG_RESERVE]));
      if (grown === BUSY) throw busy(z, "reserveKva");
      return false;
    }
    services.setMax(z, count);
    setWord(z, z.keg + KEG_FLAGS, i32[z.keg + KEG_FLAGS] | FLAG_NOFREE, "reserveKva");
    return true;
  }

  function prefill(z: Zone, count: number): void {
    if (!Number.isInteger(count) || count < 0 || count > BUCKET_MAX_ITEMS) {
      throw optionError("count of prefill", count, `an integer from 0 to ${BUCKET_MAX_ITEMS}`, z.name);
    }
    const word = z.line + LINE_PREFILL;
    const before = held(word);
    const outcome = count > before ? fill(z, word, count) : OK;
    if (outcome !== OK || count < before) empty(z, word, outcome === OK ? count : before);
    if (outcome === OK) return;
    const zone = z.name;
    if (outcome === BUSY) throw busy(z, "prefill");
    if (outcome === LIMIT) throw new UmaError("ERR_UMA_LIMIT", `prefill of zone "${zone}" would exceed its limit`, { zone, value: count });
    if (outcome === REFUSED) throw new UmaError("ERR_UMA_HOOK", `prefill of zone "${zone}": init refused an item`, { zone, value: count });
    throw new UmaError("ERR_UMA_EMPTY", `prefill of zone "${zone}": no memory for ${count} items`, { zone, value: count });
  }

  function held(word: number): number {
    return i32[word] === 0 ? 0 : (i32[word] & BUCKET_MASK) - BUCKET_EMPTY;
  }

  function fill(z: Zone, word: number, count: number): Outcome {
    if (i32[word] === 0) {
      const taken = pools.takeBucket(z.zone, word);
      if (taken !== OK) return taken;
    }
    if (z.gate !== null) return core.gates.adjust(z, word, count, true);
    let drained = false;
    for (;;) {
      const outcome = fillFromSlabs(z, word, count);
      if (outcome === OK || outcome === BUSY) return outcome;
      if (!drained) {
        // What the limit or the slabs have not got may lie in the depot.
        drained = true;
        if (caches.drainDepot(z.zone, z.keg, 0, z) !== OK) return BUSY;
        continue;
      }
      if (outcome === LIMIT) return LIMIT;
      const grown = kegs.grow(z, true);
      if (grown !== OK) return grown;
    }
  }

  function fillFromSlabs(z: Zone, word: number, count: number): Outcome {
    const { zone, keg } = z;
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
    try {
      const limit = i32[zone + ZONE_LIMIT];
      if (limit !== 0 && limit - i32[zone + ZONE_ITEMS] < count - held(word)) return LIMIT;
      while (held(word) < count) {
        const most = i32[keg + KEG_FREE] - i32[keg + KEG_RESERVE];
        const slab = most > 0 ? slabs.pick(keg) : 0;
        if (slab === 0) return EMPTY;
        const got = slabs.take(keg, slab, word, Math.min(most, count - held(word)));
        core.gates.stamp(z, word, got);
        add(zone + ZONE_ITEMS, got);
        commit();
      }
      return OK;
    } finally {
      locks.release();
    }
  }

  /** Puts what is above `count` back into the slabs; the bucket goes with the last item. */
  function empty(z: Zone, word: number, count: number): void {
    if (z.gate !== null) {
      if (held(word) > count && core.gates.adjust(z, word, count, true) !== OK) throw busy(z, "prefill");
    } else emptyIntoSlabs(z, word, count);
    if (count === 0 && i32[word] !== 0) pools.giveBucket(word, 0);
    core.queue.pass(z.zone);
  }

  function emptyIntoSlabs(z: Zone, word: number, count: number): void {
    if (!locks.acquire(z.keg + KEG_LOCK, patienceMs)) throw busy(z, "prefill");
    try {
      while (held(word) > count) {
        const position = i32[word];
        const now = Math.min(held(word) - count, PUTS_PER_COMMIT);
        for (let n = 0; n < now; n++) slabs.put(z.keg, i32[position - n]);
        add(z.zone + ZONE_ITEMS, -now);
        set(word, position - now);
        commit();
      }
    } finally {
      locks.release();
    }
  }

  return { reserve, allocReserved, reserveKva, prefill };
}
