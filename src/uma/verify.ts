/**
 * verify(): every invariant of DESIGN, recounted from the memory itself.
 *
 * This is the quiescent form: it assumes that nobody is at work, and sees everything. It reads only.
 */
import {
  ARENA_FIRST,
  ARENA_IN_USE,
  ARENA_OWN,
  BUCKET_COUNT,
  BUCKET_EMPTY,
  BUCKET_MASK,
  BUCKET_NEXT,
  BUCKET_OWNER,
  KEG_BITS_WORDS,
  KEG_FLAGS,
  KEG_FREE,
  KEG_HOOKS,
  KEG_IPERS,
  KEG_ITEMS,
  KEG_LIST_FREE,
  KEG_LIST_PARTIAL,
  KEG_LIST_TAKEN,
  KEG_LOCK,
  KEG_PAGES,
  KEG_PARTIAL_BINS,
  KEG_PPERA,
  KEG_RSIZE,
  KEG_SHIFT,
  KEG_SLABS,
  KEG_TAG,
  LINE_SP,
  MARK_BUSY,
  MARK_FREE,
  MARK_ORPHAN,
  NO_BUCKET,
  PAGE_BYTES,
  PAGE_SHIFT,
  PTE_SLAB,
  PTE_TAG,
  SB_CONTROL_LOCK,
  SB_HEAP_ARENA,
  SB_POOL_LOCK,
  SB_POOL_PAGES,
  SB_RECORD_PAGES,
  SLAB_BITS,
  SLAB_FREE,
  SLAB_KEG,
  SLAB_LIST,
  SLAB_NEXT,
  SLAB_PREV,
  SLAB_START,
  SLOT_INTENT_DEPTH,
  SLOT_JOURNAL_COUNT,
  SLOT_PENDING_LOCK,
  STATE_FREE,
  STATE_LIVE,
  TAG_KIND,
  TAG_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_BUSY,
  TAG_SIZE,
  ZONE_DEPOT_ITEMS,
  ZONE_EMPTY,
  ZONE_EMPTY_COUNT,
  ZONE_FULL,
  ZONE_FULL_COUNT,
  ZONE_ITEMS,
  ZONE_KEG,
  ZONE_LIMBO,
  ZONE_LIMBO_COUNT,
  ZONE_LIMIT,
  ZONE_OVER,
  ZONE_SLEEPERS,
} from "../backend/memory/layout.ts";
import { verifyArena } from "../backend/vmem/verify.ts";
import { BUCKET_WORDS_OF_LINE } from "./census.ts";
import type { Core } from "./core.ts";
import { FLAG_UNCHECKED } from "./definition.ts";
import { HOOK_PAGES } from "./hooks.ts";
import { verifyBlocks } from "./malloc/verify.ts";
import type { Records } from "./records.ts";
import type { Registry } from "./registry.ts";

export interface Verdict {
  readonly ok: boolean;
  /** What is wrong, in words; at most 100 lines. */
  readonly problems: string[];
  /** What was looked at. */
  readonly zones: number;
  readonly slabs: number;
  readonly items: number;
  readonly outstanding: number;
  readonly orphans: number;
}

const MOST_PROBLEMS = 100;

export function createVerify(core: Core, records: Records, registry: Registry): () => Verdict {
  const { floor, slabs, items, heap, arenas } = core;
  const { i32, u8, f64 } = floor.cells;
  const { slots } = floor;
  const { pageTable } = floor.geometry;
  const sb = floor.cells.base;

  function verify(): Verdict {
    const problems: string[] = [];
    const say = (problem: string): void => {
      if (problems.length < MOST_PROBLEMS) problems.push(problem);
    };
    const totals = { zones: 0, slabs: 0, items: 0, outstanding: 0, orphans: 0 };
    verifySlots(say);
    verifyArena(floor, heap.segments, heap.arena, "heap", say);
    verifyBlocks(floor, heap, say);
    for (const [name, lock] of [
      ["control", sb + SB_CONTROL_LOCK],
      ["pool", sb + SB_POOL_LOCK],
      ["heap", sb + SB_HEAP_ARENA],
    ] as const) {
      if (i32[lock] !== 0) say(`the ${name} lock is held by ${i32[lock]}`);
    }
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone !== 0) verifyZone(zone, id, totals, say);
    }
    verifyPages(say, arenas.verify(say));
    return { ok: problems.length === 0, problems, ...totals };
  }

  /** Every page of the heap that is taken serves something that is known. */
  function verifyPages(say: (problem: string) => void, inArenas: number): void {
    let known = inArenas + i32[sb + SB_POOL_PAGES] + i32[sb + SB_RECORD_PAGES] + i32[heap.arena + ARENA_OWN];
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone === 0) continue;
      const keg = i32[zone + ZONE_KEG];
      // Whoever supplies pages of his own may have them from the heap, too: then nothing can be said.
      if ((i32[keg + KEG_HOOKS] & HOOK_PAGES) !== 0) return;
      known += i32[keg + KEG_PAGES];
    }
    for (let tag = i32[heap.arena + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
      if (i32[tag + TAG_KIND] === TAG_SEGMENT_BUSY && i32[tag + TAG_OWNER] !== 0) known += f64[(tag + TAG_SIZE) >> 1] / PAGE_BYTES;
    }
    const inUse = f64[(heap.arena + ARENA_IN_USE) >> 1] / PAGE_BYTES;
    if (known !== inUse) say(`pages: ${inUse} are taken, ${known} serve something (${inUse - known} lost)`);
  }

  function verifySlots(say: (problem: string) => void): void {
    for (let slot = 1; slot <= slots.count; slot++) {
      const at = slots.wordOf(slot);
      if (i32[at + SLOT_JOURNAL_COUNT] !== 0) say(`slot ${slot}: its journal has ${i32[at + SLOT_JOURNAL_COUNT]} entries`);
      if (i32[at + SLOT_PENDING_LOCK] !== 0) say(`slot ${slot}: the lock ${i32[at + SLOT_PENDING_LOCK]} is pending`);
      if (i32[at + SLOT_INTENT_DEPTH] !== 0) say(`slot ${slot}: ${i32[at + SLOT_INTENT_DEPTH]} intent frames are open`);
    }
  }

  function verifyZone(zone: number, id: number, totals: MutableTotals, sayPlain: (problem: string) => void): void {
    const name = items.nameIn(zone);
    const say = (problem: string): void => sayPlain(`zone "${name}": ${problem}`);
    const same = (what: string, counted: number, kept: number): void => {
      if (counted !== kept) say(`${what}: counted ${counted}, kept ${kept}`);
    };
    const keg = i32[zone + ZONE_KEG];
    if (i32[keg + KEG_LOCK] !== 0) say(`the keg's lock is held by ${i32[keg + KEG_LOCK]}`);
    const inBuckets = new Set<number>();
    const depot = verifyDepot(zone, inBuckets, say);
    const cached = verifyLines(id, inBuckets, say);
    const found = verifySlabs(keg, inBuckets, say);
    if (found.seen !== inBuckets.size) say(`${inBuckets.size - found.seen} items in buckets belong to no slab of the keg`);
    same("slabs", found.slabs, i32[keg + KEG_SLABS]);
    same("items", found.items, i32[keg + KEG_ITEMS]);
    same("free items", found.free, i32[keg + KEG_FREE]);
    same("pages", found.slabs * i32[keg + KEG_PPERA], i32[keg + KEG_PAGES]);
    same("items in the depot", depot, i32[zone + ZONE_DEPOT_ITEMS]);
    const out = found.items - found.free - depot - cached;
    same("items out of the keg", found.items - found.free, i32[zone + ZONE_ITEMS]);
    if ((i32[keg + KEG_FLAGS] & FLAG_UNCHECKED) === 0)
      same("items outstanding (marks against capacity − free − cached)", found.marked, out);
    let waiting = 0;
    for (let slot = 1; slot <= slots.count; slot++) if (core.queue.isWaiting(slots.wordOf(slot), id)) waiting++;
    same("workers that wait", waiting, i32[zone + ZONE_SLEEPERS]);
    const limit = i32[zone + ZONE_LIMIT];
    if (limit !== 0 && i32[zone + ZONE_ITEMS] > Math.max(limit, i32[zone + ZONE_OVER]))
      say(`${i32[zone + ZONE_ITEMS]} items are out, the limit is ${limit}`);
    totals.zones++;
    totals.slabs += found.slabs;
    totals.items += found.items;
    totals.outstanding += out;
    totals.orphans += found.orphans;
  }

  function collect(bucket: number, count: number, into: Set<number>, say: (problem: string) => void): void {
    for (let n = 1; n <= count; n++) {
      const item = i32[bucket + BUCKET_EMPTY + n];
      if (into.has(item)) say(`the item ${item} stands in buckets twice`);
      into.add(item);
    }
  }

  function verifyDepot(zone: number, inBuckets: Set<number>, say: (problem: string) => void): number {
    let depot = 0;
    for (const [what, list, kept] of [
      ["full", ZONE_FULL, ZONE_FULL_COUNT],
      ["empty", ZONE_EMPTY, ZONE_EMPTY_COUNT],
      ["limbo", ZONE_LIMBO, ZONE_LIMBO_COUNT],
    ] as const) {
      let buckets = 0;
      for (let bucket = i32[zone + list]; bucket !== 0; bucket = i32[bucket + BUCKET_NEXT]) {
        if (++buckets > 1 << 24) return say(`the depot's list of ${what} buckets is a circle`), depot;
        if (i32[bucket + BUCKET_OWNER] !== 0) say(`a ${what} bucket of the depot names ${i32[bucket + BUCKET_OWNER]} as its owner`);
        const count = i32[bucket + BUCKET_COUNT];
        if ((count === 0) !== (what === "empty")) say(`a ${what} bucket of the depot holds ${count} items`);
        collect(bucket, count, inBuckets, say);
        depot += count;
      }
      if (buckets !== i32[zone + kept]) say(`${what} buckets: counted ${buckets}, kept ${i32[zone + kept]}`);
    }
    return depot;
  }

  function verifyLines(id: number, inBuckets: Set<number>, say: (problem: string) => void): number {
    let cached = 0;
    for (let slot = 1; slot <= slots.count; slot++) {
      const at = slots.wordOf(slot);
      const line = records.lineOf(at, id);
      if (line === 0) continue;
      const state = slots.state(slot);
      const isOpen = registry.isOpenBy(at, id);
      if (state === STATE_FREE && isOpen) say(`slot ${slot} is free and has the zone open`);
      for (const word of BUCKET_WORDS_OF_LINE) {
        const position = i32[line + word];
        if (position === (word === LINE_SP ? NO_BUCKET : 0)) continue;
        if (!isOpen) {
          say(`slot ${slot} names a bucket of a zone it has not open`);
          continue;
        }
        const bucket = position & ~BUCKET_MASK;
        const count = (position & BUCKET_MASK) - BUCKET_EMPTY;
        if (state === STATE_LIVE && i32[bucket + BUCKET_OWNER] !== slots.tenant(slot)) {
          say(`slot ${slot} names a bucket whose owner is ${i32[bucket + BUCKET_OWNER]}`);
        }
        if (count < 0) say(`slot ${slot} names a bucket at a negative position`);
        collect(bucket, count, inBuckets, say);
        cached += count;
      }
    }
    return cached;
  }

  function verifySlabs(keg: number, inBuckets: Set<number>, say: (problem: string) => void): SlabCounts {
    const counts: SlabCounts = { slabs: 0, items: 0, free: 0, marked: 0, orphans: 0, seen: 0 };
    const lists = [KEG_LIST_FREE, KEG_LIST_TAKEN];
    for (let bin = 0; bin < KEG_PARTIAL_BINS; bin++) lists.push(KEG_LIST_PARTIAL + bin);
    for (const list of lists) {
      let previous = 0;
      for (let slab = i32[keg + list]; slab !== 0; slab = i32[slab + SLAB_NEXT]) {
        if (++counts.slabs > 1 << 24) return say("a list of slabs is a circle"), counts;
        if (i32[slab + SLAB_LIST] !== list) say(`a slab in list ${list} says ${i32[slab + SLAB_LIST]}`);
        if (i32[slab + SLAB_PREV] !== previous) say(`a slab in list ${list} does not point back`);
        if (i32[slab + SLAB_KEG] !== keg) say("a slab belongs to another keg");
        verifySlab(keg, slab, list, inBuckets, counts, say);
        previous = slab;
      }
    }
    return counts;
  }

  function verifySlab(
    keg: number,
    slab: number,
    list: number,
    inBuckets: Set<number>,
    counts: SlabCounts,
    say: (problem: string) => void,
  ): void {
    const start = i32[slab + SLAB_START];
    const ipers = i32[keg + KEG_IPERS];
    const rsize = i32[keg + KEG_RSIZE];
    const shift = i32[keg + KEG_SHIFT];
    const marks = slabs.marksOf(slab);
    const unchecked = (i32[keg + KEG_FLAGS] & FLAG_UNCHECKED) !== 0;
    let free = 0;
    for (let n = 0; n < ipers; n++) {
      const item = start + n * rsize;
      const isFree = ((i32[slab + SLAB_BITS + (n >>> 5)] >>> (n & 31)) & 1) === 1;
      const mark = u8[marks + (item >> shift) - (start >> shift)];
      const inBucket = inBuckets.has(item);
      if (isFree) free++;
      if (inBucket) counts.seen++;
      if (isFree && inBucket) say(`the item ${item} is free in its slab and in a bucket`);
      if (!unchecked && (isFree || inBucket) && mark !== MARK_FREE) say(`the item ${item} is free and marked ${mark}`);
      if (!unchecked && !isFree && !inBucket) {
        if (mark === MARK_FREE) say(`the item ${item} is in nobody's hands (lost)`);
        else counts.marked++;
        if ((mark & ~MARK_BUSY) === MARK_ORPHAN) counts.orphans++;
        else if (mark !== MARK_FREE && slots.state(mark & ~MARK_BUSY) === STATE_FREE)
          say(`the item ${item} belongs to the free slot ${mark & ~MARK_BUSY}`);
      }
    }
    const entry = ((start >>> PAGE_SHIFT) << 2) + pageTable;
    if (i32[entry + PTE_TAG] !== i32[keg + KEG_TAG] || i32[entry + PTE_SLAB] !== slab)
      say(`the page table does not know the slab at ${start}`);
    if (free !== i32[slab + SLAB_FREE]) say(`the slab at ${start} has ${free} free items, its header says ${i32[slab + SLAB_FREE]}`);
    if ((list === KEG_LIST_TAKEN) !== (free === 0) || (list === KEG_LIST_FREE) !== (free === ipers))
      say(`the slab at ${start} stands in the wrong list`);
    counts.items += ipers;
    counts.free += free;
    if (i32[keg + KEG_BITS_WORDS] * 32 < ipers) say("the keg has fewer bits than items");
  }

  return verify;
}

interface SlabCounts {
  slabs: number;
  items: number;
  free: number;
  marked: number;
  orphans: number;
  seen: number;
}

interface MutableTotals {
  zones: number;
  slabs: number;
  items: number;
  outstanding: number;
  orphans: number;
}
