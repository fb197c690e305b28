/**
 * Limbo: where the freed items of an SMR zone lie until no reader can see them.
 *
 * A free puts the item into a bucket of this worker's (the word SMR of its line). A full one gets a goal and joins the zone's
 * limbo, oldest first, under the keg's lock; an allocation that finds nothing else looks whether the oldest has reached its goal.
 * Without a dtor the whole bucket then joins the depot. With one, items leave it one by one, each marked BUSY in the transaction
 * that takes it, so that a worker killed inside dtor leaves one item to be made anew, and the others where they are.
 *
 * An item whose free finds no bucket, or no lock, goes the way of any other free if nobody can be reading it. Else it is BUSY in this
 * worker's name until the next occasion; closing the zone and detaching are occasions, too. If the worker dies before, recovery finds a
 * BUSY item, and in an SMR zone leaves it alone until all readers have gone that were inside then. What a
 * dead worker had gathered joins the limbo when it is recovered, with a goal of its own: a whole grace period from then on.
 */
import {
  BUCKET_COUNT,
  BUCKET_EMPTY,
  BUCKET_MASK,
  BUCKET_SEQ,
  KEG_LOCK,
  LINE_REMOTE,
  LINE_SMR,
  MARK_BUSY,
  MARK_FREE,
  ZONE_BUCKET_CAP,
  ZONE_DEPOT_ITEMS,
  ZONE_EMPTY,
  ZONE_LIMBO,
} from "../backend/memory/layout.ts";
import type { Core } from "./core.ts";
import { hookError } from "./keg.ts";
import { OK } from "./outcome.ts";
import type { Zone } from "./zone.ts";

interface Late {
  readonly z: Zone;
  readonly p: number;
  /** Reached when nobody can be reading it. */
  readonly goal: number;
}

export interface Limbo {
  /** Frees an item once no reader can see it. */
  free(z: Zone, p: number): void;
  /** Brings items whose time has come within reach. @returns whether there were any. */
  harvest(z: Zone): boolean;
  /** Gives this worker's unfinished bucket its goal. @returns false when the lock was out of reach. */
  seal(z: Zone): boolean;
  /** Ends the frees that found no bucket, of one zone or all. @returns false when some are left: no lock or memory, and a reader inside. */
  finishLate(only: Zone | null): boolean;
}

export function createLimbo(core: Core): Limbo {
  const { i32, u8, f64 } = core.floor.cells;
  const { locks, patienceMs, slot } = core.floor;
  const { set, setByte, add, commit } = core.floor.journal;
  const { caches, pools, slabs, smr, views } = core;
  /** Items that found no bucket: BUSY in this worker's name, and each with a goal of its own. */
  const late: Late[] = [];

  function free(z: Zone, p: number): void {
    const mark = core.items.check(z, p);
    if (late.some((one) => one.p === p)) throw core.items.freeAlready(z, p);
    const seen = core.items.claimFor(z, p, mark, slot);
    if (seen !== slot) f64[(z.line + LINE_REMOTE) >> 1]++;
    if (gather(z, p)) {
      if (late.length > 0) finishLate(null);
      return;
    }
    // Freed for everybody else from now on, whoever would free it again.
    u8[mark] = slot | MARK_BUSY;
    const one = { z, p, goal: smr.advance() };
    if (!leaveAlone(one)) late.push(one);
  }

  /** Without a bucket still: out of its wait alone, as soon as nobody can be reading it. */
  function finishLate(only: Zone | null): boolean {
    let left = 0;
    for (let n = late.length; n > 0; n--) {
      const one = late.shift();
      // A dtor that frees may have ended some.
      if (one === undefined) break;
      const { z, p } = one;
      const isMeant = only === null || z === only;
      if (isMeant && (gather(z, p) || leaveAlone(one))) continue;
      late.push(one);
      if (isMeant) left++;
    }
    return left === 0;
  }

  function leaveAlone({ z, p, goal }: Late): boolean {
    if (!smr.poll(goal)) return false;
    endItem(z, p);
    return true;
  }

  /** Of a BUSY item that nobody reads any more: through dtor, and then wherever a free puts it. */
  function endItem(z: Zone, p: number): void {
    const { dtor } = z.definition;
    try {
      if (dtor !== null) dtor(p, undefined, views);
    } catch (cause) {
      throw hookError("dtor", z.name, p, cause);
    } finally {
      if (!z.settle(p)) core.unfinished.push({ zone: z, item: p });
    }
  }

  /** Into the gathering bucket: item, then position, then mark, as every free. */
  function gather(z: Zone, p: number): boolean {
    const word = z.line + LINE_SMR;
    const full = BUCKET_EMPTY + Math.max(1, i32[z.zone + ZONE_BUCKET_CAP]);
    if (i32[word] !== 0 && (i32[word] & BUCKET_MASK) >= full && !seal(z)) return false;
    if (i32[word] === 0 && i32[z.zone + ZONE_EMPTY] !== 0) caches.takeEmptyAside(z.zone, z.keg, word);
    if (i32[word] === 0 && pools.takeBucket(z.zone, word) !== OK) return false;
    const at = i32[word] + 1;
    i32[at] = p;
    i32[word] = at;
    u8[slabs.markOf(p, z.shift)] = MARK_FREE;
    return true;
  }

  function seal(z: Zone): boolean {
    const word = z.line + LINE_SMR;
    if ((i32[word] & BUCKET_MASK) <= BUCKET_EMPTY) return true;
    return caches.intoLimbo(z.zone, z.keg, word) === OK;
  }

  function harvest(z: Zone): boolean {
    if (late.length > 0) finishLate(z);
    if (i32[z.zone + ZONE_LIMBO] === 0 && !seal(z)) return false;
    if (z.definition.dtor === null) return caches.outOfLimbo(z.zone, z.keg) === OK;
    let any = false;
    // As many as a bucket holds.
    for (let n = Math.max(1, i32[z.zone + ZONE_BUCKET_CAP]); n > 0; n--) {
      const p = takeOne(z);
      if (p === 0) break;
      any = true;
      endItem(z, p);
    }
    return any;
  }

  /** An item of the oldest bucket, if its goal is reached, marked BUSY. */
  function takeOne(z: Zone): number {
    const { zone, keg } = z;
    if (i32[zone + ZONE_LIMBO] === 0 || !locks.acquire(keg + KEG_LOCK, patienceMs)) return 0;
    try {
      const bucket = i32[zone + ZONE_LIMBO];
      if (bucket === 0 || !smr.poll(i32[bucket + BUCKET_SEQ])) return 0;
      const count = i32[bucket + BUCKET_COUNT];
      const p = i32[bucket + BUCKET_EMPTY + count];
      setByte(slabs.markOf(p, z.shift), slot | MARK_BUSY);
      if (count === 1) caches.dropLimbo(zone, bucket);
      else set(bucket + BUCKET_COUNT, count - 1);
      add(zone + ZONE_DEPOT_ITEMS, -1);
      commit();
      return p;
    } finally {
      locks.release();
    }
  }

  return { free, harvest, seal, finishLate };
}
