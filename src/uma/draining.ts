/**
 * Giving buckets back: those of a worker's line to the depot, those of the depot to slabs and pool; and the limbo of SMR zones, where
 * buckets wait until no reader can see what is in them.
 *
 * A lock is held for a bucket at a time, so that whoever allocates meanwhile does not wait for all of them. Each transaction leaves
 * what is still to be done where it was: what ends BUSY is begun anew by whoever comes next.
 */
import type { Floor } from "../backend/memory/floor.ts";
import * as layout from "../backend/memory/layout.ts";
import type { ZoneHandle } from "./cache.ts";
import type { Depot } from "./depot.ts";
import type { Gates } from "./gate.ts";
import * as outcomes from "./outcome.ts";
import type { Outcome } from "./outcome.ts";
import type { Pools } from "./pools.ts";
import type { Slabs } from "./slab.ts";
import type { Smr } from "./smr.ts";

const {
  BUCKET_COUNT,
  BUCKET_EMPTY,
  BUCKET_MASK,
  BUCKET_SEQ,
  INTENT_BUCKET,
  INTENT_HEADER,
  KEG_IPERS,
  KEG_LOCK,
  LINE_EXTRA,
  LINE_HIDDEN,
  LINE_PREFILL,
  LINE_SMR,
  LINE_SP,
  LINE_SPARE,
  LINE_TOP,
  NO_BUCKET,
  ZONE_DEPOT_ITEMS,
  ZONE_EMPTY,
  ZONE_EMPTY_COUNT,
  ZONE_FULL,
  ZONE_FULL_COUNT,
  ZONE_ITEMS,
  ZONE_LIMBO,
} = layout;
const { BUSY, EMPTY, OK } = outcomes;

export interface Draining {
  /** Hands the buckets of a cache line (one's own, or a dead worker's) to the depot; what was prefilled only if it need not be kept. */
  readonly drainLine: (zone: number, keg: number, line: number, keepPrefill?: boolean) => Outcome;
  /**
   * Empties the depot into the slabs, down to `keepBuckets` buckets, and gives the empty ones to the pool.
   * @param z - the zone as this thread has it open; null while it is being taken apart and nobody here has its gate.
   */
  readonly drainDepot: (zone: number, keg: number, keepBuckets: number, z: ZoneHandle | null) => Outcome;
  /** Moves an empty bucket of the depot into the word `into`. @returns EMPTY when it has none. */
  readonly takeEmptyAside: (zone: number, keg: number, into: number) => Outcome;
  /** Gives the gathering bucket named by `word` its goal; it joins the zone's limbo. */
  readonly intoLimbo: (zone: number, keg: number, word: number) => Outcome;
  /** Moves the oldest bucket of the limbo to the depot, if its goal is reached (or whatever). @returns EMPTY when there is none. */
  readonly outOfLimbo: (zone: number, keg: number, whatever?: boolean) => Outcome;
  /** Takes the oldest bucket of the limbo, which has lost its last item, to the empties, as part of the open transaction. */
  readonly dropLimbo: (zone: number, bucket: number) => void;
}

export function createDraining(floor: Floor, pools: Pools, slabs: Slabs, smr: Smr, depot: Depot, gates: Gates): Draining {
  const { i32 } = floor.cells;
  const { locks, intents, patienceMs } = floor;
  const { set, add, commit } = floor.journal;
  const { unlinkFull, linkFull, linkEmpty, unlinkEmpty, linkLimbo, unlinkLimbo } = depot;

  function drainLine(zone: number, keg: number, line: number, keepPrefill = false): Outcome {
    // First of all: without a bucket, TOP above 0 would let a free store into the words behind NO_BUCKET.
    i32[line + LINE_TOP] = 0;
    for (const word of [line + LINE_SP, line + LINE_SPARE, line + LINE_HIDDEN, line + LINE_EXTRA, line + LINE_PREFILL, line + LINE_SMR]) {
      if (keepPrefill && (word === line + LINE_PREFILL || word === line + LINE_SMR)) continue;
      const none = word === line + LINE_SP ? NO_BUCKET : 0;
      const position = i32[word];
      if (position === none) continue;
      if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
      try {
        const bucket = position & ~BUCKET_MASK;
        const count = (position & BUCKET_MASK) - BUCKET_EMPTY;
        if (count === 0) linkEmpty(zone, bucket);
        else if (word === line + LINE_SMR) linkLimbo(zone, bucket, count);
        else linkFull(zone, bucket, count);
        set(word, none);
        commit();
      } finally {
        locks.release();
      }
    }
    return OK;
  }

  function intoLimbo(zone: number, keg: number, word: number): Outcome {
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
    try {
      linkLimbo(zone, i32[word] & ~BUCKET_MASK, (i32[word] & BUCKET_MASK) - BUCKET_EMPTY);
      set(word, 0);
      commit();
      return OK;
    } finally {
      locks.release();
    }
  }

  function outOfLimbo(zone: number, keg: number, whatever = false): Outcome {
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
    try {
      const bucket = i32[zone + ZONE_LIMBO];
      if (bucket === 0 || !(whatever || smr.poll(i32[bucket + BUCKET_SEQ]))) return EMPTY;
      const count = i32[bucket + BUCKET_COUNT];
      unlinkLimbo(zone, bucket);
      add(zone + ZONE_DEPOT_ITEMS, -count);
      linkFull(zone, bucket, count);
      commit();
      return OK;
    } finally {
      locks.release();
    }
  }

  function dropLimbo(zone: number, bucket: number): void {
    unlinkLimbo(zone, bucket);
    linkEmpty(zone, bucket);
  }

  function drainDepot(zone: number, keg: number, keepBuckets: number, z: ZoneHandle | null): Outcome {
    const gated = gates.isGated(zone);
    // Its openers have to do it.
    if (gated && z !== null && !gates.letsOut(z)) return OK;
    // The lock is let go between buckets: others want it, too. What they add meanwhile is not waited for.
    for (let n = i32[zone + ZONE_FULL_COUNT] - keepBuckets; n > 0; n--) {
      if (gated && z !== null) {
        if (gates.drainFirst(z) !== OK) return BUSY;
        continue;
      }
      if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
      try {
        if (i32[zone + ZONE_FULL_COUNT] > keepBuckets) emptyFirst(zone, keg);
      } finally {
        locks.release();
      }
    }
    for (let n = i32[zone + ZONE_EMPTY_COUNT]; n > 0; n--) {
      if (intents.crowded()) return BUSY;
      const frame = intents.push(INTENT_BUCKET);
      const taken = takeEmptyAside(zone, keg, frame + INTENT_HEADER);
      if (taken === OK && pools.giveBucket(frame + INTENT_HEADER, 0) !== OK) {
        return BUSY;
      }
      intents.pop(frame);
      if (taken !== OK) return taken === EMPTY ? OK : taken;
    }
    return OK;
  }

  function takeEmptyAside(zone: number, keg: number, into: number): Outcome {
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
    try {
      const bucket = i32[zone + ZONE_EMPTY];
      if (bucket === 0) return EMPTY;
      unlinkEmpty(zone, bucket);
      set(into, bucket + BUCKET_EMPTY);
      commit();
      return OK;
    } finally {
      locks.release();
    }
  }

  /** Moves the items of the depot's first bucket into their slabs, as many a transaction as it takes, and with the last of them the bucket to the empties. */
  function emptyFirst(zone: number, keg: number): void {
    const bucket = i32[zone + ZONE_FULL];
    for (;;) {
      const count = i32[bucket + BUCKET_COUNT];
      // The items of a cache zone have no slabs.
      const now = i32[keg + KEG_IPERS] === 0 ? count : slabs.putMany(keg, bucket + BUCKET_EMPTY + count, count);
      add(zone + ZONE_ITEMS, -now);
      if (now === count) {
        unlinkFull(zone, bucket, count);
        linkEmpty(zone, bucket);
        commit();
        return;
      }
      set(bucket + BUCKET_COUNT, count - now);
      add(zone + ZONE_DEPOT_ITEMS, -now);
      commit();
    }
  }

  return { drainLine, drainDepot, takeEmptyAside, intoLimbo, outOfLimbo, dropLimbo };
}
