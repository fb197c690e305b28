/**
 * verify() while others are at work.
 *
 * It takes each keg's, the pool's and the heap's lock in turn, for a bounded time, and recounts what stands still under it: a keg's
 * lists, slabs and counters with the depot of its zone; the free buckets; the heap's segments. What it cannot see it says: buckets in
 * the hands of live workers (and so whether an item that is out of the keg is allocated or cached), zones that this thread has not
 * open, and whatever a lock out of reach or the time kept from it. It raises no false alarm.
 *
 * Only zones that this thread has open: its opening is what keeps a zone from being taken apart, and its record from being used
 * anew, under the eyes of the walk.
 *
 * An owner that is gone is no fault at first sight, for a mark may change between two looks at two words. Such items are looked at
 * again at the end, and count when nothing has changed.
 */
import {
  ARENA_LOCK,
  ARENA_SEGMENTS,
  BUCKET_COUNT,
  BUCKET_EMPTY,
  BUCKET_NEXT,
  BUCKET_OWNER,
  KEG_FLAGS,
  KEG_FREE,
  KEG_IPERS,
  KEG_ITEMS,
  KEG_LIST_FREE,
  KEG_LIST_PARTIAL,
  KEG_LIST_TAKEN,
  KEG_LOCK,
  KEG_MOST_ZONES,
  KEG_PAGES,
  KEG_PARTIAL_BINS,
  KEG_PPERA,
  KEG_RSIZE,
  KEG_SHIFT,
  KEG_SLABS,
  KEG_TAG,
  KEG_ZONES,
  MARK_BUSY,
  MARK_FREE,
  MARK_ORPHAN,
  PAGE_SHIFT,
  PTE_SLAB,
  PTE_TAG,
  SB_BUCKET_FREE,
  SB_BUCKET_TOTAL,
  SB_POOL_LOCK,
  SLAB_BITS,
  SLAB_FREE,
  SLAB_KEG,
  SLAB_LIST,
  SLAB_NEXT,
  SLAB_PREV,
  SLAB_START,
  STATE_FREE,
  ZONE_DEPOT_ITEMS,
  ZONE_EMPTY,
  ZONE_EMPTY_COUNT,
  ZONE_FULL,
  ZONE_FULL_COUNT,
  ZONE_ITEMS,
  ZONE_LIMBO,
  ZONE_LIMBO_COUNT,
  ZONE_PRIMARY,
} from "../backend/memory/layout.ts";
import { verifyArena } from "../backend/vmem/verify.ts";
import type { Core } from "./core.ts";
import { FLAG_CACHE, FLAG_UNCHECKED } from "./definition.ts";
import type { Registry } from "./registry.ts";
import type { Verdict } from "./verify.ts";
import type { Zone } from "./zone.ts";

export interface OnlineOptions {
  readonly online: true;
  /** How long each lock is held at the most, milliseconds. Default 5. */
  readonly budget?: number;
}

/** What was found, and what could not be looked at. */
export interface OnlineVerdict extends Verdict {
  readonly unseen: readonly string[];
}

const DEFAULT_BUDGET_MS = 5;
const MOST_PROBLEMS = 100;
/** Segments of the heap that are looked at in a millisecond, to be on the safe side. */
const SEGMENTS_A_MS = 400;
/** Buckets, or slabs, between two looks at the clock. */
const CLOCK_EVERY = 8;

interface Suspect {
  readonly name: string;
  readonly item: number;
  readonly mark: number;
  readonly value: number;
  readonly tenant: number;
}

interface Pass {
  readonly say: (problem: string) => void;
  readonly unseen: (what: string) => void;
  readonly suspects: Suspect[];
  readonly totals: { zones: number; slabs: number; items: number; outstanding: number; orphans: number };
  /** When the lock in hand is to be let go. */
  until: number;
}

export function createOnlineVerify(core: Core, registry: Registry): (options: OnlineOptions) => OnlineVerdict {
  const { floor, slabs, items, heap } = core;
  const { i32, u8 } = floor.cells;
  const { slots, locks, patienceMs } = floor;
  const { pageTable } = floor.geometry;
  const sb = floor.cells.base;

  function verify({ budget = DEFAULT_BUDGET_MS }: OnlineOptions): OnlineVerdict {
    const problems: string[] = [];
    const unseen: string[] = ["buckets in the hands of workers, and whether what is out of a keg is cached or outstanding"];
    const pass: Pass = {
      say: (problem) => void (problems.length < MOST_PROBLEMS && problems.push(problem)),
      unseen: (what) => void unseen.push(what),
      suspects: [],
      totals: { zones: 0, slabs: 0, items: 0, outstanding: 0, orphans: 0 },
      until: 0,
    };
    locks.mend();
    under(heap.arena + ARENA_LOCK, "the heap", budget, pass, () => lookAtHeap(budget, pass));
    under(sb + SB_POOL_LOCK, "the pool of buckets", budget, pass, () => lookAtPool(pass));
    for (let id = registry.highest(); id > 0; id--) {
      const record = registry.recordOf(id);
      if (record === 0) continue;
      const z = core.open[id];
      if (z === undefined || z.closed || z.zone !== record) {
        pass.unseen(`zone "${items.nameIn(record)}": this thread has not opened it`);
        continue;
      }
      under(z.keg + KEG_LOCK, `zone "${z.name}"`, budget, pass, () => lookAtZone(z, pass));
    }
    for (const suspect of pass.suspects) lookAgain(suspect, pass);
    return { ok: problems.length === 0, problems, unseen, ...pass.totals };
  }

  function under(lock: number, what: string, budget: number, pass: Pass, look: () => void): void {
    if (!locks.acquire(lock, patienceMs)) return pass.unseen(`${what}: its lock was out of reach`);
    pass.until = performance.now() + budget;
    try {
      look();
    } finally {
      locks.release();
    }
  }

  function lookAtHeap(budget: number, pass: Pass): void {
    const segments = i32[heap.arena + ARENA_SEGMENTS];
    if (segments > budget * SEGMENTS_A_MS) return pass.unseen(`the heap: ${segments} segments are more than fit the time`);
    verifyArena(floor, heap.segments, heap.arena, "heap", pass.say);
  }

  function lookAtPool(pass: Pass): void {
    const total = i32[sb + SB_BUCKET_TOTAL];
    let free = 0;
    for (let bucket = i32[sb + SB_BUCKET_FREE]; bucket !== 0; bucket = i32[bucket + BUCKET_NEXT]) {
      if (++free > total) return pass.say(`the pool has more free buckets than buckets (${total}): its list is a circle`);
      if (i32[bucket + BUCKET_OWNER] !== 0) pass.say(`a bucket of the pool names ${i32[bucket + BUCKET_OWNER]} as its owner`);
      if (free % CLOCK_EVERY === 0 && performance.now() > pass.until) return pass.unseen("the pool of buckets: the rest of its list");
    }
  }

  function lookAtZone(z: Zone, pass: Pass): void {
    const inDepot = new Set<number>();
    const say = (problem: string): void => pass.say(`zone "${z.name}": ${problem}`);
    const cut = (): void => pass.unseen(`zone "${z.name}": what the time did not suffice for`);
    const depot = lookAtDepot(z.zone, inDepot, pass, say);
    if (depot < 0) return cut();
    const same = (what: string, counted: number, kept: number): void => {
      if (counted !== kept) say(`${what}: counted ${counted}, kept ${kept}`);
    };
    same("items in the depot", depot, i32[z.zone + ZONE_DEPOT_ITEMS]);
    pass.totals.zones++;
    // Slabs are looked at with the keg's first zone; a cache zone has none.
    if (i32[z.zone + ZONE_PRIMARY] !== 0 || (i32[z.keg + KEG_FLAGS] & FLAG_CACHE) !== 0) return;
    const found = lookAtSlabs(z, inDepot, pass, say);
    if (found === null) return cut();
    same("slabs", found.slabs, i32[z.keg + KEG_SLABS]);
    same("items", found.items, i32[z.keg + KEG_ITEMS]);
    same("free items", found.free, i32[z.keg + KEG_FREE]);
    same("pages", found.slabs * i32[z.keg + KEG_PPERA], i32[z.keg + KEG_PAGES]);
    let out = 0;
    for (let n = 0; n < KEG_MOST_ZONES; n++) if (i32[z.keg + KEG_ZONES + n] !== 0) out += i32[i32[z.keg + KEG_ZONES + n] + ZONE_ITEMS];
    same("items out of the keg", found.items - found.free, out);
    if (found.inDepot !== inDepot.size) say(`${inDepot.size - found.inDepot} items in the depot belong to no slab of the keg`);
    pass.totals.slabs += found.slabs;
    pass.totals.items += found.items;
    pass.totals.outstanding += found.marked;
    pass.totals.orphans += found.orphans;
  }

  /** @returns items in the depot; −1 when the time was over. */
  function lookAtDepot(zone: number, inDepot: Set<number>, pass: Pass, say: (problem: string) => void): number {
    let depot = 0;
    for (const [what, list, kept] of [
      ["full", ZONE_FULL, ZONE_FULL_COUNT],
      ["empty", ZONE_EMPTY, ZONE_EMPTY_COUNT],
      ["limbo", ZONE_LIMBO, ZONE_LIMBO_COUNT],
    ] as const) {
      let buckets = 0;
      for (let bucket = i32[zone + list]; bucket !== 0; bucket = i32[bucket + BUCKET_NEXT]) {
        if (++buckets > i32[zone + kept]) break;
        if (i32[bucket + BUCKET_OWNER] !== 0) say(`a ${what} bucket of the depot names ${i32[bucket + BUCKET_OWNER]} as its owner`);
        const count = i32[bucket + BUCKET_COUNT];
        for (let n = 1; n <= count; n++) {
          const item = i32[bucket + BUCKET_EMPTY + n];
          if (inDepot.has(item)) say(`the item ${item} stands in the depot twice`);
          inDepot.add(item);
        }
        depot += count;
        if (buckets % CLOCK_EVERY === 0 && performance.now() > pass.until) return -1;
      }
      if (buckets !== i32[zone + kept]) say(`${what} buckets: counted ${buckets}, kept ${i32[zone + kept]}`);
    }
    return depot;
  }

  /** @returns null when the time was over. */
  function lookAtSlabs(z: Zone, inDepot: Set<number>, pass: Pass, say: (problem: string) => void): SlabTotals | null {
    const { keg } = z;
    const totals: SlabTotals = { slabs: 0, items: 0, free: 0, inDepot: 0, marked: 0, orphans: 0 };
    for (let list = KEG_LIST_FREE; list < KEG_LIST_PARTIAL + KEG_PARTIAL_BINS; list++) {
      let previous = 0;
      for (let slab = i32[keg + list]; slab !== 0; slab = i32[slab + SLAB_NEXT]) {
        if (++totals.slabs > i32[keg + KEG_SLABS]) return totals;
        if (i32[slab + SLAB_KEG] !== keg) {
          say(`list ${list} holds a slab of another keg`);
          return null;
        }
        if (i32[slab + SLAB_LIST] !== list) say(`a slab in list ${list} says ${i32[slab + SLAB_LIST]}`);
        if (i32[slab + SLAB_PREV] !== previous) say(`a slab in list ${list} does not point back`);
        lookAtSlab(z, slab, list, inDepot, totals, pass, say);
        previous = slab;
        if (totals.slabs % CLOCK_EVERY === 0 && performance.now() > pass.until) return null;
      }
    }
    return totals;
  }

  function lookAtSlab(
    z: Zone,
    slab: number,
    list: number,
    inDepot: Set<number>,
    totals: SlabTotals,
    pass: Pass,
    say: (problem: string) => void,
  ): void {
    const { keg } = z;
    const start = i32[slab + SLAB_START];
    const ipers = i32[keg + KEG_IPERS];
    const rsize = i32[keg + KEG_RSIZE];
    const shift = i32[keg + KEG_SHIFT];
    const marks = slabs.marksOf(slab);
    const checks = (i32[keg + KEG_FLAGS] & FLAG_UNCHECKED) === 0;
    let free = 0;
    for (let n = 0; n < ipers; n++) {
      const item = start + n * rsize;
      const mark = marks + (item >> shift) - (start >> shift);
      const isFree = ((i32[slab + SLAB_BITS + (n >>> 5)] >>> (n & 31)) & 1) === 1;
      const isInDepot = inDepot.has(item);
      if (isFree) free++;
      if (isInDepot) totals.inDepot++;
      if (isFree && isInDepot) say(`the item ${item} is free in its slab and in the depot`);
      if (!checks) continue;
      const value = Atomics.load(u8, mark);
      if (value === MARK_FREE) continue;
      if (isFree || isInDepot) say(`the item ${item} is free and marked ${value}`);
      totals.marked++;
      const owner = value & ~MARK_BUSY;
      if (owner === MARK_ORPHAN) totals.orphans++;
      else if (owner > slots.count) say(`the item ${item} is marked ${value}; there are ${slots.count} slots`);
      else if (slots.state(owner) === STATE_FREE) pass.suspects.push({ name: z.name, item, mark, value, tenant: slots.tenant(owner) });
    }
    const entry = ((start >>> PAGE_SHIFT) << 2) + pageTable;
    if (i32[entry + PTE_TAG] !== i32[keg + KEG_TAG] || i32[entry + PTE_SLAB] !== slab)
      say(`the page table does not know the slab at ${start}`);
    if (free !== i32[slab + SLAB_FREE]) say(`the slab at ${start} has ${free} free items, its header says ${i32[slab + SLAB_FREE]}`);
    if ((list === KEG_LIST_TAKEN) !== (free === 0) || (list === KEG_LIST_FREE) !== (free === ipers))
      say(`the slab at ${start} stands in the wrong list`);
    totals.items += ipers;
    totals.free += free;
  }

  /** The slot was free, is free, and has had no tenant in between: then nobody who lives has the item. */
  function lookAgain({ name, item, mark, value, tenant }: Suspect, pass: Pass): void {
    const owner = value & ~MARK_BUSY;
    if (Atomics.load(u8, mark) !== value || slots.state(owner) !== STATE_FREE || slots.tenant(owner) !== tenant) return;
    pass.say(`zone "${name}": the item ${item} belongs to the free slot ${owner}`);
  }

  return verify;
}

interface SlabTotals {
  slabs: number;
  items: number;
  free: number;
  inDepot: number;
  marked: number;
  orphans: number;
}
