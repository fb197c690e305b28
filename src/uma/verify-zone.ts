/**
 * The invariants of one zone, recounted: depot, cache lines, slabs, marks, page table.
 *
 * Nothing that is read is believed: a link may lead anywhere or round in a circle, a count may be any number.
 */
import {
  BUCKET_COUNT,
  BUCKET_EMPTY,
  BUCKET_MASK,
  BUCKET_MAX_ITEMS,
  BUCKET_NEXT,
  BUCKET_OWNER,
  BUCKET_WORDS,
  KEG_BITS_WORDS,
  KEG_FLAGS,
  KEG_FREE,
  KEG_HEADER_BYTES,
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
  KEG_REFS,
  KEG_RSIZE,
  KEG_SHIFT,
  KEG_SLABS,
  KEG_TAG,
  KEG_ZONES,
  LINE_SP,
  MARK_BUSY,
  MARK_FREE,
  MARK_ORPHAN,
  NO_BUCKET,
  PAGE_SHIFT,
  PTE_DELTA,
  PTE_SLAB,
  PTE_TAG,
  SLAB_BITS,
  SLAB_FREE,
  SLAB_KEG,
  SLAB_LIST,
  SLAB_NEXT,
  SLAB_PREV,
  SLAB_START,
  STATE_FREE,
  STATE_LIVE,
  ZONE_DEPOT_ITEMS,
  ZONE_EMPTY,
  ZONE_EMPTY_COUNT,
  ZONE_FULL,
  ZONE_FULL_COUNT,
  ZONE_ID,
  ZONE_INDEX,
  ZONE_ITEMS,
  ZONE_KEG,
  ZONE_LIMBO,
  ZONE_LIMBO_COUNT,
  ZONE_LIMIT,
  ZONE_OVER,
  ZONE_PRIMARY,
  ZONE_SLEEPERS,
} from "../backend/memory/layout.ts";
import { BUCKET_WORDS_OF_LINE } from "./census.ts";
import type { Core } from "./core.ts";
import { FLAG_CACHE, FLAG_UNCHECKED } from "./definition.ts";
import type { Records } from "./records.ts";
import type { Registry } from "./registry.ts";

/** What zones were found to use of what all share; for {@link verifyPools} to compare with. */
export interface Uses {
  /** Buckets, as windows (word indices). */
  readonly buckets: Set<number>;
  /** Slab headers (word indices), and their length in bytes. */
  readonly headers: Map<number, number>;
  /** Pages in which items begin. */
  readonly pages: Set<number>;
}

export interface Totals {
  zones: number;
  slabs: number;
  items: number;
  outstanding: number;
  orphans: number;
}

/** Checks one zone (record, id); adds to the totals and uses. */
export type VerifyZone = (zone: number, id: number, totals: Totals, uses: Uses, say: (problem: string) => void) => void;

export function createVerifyZone(core: Core, records: Records, registry: Registry): VerifyZone {
  const { floor, slabs, items } = core;
  const { i32, u8 } = floor.cells;
  const { slots } = floor;
  const { pageTable } = floor.geometry;

  /** One zone, or with a keg's first zone all that are on it. */
  function verifyZone(first: number, id: number, totals: Totals, uses: Uses, sayPlain: (problem: string) => void): void {
    // With its primary.
    if (i32[first + ZONE_PRIMARY] !== 0) return;
    const say = (problem: string): void => sayPlain(`zone "${items.nameIn(first)}": ${problem}`);
    const same = (what: string, counted: number, kept: number): void => {
      if (counted !== kept) say(`${what}: counted ${counted}, kept ${kept}`);
    };
    const keg = i32[first + ZONE_KEG];
    if (i32[keg + KEG_LOCK] !== 0) say(`the keg's lock is held by ${i32[keg + KEG_LOCK]}`);
    const inBuckets = new Map<number, number>();
    const groups: Group[] = [];
    for (let n = 0; n < KEG_MOST_ZONES; n++) {
      const zone = i32[keg + KEG_ZONES + n];
      if (zone === 0) continue;
      if (i32[zone + ZONE_INDEX] !== n || i32[zone + ZONE_KEG] !== keg) say(`place ${n} of the keg's zones names another one`);
      groups.push(verifyCaches(zone, zone === first ? id : i32[zone + ZONE_ID], inBuckets, uses, sayPlain));
    }
    totals.zones += groups.length;
    if (groups.length !== i32[keg + KEG_REFS]) say(`${groups.length} zones are on the keg, kept ${i32[keg + KEG_REFS]}`);
    if ((i32[keg + KEG_FLAGS] & FLAG_CACHE) !== 0) {
      for (const { zone, cached } of groups) {
        if (i32[zone + ZONE_ITEMS] < cached) say(`${cached} items are cached, only ${i32[zone + ZONE_ITEMS]} were imported`);
        totals.outstanding += i32[zone + ZONE_ITEMS] - cached;
      }
      return;
    }
    const found = verifySlabs(keg, inBuckets, uses, say);
    if (found.seen !== inBuckets.size) say(`${inBuckets.size - found.seen} items in buckets belong to no slab of the keg`);
    same("slabs", found.slabs, i32[keg + KEG_SLABS]);
    same("items", found.items, i32[keg + KEG_ITEMS]);
    same("free items", found.free, i32[keg + KEG_FREE]);
    same("pages", found.slabs * i32[keg + KEG_PPERA], i32[keg + KEG_PAGES]);
    let out = 0;
    for (const { zone, cached } of groups) {
      out += i32[zone + ZONE_ITEMS];
      if ((i32[keg + KEG_FLAGS] & FLAG_UNCHECKED) === 0) {
        const where = zone === first ? "" : ` of zone "${items.nameIn(zone)}"`;
        same(`items outstanding${where} (marks against items out − cached)`, found.marked.get(zone) ?? 0, i32[zone + ZONE_ITEMS] - cached);
      }
      totals.outstanding += i32[zone + ZONE_ITEMS] - cached;
    }
    same("items out of the keg", found.items - found.free, out);
    totals.slabs += found.slabs;
    totals.items += found.items;
    totals.orphans += found.orphans;
  }

  /** What a zone has of its own: depot, cache lines, limit, queue. */
  function verifyCaches(zone: number, id: number, inBuckets: Map<number, number>, uses: Uses, sayPlain: (problem: string) => void): Group {
    const say = (problem: string): void => sayPlain(`zone "${items.nameIn(zone)}": ${problem}`);
    const same = (what: string, counted: number, kept: number): void => {
      if (counted !== kept) say(`${what}: counted ${counted}, kept ${kept}`);
    };
    const depot = verifyDepot(zone, inBuckets, uses, say);
    const cached = verifyLines(id, zone, inBuckets, uses, say);
    same("items in the depot", depot, i32[zone + ZONE_DEPOT_ITEMS]);
    let waiting = 0;
    for (let slot = 1; slot <= slots.count; slot++) if (core.queue.isWaiting(slots.wordOf(slot), id)) waiting++;
    same("workers that wait", waiting, i32[zone + ZONE_SLEEPERS]);
    const limit = i32[zone + ZONE_LIMIT];
    if (limit !== 0 && i32[zone + ZONE_ITEMS] > Math.max(limit, i32[zone + ZONE_OVER]))
      say(`${i32[zone + ZONE_ITEMS]} items are out, the limit is ${limit}`);
    return { zone, cached: depot + cached };
  }

  /** Adds what is in a bucket. @returns how many items those are; −1 when this cannot be a bucket, or was met before. */
  function collect(
    bucket: number,
    count: number,
    zone: number,
    into: Map<number, number>,
    uses: Uses,
    say: (problem: string) => void,
  ): number {
    if (!(bucket > 0 && bucket + BUCKET_WORDS <= i32.length) || (bucket & BUCKET_MASK) !== 0) {
      say(`${bucket} is no bucket`);
      return -1;
    }
    if (uses.buckets.has(bucket)) {
      say(`the bucket ${bucket} stands in two places, or its list is a circle`);
      return -1;
    }
    uses.buckets.add(bucket);
    if (!(count >= 0 && count <= BUCKET_MAX_ITEMS)) {
      say(`the bucket ${bucket} cannot hold ${count} items`);
      return 0;
    }
    for (let n = 1; n <= count; n++) {
      const item = i32[bucket + BUCKET_EMPTY + n];
      if (into.has(item)) say(`the item ${item} stands in buckets twice`);
      into.set(item, zone);
    }
    return count;
  }

  function verifyDepot(zone: number, inBuckets: Map<number, number>, uses: Uses, say: (problem: string) => void): number {
    let depot = 0;
    for (const [what, list, kept] of [
      ["full", ZONE_FULL, ZONE_FULL_COUNT],
      ["empty", ZONE_EMPTY, ZONE_EMPTY_COUNT],
      ["limbo", ZONE_LIMBO, ZONE_LIMBO_COUNT],
    ] as const) {
      let buckets = 0;
      for (let bucket = i32[zone + list]; bucket !== 0; bucket = i32[bucket + BUCKET_NEXT]) {
        const count = i32[bucket + BUCKET_COUNT];
        const held = collect(bucket, count, zone, inBuckets, uses, say);
        if (held < 0) break;
        buckets++;
        depot += held;
        if (i32[bucket + BUCKET_OWNER] !== 0) say(`a ${what} bucket of the depot names ${i32[bucket + BUCKET_OWNER]} as its owner`);
        if ((count === 0) !== (what === "empty")) say(`a ${what} bucket of the depot holds ${count} items`);
      }
      if (buckets !== i32[zone + kept]) say(`${what} buckets: counted ${buckets}, kept ${i32[zone + kept]}`);
    }
    return depot;
  }

  function verifyLines(id: number, zone: number, inBuckets: Map<number, number>, uses: Uses, say: (problem: string) => void): number {
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
        const held = collect(bucket, (position & BUCKET_MASK) - BUCKET_EMPTY, zone, inBuckets, uses, say);
        if (held < 0) continue;
        cached += held;
        if (state === STATE_LIVE && i32[bucket + BUCKET_OWNER] !== slots.tenant(slot)) {
          say(`slot ${slot} names a bucket whose owner is ${i32[bucket + BUCKET_OWNER]}`);
        }
      }
    }
    return cached;
  }

  function verifySlabs(keg: number, inBuckets: Map<number, number>, uses: Uses, say: (problem: string) => void): SlabCounts {
    const counts: SlabCounts = { slabs: 0, items: 0, free: 0, marked: new Map(), orphans: 0, seen: 0 };
    const lists = [KEG_LIST_FREE, KEG_LIST_TAKEN];
    for (let bin = 0; bin < KEG_PARTIAL_BINS; bin++) lists.push(KEG_LIST_PARTIAL + bin);
    for (const list of lists) {
      let previous = 0;
      for (let slab = i32[keg + list]; slab !== 0; slab = i32[slab + SLAB_NEXT]) {
        if (!(slab > 0 && slab + SLAB_BITS <= i32.length)) {
          say(`list ${list} of slabs leads to ${slab}, which is no header`);
          break;
        }
        if (uses.headers.has(slab)) {
          say("a list of slabs is a circle, or shares a slab");
          break;
        }
        uses.headers.set(slab, i32[keg + KEG_HEADER_BYTES]);
        counts.slabs++;
        if (i32[slab + SLAB_LIST] !== list) say(`a slab in list ${list} says ${i32[slab + SLAB_LIST]}`);
        if (i32[slab + SLAB_PREV] !== previous) say(`a slab in list ${list} does not point back`);
        previous = slab;
        if (i32[slab + SLAB_KEG] !== keg) {
          say("a slab belongs to another keg");
          continue;
        }
        verifySlab(keg, slab, list, inBuckets, counts, say);
        verifyEntries(keg, slab, uses, say);
      }
    }
    return counts;
  }

  function verifySlab(
    keg: number,
    slab: number,
    list: number,
    inBuckets: Map<number, number>,
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
      const markAt = marks + (item >> shift) - (start >> shift);
      const mark = u8[markAt];
      const zone = items.zoneOf(keg, markAt);
      const inBucket = inBuckets.has(item);
      if (isFree) free++;
      if (inBucket) counts.seen++;
      if (inBucket && inBuckets.get(item) !== zone) say(`the item ${item} lies in a bucket of another zone than its zone byte says`);
      if (isFree && inBucket) say(`the item ${item} is free in its slab and in a bucket`);
      if (!unchecked && (isFree || inBucket) && mark !== MARK_FREE) say(`the item ${item} is free and marked ${mark}`);
      if (!unchecked && !isFree && !inBucket) {
        if (mark === MARK_FREE) say(`the item ${item} is in nobody's hands (lost)`);
        else counts.marked.set(zone, (counts.marked.get(zone) ?? 0) + 1);
        if ((mark & ~MARK_BUSY) === MARK_ORPHAN) counts.orphans++;
        else if (mark !== MARK_FREE && slots.state(mark & ~MARK_BUSY) === STATE_FREE)
          say(`the item ${item} belongs to the free slot ${mark & ~MARK_BUSY}`);
      }
    }
    if (free !== i32[slab + SLAB_FREE]) say(`the slab at ${start} has ${free} free items, its header says ${i32[slab + SLAB_FREE]}`);
    if ((list === KEG_LIST_TAKEN) !== (free === 0) || (list === KEG_LIST_FREE) !== (free === ipers))
      say(`the slab at ${start} stands in the wrong list`);
    counts.items += ipers;
    counts.free += free;
    if (i32[keg + KEG_BITS_WORDS] * 32 < ipers) say("the keg has fewer bits than items");
  }

  /** Every page in which an item may begin leads to the slab and to its marks. */
  function verifyEntries(keg: number, slab: number, uses: Uses, say: (problem: string) => void): void {
    const start = i32[slab + SLAB_START];
    const delta = slabs.marksOf(slab) - (start >> i32[keg + KEG_SHIFT]);
    const pages = i32[keg + KEG_IPERS] === 1 ? 1 : i32[keg + KEG_PPERA];
    for (let page = start >>> PAGE_SHIFT; page < (start >>> PAGE_SHIFT) + pages; page++) {
      const entry = (page << 2) + pageTable;
      if (i32[entry + PTE_TAG] !== i32[keg + KEG_TAG] || i32[entry + PTE_SLAB] !== slab || i32[entry + PTE_DELTA] !== (delta | 0))
        say(`the page table does not know the slab at ${start}`);
      uses.pages.add(page);
    }
  }

  return verifyZone;
}

/** One zone of a keg, and the items in its buckets. */
interface Group {
  readonly zone: number;
  readonly cached: number;
}

interface SlabCounts {
  slabs: number;
  items: number;
  free: number;
  /** Outstanding items by zone. */
  readonly marked: Map<number, number>;
  orphans: number;
  seen: number;
}
