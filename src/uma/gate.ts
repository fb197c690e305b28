/**
 * Gates: what items pass on their way into a zone's caches and out of them, where that takes functions of the user's.
 *
 * A zone with a `zoneInit` or `zoneFini` has them run between slab and cache; a cache zone has no slabs, its items come from an
 * *origin* and go back there. Both take time with no lock held, so the items are in nobody's lists meanwhile: they lie in a bucket
 * that stands in an intent frame of this worker (a *crate*: HEADER names the bucket, ZONE the zone). INITED in the bucket says how
 * many of them, from the first on, are the zone's: it counts up after each zoneInit and down before each zoneFini, so that neither
 * runs twice, whoever dies. The others are on their way from or to where items come from.
 *
 * What a limit counts (ITEMS) is taken before an import and given back after a release; between the two it stands in the frame
 * as SURPLUS. So a dead worker's crate is completed from what the frame says: what was the zone's joins the depot, what was not goes
 * back to its slab, the one item that a hook was at is made anew, the surplus is no longer counted. What was inside the user's import
 * or release at that instant is the user's.
 *
 * Hooks run as init does: they may use other zones, not their own.
 */
import { UmaError } from "../backend/memory/errors.ts";
import type { Floor } from "../backend/memory/floor.ts";
import {
  BUCKET_COUNT,
  BUCKET_EMPTY,
  BUCKET_INITED,
  BUCKET_MASK,
  BUCKET_OWNER,
  INTENT_BUCKET,
  INTENT_FRAMES,
  INTENT_HEADER,
  INTENT_SURPLUS,
  INTENT_ZONE,
  KEG_FREE,
  KEG_LOCK,
  KEG_RESERVE,
  KEG_SHIFT,
  KEG_ZONE,
  KEG_ZONE_AT,
  LINE_SP,
  LINE_TOP,
  MARK_BUSY,
  MARK_FREE,
  MARK_ORPHAN,
  NO_BUCKET,
  ZONE_FLAGS,
  ZONE_FULL,
  ZONE_HOOKS_NOW,
  ZONE_ITEMS,
  ZONE_KEG,
  ZONE_LIMIT,
  ZONE_ORPHANS,
} from "../backend/memory/layout.ts";
import { noteExcess } from "./excess.ts";
import type { ZoneHandle } from "./cache.ts";
import { FLAG_UNCHECKED } from "./definition.ts";
import type { Depot } from "./depot.ts";
import { type Fini, HOOK_GATE, HOOK_ORIGIN, HOOK_ZONE_FINI, HOOK_ZONE_INIT, type Init, type Views } from "./hooks.ts";
import { type Kegs, hookError } from "./keg.ts";
import { BUSY, EMPTY, LIMIT, OK, type Outcome, REFUSED } from "./outcome.ts";
import type { Pools } from "./pools.ts";
import type { Slabs } from "./slab.ts";

/**
 * Where the items of a cache zone come from and go to. Called with no lock held; the crate is named by its frame, and
 * {@link createCrates} says how items get into it and out.
 */
export interface Origin {
  /**
   * Puts up to `want` items into the crate.
   * @returns OK, EMPTY when there are no more to be had, BUSY. What it throws goes to whoever allocates.
   */
  fill(frame: number, want: number): Outcome;
  /** Takes the topmost `count` items out of the crate. @returns BUSY when some are left, which will be tried again. */
  empty(frame: number, count: number): Outcome;
}

/** A zone's gate as one thread has it. */
export interface Gate {
  zoneInit: Init | null;
  zoneFini: Fini | null;
  readonly origin: Origin | null;
}

/** Items into crates and out of them. */
export interface Crates {
  /** Items in the crate. */
  readonly held: (frame: number) => number;
  /** The topmost item of the crate. */
  readonly top: (frame: number) => number;
  /** Takes the topmost item out, as part of the open transaction. */
  readonly pop: (frame: number) => number;
  /** Puts many in, in a transaction of its own. */
  readonly add: (frame: number, items: readonly number[], count: number) => void;
  /** Takes the topmost `count` out, in a transaction of its own, into `items`. */
  readonly remove: (frame: number, items: number[], count: number) => void;
}

export function createCrates(floor: Floor): Crates {
  const { i32 } = floor.cells;
  const { set, add: addTo, commit } = floor.journal;

  function held(frame: number): number {
    const position = i32[frame + INTENT_HEADER];
    return position === 0 ? 0 : (position & BUCKET_MASK) - BUCKET_EMPTY;
  }

  function pop(frame: number): number {
    const at = i32[frame + INTENT_HEADER];
    set(frame + INTENT_HEADER, at - 1);
    addTo(frame + INTENT_SURPLUS, 1);
    return i32[at];
  }

  function add(frame: number, items: readonly number[], count: number): void {
    const at = i32[frame + INTENT_HEADER];
    for (let n = 0; n < count; n++) i32[at + 1 + n] = items[n] as number;
    set(frame + INTENT_HEADER, at + count);
    addTo(frame + INTENT_SURPLUS, -count);
    commit();
  }

  function remove(frame: number, items: number[], count: number): void {
    const at = i32[frame + INTENT_HEADER];
    for (let n = 0; n < count; n++) items[n] = i32[at - n];
    set(frame + INTENT_HEADER, at - count);
    addTo(frame + INTENT_SURPLUS, count);
    commit();
  }

  return { held, top: (frame) => i32[i32[frame + INTENT_HEADER]], pop, add, remove };
}

export interface Gates {
  /**
   * Brings the bucket that the word `word` of a zone's line names (and that is there) to `count` items, more or fewer.
   * @param exact - all of them, or as many as there are; else what a refill takes, which leaves something to others near a limit.
   * @returns OK when some came (with `exact`: all), or all went that were to go.
   */
  adjust(z: ZoneHandle, word: number, count: number, exact: boolean): Outcome;
  /** Takes one item through the gate, marked BUSY. @returns 0 and `outcome` when there is none. */
  takeOne(z: ZoneHandle, intoReserve: boolean): number;
  /** Why the last takeOne returned 0. */
  outcome(): Outcome;
  /** Sends one item of this worker's back through the gate. @returns BUSY when it is still its. */
  giveOne(z: ZoneHandle, p: number): Outcome;
  /** Sends the items of the depot's first bucket back through the gate; the bucket joins the empties. */
  drainFirst(z: ZoneHandle): Outcome;
  /**
   * Completes a crate that its worker had to leave.
   * @param z - the zone as this thread has it open, or null.
   * @param dead - its worker died: a hook may have been at one of its items.
   */
  finish(frame: number, z: ZoneHandle | null, dead: boolean): Outcome;
  /** Whether this thread has what items of the zone pass on their way out. */
  letsOut(z: ZoneHandle): boolean;
  /** Whether items of the zone pass a gate, in whichever thread. */
  isGated(zone: number): boolean;
  /** Notes for which zone items leave their slab: `count` of them, up to the position in `word`. Before that is committed. */
  stamp(z: Pick<ZoneHandle, "shift" | "zoneAt" | "zoneIndex">, word: number, count: number): void;
}

/** Items put back into slabs in one transaction: 12 entries each at the most, and 13 for the rest. */
const PUTS_PER_COMMIT = 4;

export function createGates(floor: Floor, pools: Pools, slabs: Slabs, kegs: Kegs, depot: Depot, views: Views): Gates {
  const { i32, u8 } = floor.cells;
  const { locks, intents, patienceMs, slot, me } = floor;
  const { set, setByte, add, commit } = floor.journal;
  const { held } = createCrates(floor);
  let why: Outcome = OK;
  /** What a hook of the crate at work has thrown: told once the crate is in order. */
  let fault: UmaError | null = null;

  function isGated(zone: number): boolean {
    return (i32[zone + ZONE_HOOKS_NOW] & HOOK_GATE) !== 0;
  }

  function has(z: ZoneHandle, hooks: number): boolean {
    const { gate } = z;
    if (gate === null) return false;
    const here =
      (gate.zoneInit === null ? 0 : HOOK_ZONE_INIT) |
      (gate.zoneFini === null ? 0 : HOOK_ZONE_FINI) |
      (gate.origin === null ? 0 : HOOK_ORIGIN);
    return (i32[z.zone + ZONE_HOOKS_NOW] & hooks & ~here) === 0;
  }

  function letsOut(z: ZoneHandle): boolean {
    return has(z, HOOK_ZONE_FINI | HOOK_ORIGIN);
  }

  /** The zone's gate; a thread without its functions may not let items through. */
  function gateOf(z: ZoneHandle, hooks: number = HOOK_GATE): Gate {
    const { gate } = z;
    if (gate !== null && has(z, hooks)) return gate;
    throw new UmaError("ERR_UMA_HOOK", `zone "${z.name}" has a zoneInit or zoneFini that this thread has not set`, { zone: z.name });
  }

  function stamp(z: Pick<ZoneHandle, "shift" | "zoneAt" | "zoneIndex">, word: number, count: number): void {
    if (z.zoneAt === 0) return;
    const top = i32[word];
    for (let at = top - count + 1; at <= top; at++) u8[slabs.markOf(i32[at], z.shift) + z.zoneAt] = z.zoneIndex;
  }

  function hooked<T>(z: ZoneHandle, call: () => T): T {
    z.hide();
    z.inHook++;
    intents.hooks++;
    try {
      return call();
    } finally {
      z.inHook--;
      intents.hooks--;
      z.show();
    }
  }

  function headroom(zone: number): number {
    const limit = i32[zone + ZONE_LIMIT];
    return limit === 0 ? 0x7fffffff : limit - i32[zone + ZONE_ITEMS];
  }

  /** An empty frame for a crate of the zone's. */
  function open(zone: number): number {
    const frame = intents.push(INTENT_BUCKET);
    i32[frame + INTENT_ZONE] = zone;
    return frame;
  }

  function bucketOf(frame: number): number {
    return i32[frame + INTENT_HEADER] & ~BUCKET_MASK;
  }

  function adjust(z: ZoneHandle, word: number, count: number, exact: boolean): Outcome {
    const gate = gateOf(z);
    if (intents.full()) return BUSY;
    const outer = fault;
    fault = null;
    const isLoaded = word === z.line + LINE_SP;
    if (isLoaded) i32[z.line + LINE_TOP] = 0;
    const frame = open(z.zone);
    i32[(i32[word] & ~BUCKET_MASK) + BUCKET_INITED] = (i32[word] & BUCKET_MASK) - BUCKET_EMPTY;
    set(frame + INTENT_HEADER, i32[word]);
    set(word, isLoaded ? NO_BUCKET : 0);
    commit();
    const before = held(frame);
    let outcome: Outcome = OK;
    if (before < count) outcome = bring(z, gate, frame, count, exact, false);
    else if (before > count) outcome = dismiss(z, gate, frame, count);
    // A lock was out of reach while items had to go back: the crate is completed by the next slow path.
    if (held(frame) > i32[bucketOf(frame) + BUCKET_INITED]) return told(BUSY, outer);
    const came = held(frame) > before;
    set(word, i32[frame + INTENT_HEADER]);
    set(frame + INTENT_HEADER, 0);
    commit();
    close(z, frame);
    return told(came && !exact ? OK : outcome, outer);
  }

  /** Throws what a hook has thrown, now that everything is in order. A hook may have been inside another crate's. */
  function told(outcome: Outcome, outer: UmaError | null): Outcome {
    const thrown = fault;
    fault = outer;
    if (thrown !== null) throw thrown;
    return outcome;
  }

  /** Ends a crate that is empty, or whose bucket has gone elsewhere. Out of reach, it stays until the next slow path. */
  function close(z: ZoneHandle, frame: number): void {
    const { zone, keg } = z;
    if (i32[frame + INTENT_SURPLUS] !== 0) {
      if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return;
      try {
        add(zone + ZONE_ITEMS, -i32[frame + INTENT_SURPLUS]);
        set(frame + INTENT_SURPLUS, 0);
        commit();
      } finally {
        locks.release();
      }
    }
    intents.pop(frame);
  }

  /** Fills the crate up to `count` items and has them initialised; those that are refused go back. */
  function bring(z: ZoneHandle, gate: Gate, frame: number, count: number, exact: boolean, intoReserve: boolean): Outcome {
    const got = gate.origin === null ? fromSlabs(z, frame, count, exact, intoReserve) : fromOrigin(z, gate.origin, frame, count, exact);
    const accepted = initItems(z, gate, frame);
    if (accepted === OK) return got;
    turnBack(z, gate, frame);
    return accepted;
  }

  function fromSlabs(z: ZoneHandle, frame: number, count: number, exact: boolean, intoReserve: boolean): Outcome {
    const { zone, keg } = z;
    for (;;) {
      if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
      let got = 0;
      try {
        const need = count - held(frame);
        const allowed = headroom(zone);
        if (allowed <= 0 || (exact && allowed < need)) return LIMIT;
        let want = Math.min(need, exact ? need : (allowed + 3) >>> 2, i32[keg + KEG_FREE] - (intoReserve ? 0 : i32[keg + KEG_RESERVE]));
        while (want > 0) {
          const slab = slabs.pick(keg);
          if (slab === 0) break;
          const taken = slabs.take(keg, slab, frame + INTENT_HEADER, want);
          stamp(z, frame + INTENT_HEADER, taken);
          add(zone + ZONE_ITEMS, taken);
          commit();
          want -= taken;
          got += taken;
        }
      } finally {
        locks.release();
      }
      if (held(frame) >= count || (got > 0 && !exact)) return OK;
      if (got > 0) continue;
      const grown = kegs.grow(z, false);
      if (grown !== OK) return grown;
    }
  }

  function fromOrigin(z: ZoneHandle, origin: Origin, frame: number, count: number, exact: boolean): Outcome {
    for (;;) {
      const before = held(frame);
      const want = reserveCount(z, frame, count - before, exact);
      if (want <= 0) return want === 0 ? LIMIT : BUSY;
      let outcome: Outcome = EMPTY;
      try {
        outcome = hooked(z, () => origin.fill(frame, want));
      } catch (thrown) {
        if (!(thrown instanceof UmaError)) throw thrown;
        fault ??= thrown;
      }
      if (held(frame) >= count || (!exact && held(frame) > before)) return OK;
      if (held(frame) === before) return outcome === OK ? EMPTY : outcome;
    }
  }

  /** Counts what is about to be imported, as far as the limit allows. @returns how many; 0 = none, −1 = the lock was out of reach. */
  function reserveCount({ zone, keg }: ZoneHandle, frame: number, need: number, exact: boolean): number {
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return -1;
    try {
      const allowed = headroom(zone);
      if (allowed <= 0 || (exact && allowed < need)) return 0;
      const more = Math.min(need, exact ? need : (allowed + 3) >>> 2) - i32[frame + INTENT_SURPLUS];
      if (more > 0) {
        add(zone + ZONE_ITEMS, more);
        add(frame + INTENT_SURPLUS, more);
        commit();
      }
      return i32[frame + INTENT_SURPLUS];
    } finally {
      locks.release();
    }
  }

  /** Runs zoneInit over the items that have not been through it. */
  function initItems(z: ZoneHandle, gate: Gate, frame: number): Outcome {
    const bucket = bucketOf(frame);
    const { zoneInit } = gate;
    const count = held(frame);
    if (zoneInit === null || i32[bucket + BUCKET_INITED] >= count) {
      i32[bucket + BUCKET_INITED] = count;
      return OK;
    }
    return hooked(z, () => {
      for (let n = i32[bucket + BUCKET_INITED]; n < count; n++) {
        const item = i32[bucket + BUCKET_EMPTY + 1 + n];
        let accepted: boolean | void;
        try {
          accepted = zoneInit(item, views);
        } catch (cause) {
          fault ??= hookError("zoneInit", z.name, item, cause);
          return REFUSED;
        }
        if (accepted === false) return REFUSED;
        i32[bucket + BUCKET_INITED] = n + 1;
      }
      return OK;
    });
  }

  /** Runs zoneFini over the items above `keep` and sends them back. */
  function dismiss(z: ZoneHandle, gate: Gate, frame: number, keep: number): Outcome {
    const bucket = bucketOf(frame);
    const { zoneFini } = gate;
    if (zoneFini === null) {
      i32[bucket + BUCKET_INITED] = Math.min(i32[bucket + BUCKET_INITED], keep);
      return turnBack(z, gate, frame);
    }
    hooked(z, () => {
      for (let n = i32[bucket + BUCKET_INITED] - 1; n >= keep; n--) {
        const item = i32[bucket + BUCKET_EMPTY + 1 + n];
        i32[bucket + BUCKET_INITED] = n;
        try {
          zoneFini(item, views);
        } catch (cause) {
          // The item goes back either way; whoever reclaims or destroys learns of it.
          kegs.noteFailure(hookError("zoneFini", z.name, item, cause));
        }
      }
    });
    return turnBack(z, gate, frame);
  }

  /** Sends what is in the crate beyond the zone's own back to where it came from. */
  function turnBack(z: ZoneHandle, gate: Gate, frame: number): Outcome {
    const { origin } = gate;
    if (origin === null) return intoSlabs(z.zone, z.keg, frame, i32[bucketOf(frame) + BUCKET_INITED]);
    const count = held(frame) - i32[bucketOf(frame) + BUCKET_INITED];
    if (count <= 0) return OK;
    try {
      return hooked(z, () => origin.empty(frame, count));
    } catch (thrown) {
      if (!(thrown instanceof UmaError)) throw thrown;
      kegs.noteFailure(thrown);
      return OK;
    }
  }

  /** Puts what is above `keep` into the slabs, a few a transaction. */
  function intoSlabs(zone: number, keg: number, frame: number, keep: number): Outcome {
    if (held(frame) <= keep) return OK;
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
    try {
      while (held(frame) > keep) {
        const position = i32[frame + INTENT_HEADER];
        const now = Math.min(held(frame) - keep, PUTS_PER_COMMIT);
        for (let n = 0; n < now; n++) slabs.put(keg, i32[position - n]);
        add(zone + ZONE_ITEMS, -now);
        set(frame + INTENT_HEADER, position - now);
        commit();
      }
      return OK;
    } finally {
      locks.release();
    }
  }

  function takeOne(z: ZoneHandle, intoReserve: boolean): number {
    const gate = gateOf(z);
    if (intents.full()) {
      why = BUSY;
      return 0;
    }
    const outer = fault;
    fault = null;
    const frame = open(z.zone);
    why = pools.takeBucket(z.zone, frame + INTENT_HEADER);
    if (why !== OK) {
      intents.pop(frame);
      return 0;
    }
    const bucket = bucketOf(frame);
    i32[bucket + BUCKET_INITED] = 0;
    why = bring(z, gate, frame, 1, false, intoReserve);
    if (held(frame) > i32[bucket + BUCKET_INITED]) {
      why = told(BUSY, outer);
      return 0;
    }
    let p = 0;
    if (held(frame) === 1) {
      p = i32[i32[frame + INTENT_HEADER]];
      if (z.checks) setByte(slabs.markOf(p, z.shift), slot | MARK_BUSY);
      set(frame + INTENT_HEADER, bucket + BUCKET_EMPTY);
      commit();
    }
    if (pools.giveBucket(frame + INTENT_HEADER, 0) === OK) close(z, frame);
    why = told(why, outer);
    return p;
  }

  function giveOne(z: ZoneHandle, p: number): Outcome {
    if (intents.depth() >= INTENT_FRAMES) return BUSY;
    const gate = gateOf(z);
    const frame = open(z.zone);
    if (pools.takeBucket(z.zone, frame + INTENT_HEADER) !== OK) {
      intents.pop(frame);
      return BUSY;
    }
    const bucket = bucketOf(frame);
    i32[bucket + BUCKET_INITED] = 1;
    i32[bucket + BUCKET_EMPTY + 1] = p;
    if (z.checks) setByte(slabs.markOf(p, z.shift), MARK_FREE);
    set(frame + INTENT_HEADER, bucket + BUCKET_EMPTY + 1);
    commit();
    // From here on it is the crate's: whatever is out of reach, the next slow path sees to it.
    if (dismiss(z, gate, frame, 0) === OK && held(frame) === 0 && pools.giveBucket(frame + INTENT_HEADER, 0) === OK) close(z, frame);
    return OK;
  }

  function drainFirst(z: ZoneHandle): Outcome {
    const { zone, keg } = z;
    const gate = gateOf(z, HOOK_ZONE_FINI | HOOK_ORIGIN);
    if (intents.crowded()) return BUSY;
    const frame = open(zone);
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) {
      intents.pop(frame);
      return BUSY;
    }
    try {
      takeFirst(zone, frame);
    } finally {
      locks.release();
    }
    if (i32[frame + INTENT_HEADER] !== 0) {
      dismiss(z, gate, frame, 0);
      if (finish(frame, z, false) !== OK) return BUSY;
    }
    intents.pop(frame);
    return OK;
  }

  /** The depot's first full bucket, if there is one, into the frame. */
  function takeFirst(zone: number, frame: number): void {
    const bucket = i32[zone + ZONE_FULL];
    if (bucket === 0) return;
    const count = i32[bucket + BUCKET_COUNT];
    depot.unlinkFull(zone, bucket, count);
    set(bucket + BUCKET_OWNER, me);
    set(bucket + BUCKET_INITED, count);
    set(frame + INTENT_HEADER, bucket + BUCKET_EMPTY + count);
    commit();
  }

  function finish(frame: number, z: ZoneHandle | null, dead: boolean): Outcome {
    const zone = i32[frame + INTENT_ZONE];
    // A bucket on its way to the pool.
    if (zone === 0) return i32[frame + INTENT_HEADER] === 0 ? OK : pools.giveBucket(frame + INTENT_HEADER, 0);
    const keg = i32[zone + ZONE_KEG];
    if (i32[frame + INTENT_HEADER] !== 0 && sendRest(frame, zone, keg, z, dead) !== OK) return BUSY;
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
    try {
      const count = held(frame);
      if (i32[frame + INTENT_HEADER] !== 0) {
        const bucket = bucketOf(frame);
        set(frame + INTENT_HEADER, 0);
        if (count === 0) depot.linkEmpty(zone, bucket);
        else depot.linkFull(zone, bucket, count);
      }
      add(zone + ZONE_ITEMS, -i32[frame + INTENT_SURPLUS]);
      set(frame + INTENT_SURPLUS, 0);
      commit();
      return OK;
    } finally {
      locks.release();
    }
  }

  /** What in the crate is not the zone's goes back. */
  function sendRest(frame: number, zone: number, keg: number, z: ZoneHandle | null, dead: boolean): Outcome {
    const inited = i32[bucketOf(frame) + BUCKET_INITED];
    const rest = held(frame) - inited;
    if (rest <= 0) return OK;
    if ((i32[zone + ZONE_HOOKS_NOW] & HOOK_ORIGIN) !== 0) {
      if (z !== null && z.gate !== null) return turnBack(z, z.gate, frame);
      // Nobody here can release them: what was in flight is its user's.
      set(frame + INTENT_HEADER, i32[frame + INTENT_HEADER] - rest);
      add(frame + INTENT_SURPLUS, rest);
      commit();
      return OK;
    }
    const half = dead && (i32[zone + ZONE_FLAGS] & FLAG_UNCHECKED) === 0 ? 1 : 0;
    const put = intoSlabs(zone, keg, frame, inited + half);
    return put === OK && half === 1 ? orphanTop(zone, keg, frame) : put;
  }

  /** The topmost item may be half initialised: it becomes an orphan of the keg's first zone, to be made anew. */
  function orphanTop(zone: number, keg: number, frame: number): Outcome {
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
    try {
      const primary = i32[keg + KEG_ZONE];
      const mark = slabs.markOf(i32[i32[frame + INTENT_HEADER]], i32[keg + KEG_SHIFT]);
      setByte(mark, MARK_ORPHAN | MARK_BUSY);
      if (i32[keg + KEG_ZONE_AT] !== 0) setByte(mark + i32[keg + KEG_ZONE_AT], 0);
      add(zone + ZONE_ITEMS, -1);
      add(primary + ZONE_ITEMS, 1);
      noteExcess(floor, primary);
      set(frame + INTENT_HEADER, i32[frame + INTENT_HEADER] - 1);
      // Not in the journal: undone, it would take back what others have said meanwhile.
      Atomics.store(i32, primary + ZONE_ORPHANS, 1);
      commit();
      return OK;
    } finally {
      locks.release();
    }
  }

  return { adjust, takeOne, outcome: () => why, giveOne, drainFirst, finish, letsOut, isGated, stamp };
}
