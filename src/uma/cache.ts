/**
 * The worker's cache and the depot: what happens when the hot path of a zone finds its bucket empty or full.
 *
 * A worker has for each zone an alloc bucket, which it alone pops and pushes (tier 0), and a spare, in the manner of Bonwick's
 * loaded and previous magazines: when the alloc bucket runs out it is exchanged with the spare, and only when that is of no
 * help either, whole buckets go to or come from the zone's depot, under the keg's lock (tier 1). An empty depot is refilled
 * from slabs, and a keg without free items from the supplier (tier 2).
 *
 * Who owns a bucket: its OWNER word names a worker, or 0 for the depot and the pool; the owner word and the word that names the
 * bucket (SP, SPARE, EXTRA, HIDDEN of a cache line; a list of the depot) change in one transaction. COUNT in the header is
 * written in the transaction in which a cache word stops naming the bucket; until then the cache word is right and COUNT old.
 *
 * TOP is kept in step with SP by plain stores of the owner: it is only where the hot path turns off. 0 turns every free off.
 *
 * Not done: a lock-free depot. An exchange comes once per bucket; docs/ARCHITECTURE.md has the figures.
 */
import type { Floor } from "../backend/memory/floor.ts";
import * as layout from "../backend/memory/layout.ts";
import type { Depot } from "./depot.ts";
import { type Draining, createDraining } from "./draining.ts";
import type { Exchange } from "./exchange.ts";
import type { Gate, Gates } from "./gate.ts";
import type { KegHandle, Kegs } from "./keg.ts";
import * as outcomes from "./outcome.ts";
import type { Outcome } from "./outcome.ts";
import type { Pools } from "./pools.ts";
import type { Slabs } from "./slab.ts";
import type { Smr } from "./smr.ts";

const {
  BUCKET_COUNT,
  BUCKET_EMPTY,
  BUCKET_MASK,
  BUCKET_OWNER,
  KEG_FREE,
  KEG_LOCK,
  KEG_RESERVE,
  LINE_EXCHANGES,
  LINE_EXTRA,
  LINE_HIDDEN,
  LINE_REASONS,
  LINE_SP,
  LINE_SPARE,
  LINE_TOP,
  MARK_BUSY,
  MARK_FREE,
  NO_BUCKET,
  ZONE_BUCKET_CAP,
  ZONE_BUCKET_MAX,
  ZONE_CONTENTIONS,
  ZONE_DEPOT_CAP,
  ZONE_DEPOT_ITEMS,
  ZONE_EMPTY,
  ZONE_FULL,
  ZONE_ITEMS,
  ZONE_LIMIT,
  ZONE_SLEEPERS,
} = layout;
const { BUSY, EMPTY, LIMIT, OK } = outcomes;

/** A zone as one thread has it open. */
export interface ZoneHandle extends KegHandle {
  /** Word indices of the zone's record and of this worker's cache line. */
  readonly zone: number;
  readonly line: number;
  /** Grid of the marks. */
  readonly shift: number;
  /** False when the zone was made with checks off: then there are no marks. */
  readonly checks: boolean;
  /** What the page table shows for its items. */
  readonly tag: number;
  /** What its items pass on their way into the caches and out; null = nothing. */
  gate: Gate | null;
  /** Kegs with zone bytes: from an item's mark to that byte, 0 = there are none; and what it says of this zone's items. */
  readonly zoneAt: number;
  readonly zoneIndex: number;
}

/** As much of a zone as an item needs that goes back past the buckets. */
export type LoneZone = Pick<ZoneHandle, "zone" | "keg" | "shift" | "checks" | "tag">;

export interface Caches extends Draining {
  /** Makes the alloc bucket non-empty. @returns OK, EMPTY, LIMIT, BUSY, REFUSED; EMPTY also when there is no bucket to be had. */
  refill(z: ZoneHandle): Outcome;
  /** Makes the alloc bucket non-full. @returns OK; EMPTY when there is no bucket to be had; BUSY. */
  makeRoom(z: ZoneHandle): Outcome;
  /** Takes one item from a slab, past the buckets, marked {@link MARK_BUSY}. @returns its address; 0 and `outcome` else. */
  takeSingle(z: ZoneHandle): number;
  /** Sends one BUSY item of the zone's back to where it came from, past the buckets. */
  giveSingle(z: ZoneHandle, p: number): Outcome;
  /** Puts one BUSY item that is the keg's back into its slab; nothing, if the zone was destroyed and the slab is gone. */
  putBack(z: LoneZone, p: number): Outcome;
  /** Why the last takeSingle returned 0. */
  outcome(): Outcome;
  /** Lets this thread's tries for items of `zone` count as those of a worker that waits for one; 0 = no longer. */
  asWaiter(zone: number): void;
  /** Whether this thread's single items may come from the reserve. */
  useReserve(may: boolean): void;
  /** Whether frees go past the caches. */
  isScarce(zone: number): boolean;
  /** Brings TOP in step with SP; 0 while anybody waits for an item of the zone, so that every free is seen. */
  resetTop(z: ZoneHandle): void;
  hide(line: number): void;
  show(z: ZoneHandle): void;
}

export function createCaches(
  floor: Floor,
  pools: Pools,
  slabs: Slabs,
  kegs: Kegs,
  smr: Smr,
  depot: Depot,
  gates: Gates,
  exchange: Exchange,
): Caches {
  const { i32, u8 } = floor.cells;
  const { locks, patienceMs, me, slot } = floor;
  const { set, setByte, add, commit } = floor.journal;
  const { unlinkFull, linkFull, linkEmpty, unlinkEmpty } = depot;
  const { drainLine, drainDepot, takeEmptyAside, intoLimbo, outOfLimbo, dropLimbo } = createDraining(
    floor,
    pools,
    slabs,
    smr,
    depot,
    gates,
  );
  let why: Outcome = OK;
  /** Zone (record) for which this thread tries as a waiter. */
  let waiter = 0;
  let intoReserve = false;
  /** Zone through whose gate this allocation has just looked in vain: nobody is asked twice. */
  let vain = 0;

  function resetTop(z: ZoneHandle): void {
    const off = i32[z.line + LINE_SP] === NO_BUCKET || isScarce(z.zone);
    const top = off ? 0 : BUCKET_EMPTY + i32[z.zone + ZONE_BUCKET_CAP];
    // As a rule it is so already, and nobody has called: what is not stored cannot cover up a call that comes just now.
    if (i32[z.line + LINE_TOP] === top && i32[z.line + LINE_REASONS] === 0) return;
    Atomics.store(i32, z.line + LINE_TOP, top);
    // A call that came since the reasons were last looked at must not be covered up.
    if (top !== 0 && Atomics.load(i32, z.line + LINE_REASONS) !== 0) i32[z.line + LINE_TOP] = 0;
  }

  /** Exchanges alloc bucket and spare: two words of this worker's own, so a transaction without a lock. */
  function swapSpare(z: ZoneHandle): void {
    const sp = i32[z.line + LINE_SP];
    set(z.line + LINE_SP, i32[z.line + LINE_SPARE]);
    set(z.line + LINE_SPARE, sp === NO_BUCKET ? 0 : sp);
    commit();
    resetTop(z);
  }

  function refill(z: ZoneHandle): Outcome {
    const { line, zone, keg } = z;
    if ((i32[line + LINE_SPARE] & BUCKET_MASK) > BUCKET_EMPTY) {
      swapSpare(z);
      return OK;
    }
    const gated = gates.isGated(zone);
    vain = 0;
    for (;;) {
      const cap = i32[zone + ZONE_BUCKET_CAP];
      // While workers wait, items are taken one at a time.
      if (cap === 0 || i32[zone + ZONE_SLEEPERS] !== 0) return EMPTY;
      if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
      let outcome: Outcome = EMPTY;
      try {
        if (locks.contended()) noteContention(zone, cap);
        if (i32[zone + ZONE_FULL] !== 0) {
          if (!exchange.takeFull(line, zone)) takeFull(z);
          outcome = OK;
        } else if (haveBucket(z)) {
          if (!gated) outcome = fillFromSlabs(z, cap);
        } else {
          outcome = BUSY;
        }
      } finally {
        locks.release();
      }
      resetTop(z);
      if (outcome === OK || outcome === LIMIT) return outcome;
      if (gated && outcome === EMPTY) {
        const through = gates.adjust(z, line + LINE_SP, cap, false);
        if (through === EMPTY) vain = zone;
        return through;
      }
      // BUSY said that no bucket is at hand, EMPTY that the keg has no free item: get one, without a lock held, and look again.
      const got = outcome === BUSY ? pools.takeBucket(zone, line + LINE_EXTRA) : kegs.grow(z, false);
      if (got !== OK) return got;
    }
  }

  function noteContention(zone: number, cap: number): void {
    i32[zone + ZONE_CONTENTIONS]++;
    if (cap < i32[zone + ZONE_BUCKET_MAX]) i32[zone + ZONE_BUCKET_CAP] = cap + 1;
  }

  /** Takes the depot's first full bucket as alloc bucket; the empty one becomes the spare, or stays with the depot. */
  function takeFull(z: ZoneHandle): void {
    const { line, zone } = z;
    const bucket = i32[zone + ZONE_FULL];
    const count = i32[bucket + BUCKET_COUNT];
    unlinkFull(zone, bucket, count);
    set(bucket + BUCKET_OWNER, me);
    const old = i32[line + LINE_SP];
    if (old !== NO_BUCKET) {
      if (i32[line + LINE_SPARE] === 0) set(line + LINE_SPARE, old);
      else linkEmpty(zone, old - BUCKET_EMPTY);
    }
    set(line + LINE_SP, bucket + BUCKET_EMPTY + count);
    commit();
    i32[line + LINE_EXCHANGES]++;
  }

  /** Sees to it, under the keg's lock, that SP names a bucket. @returns false when the zone has none at hand. */
  function haveBucket(z: ZoneHandle): boolean {
    const { line } = z;
    if (i32[line + LINE_SP] !== NO_BUCKET) return true;
    if (i32[line + LINE_SPARE] !== 0) {
      set(line + LINE_SP, i32[line + LINE_SPARE]);
      set(line + LINE_SPARE, 0);
    } else {
      const empty = takeEmpty(z);
      if (empty === 0) return false;
      set(line + LINE_SP, empty);
    }
    commit();
    return true;
  }

  /** An empty bucket, as a position, from EXTRA or the depot's empties, as part of the open transaction; 0 = none. */
  function takeEmpty(z: ZoneHandle): number {
    const { line, zone } = z;
    const extra = i32[line + LINE_EXTRA];
    if (extra !== 0) {
      set(line + LINE_EXTRA, 0);
      return extra;
    }
    const bucket = i32[zone + ZONE_EMPTY];
    if (bucket === 0) return 0;
    unlinkEmpty(zone, bucket);
    return bucket + BUCKET_EMPTY;
  }

  /** Fills the alloc bucket from slabs, a transaction a slab. */
  function fillFromSlabs(z: ZoneHandle, cap: number): Outcome {
    const { line, zone, keg } = z;
    const allowed = headroom(zone);
    if (allowed <= 0) return LIMIT;
    // Near the limit a bucket is not filled whole: what lies in it is out of the others' reach.
    let want = Math.min(cap, (allowed + 3) >>> 2, i32[keg + KEG_FREE] - i32[keg + KEG_RESERVE]);
    let got = 0;
    while (want > 0) {
      const slab = slabs.pick(keg);
      if (slab === 0) break;
      const count = slabs.take(keg, slab, line + LINE_SP, want);
      gates.stamp(z, line + LINE_SP, count);
      add(zone + ZONE_ITEMS, count);
      commit();
      want -= count;
      got += count;
    }
    return got > 0 ? OK : EMPTY;
  }

  /** Whether frees go past the caches: somebody waits, or more is out than a lowered limit allows. */
  function isScarce(zone: number): boolean {
    const limit = i32[zone + ZONE_LIMIT];
    return i32[zone + ZONE_SLEEPERS] !== 0 || (limit !== 0 && i32[zone + ZONE_ITEMS] > limit);
  }

  /** Whether what there is of a zone under a limit is for those who wait for it. */
  function turnedAway(zone: number): boolean {
    const sleepers = i32[zone + ZONE_SLEEPERS];
    if (sleepers === 0 || waiter === zone || i32[zone + ZONE_LIMIT] === 0) return false;
    return i32[zone + ZONE_DEPOT_ITEMS] + headroom(zone) <= sleepers;
  }

  /** Takes one item out of the depot's first bucket, marked BUSY; the bucket joins the empties with its last one. */
  function takeFromDepot(z: ZoneHandle): number {
    const { zone } = z;
    const bucket = i32[zone + ZONE_FULL];
    const count = i32[bucket + BUCKET_COUNT];
    const p = i32[bucket + BUCKET_EMPTY + count];
    if (z.checks) setByte(slabs.markOf(p, z.shift), slot | MARK_BUSY);
    if (count === 1) {
      unlinkFull(zone, bucket, 1);
      linkEmpty(zone, bucket);
    } else {
      set(bucket + BUCKET_COUNT, count - 1);
      add(zone + ZONE_DEPOT_ITEMS, -1);
    }
    commit();
    return p;
  }

  /** Items that the limit still allows out of the keg. */
  function headroom(zone: number): number {
    const limit = i32[zone + ZONE_LIMIT];
    return limit === 0 ? 0x7fffffff : limit - i32[zone + ZONE_ITEMS];
  }

  function makeRoom(z: ZoneHandle): Outcome {
    const { line, zone, keg } = z;
    const cap = i32[zone + ZONE_BUCKET_CAP];
    if (cap === 0) return EMPTY;
    const spare = i32[line + LINE_SPARE];
    if (spare !== 0 && (spare & BUCKET_MASK) < BUCKET_EMPTY + cap) {
      swapSpare(z);
      return OK;
    }
    if (spare !== 0 && gates.isGated(zone) && depotIsFull(zone, (i32[line + LINE_SP] & BUCKET_MASK) - BUCKET_EMPTY)) {
      const outcome = i32[line + LINE_SP] === NO_BUCKET ? EMPTY : gates.adjust(z, line + LINE_SP, 0, true);
      if (outcome === OK) i32[line + LINE_EXCHANGES]++;
      resetTop(z);
      return outcome;
    }
    for (;;) {
      if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
      let done = false;
      try {
        if (locks.contended()) noteContention(zone, cap);
        done = exchangeFull(z);
      } finally {
        locks.release();
      }
      if (done) {
        resetTop(z);
        return OK;
      }
      const got = pools.takeBucket(zone, line + LINE_EXTRA);
      if (got !== OK) return got;
    }
  }

  /** Puts an empty bucket in the alloc bucket's place, which becomes the spare or goes to the depot, or empties it. */
  function exchangeFull(z: ZoneHandle): boolean {
    const { line, zone } = z;
    // Somebody may have made buckets larger since their size was looked at.
    if (hasRoom(line, zone)) return true;
    if (exchange.giveFull(line, zone)) return true;
    // A drain that met a lock out of reach may have left a spare without a bucket before it: then there is nothing to empty.
    const isLoaded = i32[line + LINE_SP] !== NO_BUCKET && i32[line + LINE_SPARE] !== 0;
    if (isLoaded && !gates.isGated(zone) && depotIsFull(zone, (i32[line + LINE_SP] & BUCKET_MASK) - BUCKET_EMPTY)) {
      emptyLoaded(z);
      return true;
    }
    const empty = takeEmpty(z);
    if (empty === 0) return false;
    const sp = i32[line + LINE_SP];
    if (sp !== NO_BUCKET) {
      if (i32[line + LINE_SPARE] === 0) {
        set(line + LINE_SPARE, sp);
      } else {
        linkFull(zone, sp & ~BUCKET_MASK, (sp & BUCKET_MASK) - BUCKET_EMPTY);
        i32[line + LINE_EXCHANGES]++;
      }
    }
    set(line + LINE_SP, empty);
    commit();
    return true;
  }

  function hasRoom(line: number, zone: number): boolean {
    const sp = i32[line + LINE_SP];
    return sp !== NO_BUCKET && (sp & BUCKET_MASK) < BUCKET_EMPTY + i32[zone + ZONE_BUCKET_CAP];
  }

  /** Whether `count` more items would be too many for the depot: then they go back to their slabs. */
  function depotIsFull(zone: number, count: number): boolean {
    const max = i32[zone + ZONE_DEPOT_CAP];
    return max !== 0 && i32[zone + ZONE_DEPOT_ITEMS] + count > max;
  }

  /** Moves the items of the alloc bucket into their slabs, as many a transaction as it takes. */
  function emptyLoaded({ line, zone, keg }: ZoneHandle): void {
    for (;;) {
      const sp = i32[line + LINE_SP];
      const count = (sp & BUCKET_MASK) - BUCKET_EMPTY;
      if (count <= 0) break;
      const now = slabs.putMany(keg, sp, count);
      set(line + LINE_SP, sp - now);
      add(zone + ZONE_ITEMS, -now);
      commit();
    }
    i32[line + LINE_EXCHANGES]++;
  }

  function takeSingle(z: ZoneHandle): number {
    const { zone, keg } = z;
    const gated = gates.isGated(zone);
    for (;;) {
      if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return failed(BUSY);
      try {
        if (turnedAway(zone)) return failed(LIMIT);
        if (i32[zone + ZONE_FULL] !== 0) return takeFromDepot(z);
        if (headroom(zone) <= 0) return failed(LIMIT);
        if (gated && vain === zone && !intoReserve) return failed(EMPTY);
        if (gated) break;
        const slab = i32[keg + KEG_FREE] > (intoReserve ? 0 : i32[keg + KEG_RESERVE]) ? slabs.pick(keg) : 0;
        if (slab !== 0) {
          const p = slabs.takeOne(keg, slab);
          if (z.checks) setByte(slabs.markOf(p, z.shift), slot | MARK_BUSY);
          if (z.zoneAt !== 0) setByte(slabs.markOf(p, z.shift) + z.zoneAt, z.zoneIndex);
          add(zone + ZONE_ITEMS, 1);
          commit();
          return p;
        }
      } finally {
        locks.release();
      }
      const grown = kegs.grow(z, false);
      if (grown !== OK) return failed(grown);
    }
    const p = gates.takeOne(z, intoReserve);
    return p === 0 ? failed(gates.outcome()) : p;
  }

  function failed(outcome: Outcome): number {
    why = outcome;
    return 0;
  }

  function giveSingle(z: ZoneHandle, p: number): Outcome {
    return z.gate === null ? putBack(z, p) : gates.giveOne(z, p);
  }

  function putBack(z: LoneZone, p: number): Outcome {
    const { zone, keg } = z;
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
    try {
      if (!slabs.holds(keg, z.tag, p)) return OK;
      // Whoever took the zone apart meanwhile, in a hook of the item's own, has had it from us.
      if (z.checks && (u8[slabs.markOf(p, z.shift)] & ~MARK_BUSY) !== slot) return OK;
      slabs.put(keg, p);
      if (z.checks) setByte(slabs.markOf(p, z.shift), MARK_FREE);
      add(zone + ZONE_ITEMS, -1);
      commit();
      return OK;
    } finally {
      locks.release();
    }
  }

  function hide(line: number): void {
    const sp = i32[line + LINE_SP];
    if (sp === NO_BUCKET) return;
    i32[line + LINE_TOP] = 0;
    set(line + LINE_HIDDEN, sp);
    set(line + LINE_SP, NO_BUCKET);
    commit();
  }

  function show(z: ZoneHandle): void {
    const hidden = i32[z.line + LINE_HIDDEN];
    // After an exception another bucket may have come into SP: then this one waits until the line is drained.
    if (hidden === 0 || i32[z.line + LINE_SP] !== NO_BUCKET) return;
    set(z.line + LINE_SP, hidden);
    set(z.line + LINE_HIDDEN, 0);
    commit();
    resetTop(z);
  }

  return {
    refill,
    makeRoom,
    takeSingle,
    giveSingle,
    outcome: () => why,
    useReserve: (may) => {
      intoReserve = may;
    },
    putBack,
    takeEmptyAside,
    intoLimbo,
    outOfLimbo,
    dropLimbo,
    isScarce,
    asWaiter: (zone) => {
      waiter = zone;
    },
    resetTop,
    drainLine,
    drainDepot,
    hide,
    show,
  };
}
