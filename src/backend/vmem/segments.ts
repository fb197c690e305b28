/**
 * Segments: the boundary tags of an arena, and the three indexes over them.
 *
 * 1. **Address list.** Every segment has a tag {start, size, kind}; tags stand in one doubly linked list, span by span, each span
 *    led by a marker. Segments of a span follow each other without a gap, and no two neighbours are both free: a free segment
 *    joins its free neighbours at once, the marker keeping it from joining across spans. Spans stand in the order of their
 *    addresses, and their markers in a list of their own.
 * 2. **Free lists.** A free segment of size s stands in list ⌊log2 s⌋; bit k of the bitmap says that list k is not empty.
 *    *Instant fit* takes the head of the first list whose every member is large enough: no search, whatever the fragmentation.
 *    Only when all of those are empty is the request's own list looked through.
 * 3. **Hash.** Allocated segments are found by their start in a linear hash (Litwin): it grows by splitting one bucket at a time,
 *    so there never is a long rebuild to survive; a table once in use never moves. Buckets chain through the tags.
 *
 * All stores are entries of the caller's transaction, under the arena's lock, save those into a tag that is not in use yet.
 * A tag is taken from the arena's list of free ones, or carved from the page that was given to it for tags. Tags are never given
 * back: their memory stays theirs.
 *
 *  The same code serves arenas in the shared memory and local ones: it needs no more than views and a journal.
 * Starts and sizes are the arena's own integers, exact up to 2⁵³ − 1.
 */
import type { Cells } from "../memory/cells.ts";
import type { Journal } from "../memory/journal.ts";
import {
  ARENA_ALLOCS,
  ARENA_BITMAP,
  ARENA_BITMAP_HIGH,
  ARENA_FIRST,
  ARENA_FREES,
  ARENA_FREE_LISTS,
  ARENA_HASH_COUNT,
  ARENA_HASH_ROUND,
  ARENA_HASH_SPLIT,
  ARENA_HASH_TABLES,
  ARENA_HASH_TABLE_COUNT,
  ARENA_IN_USE,
  ARENA_LAST,
  ARENA_LOOKUPS,
  ARENA_PEAK,
  ARENA_ROTOR,
  ARENA_SEARCHES,
  ARENA_SEGMENTS,
  ARENA_TAG_END,
  ARENA_TAG_FREE,
  ARENA_TAG_FREE_COUNT,
  ARENA_TAG_NEXT,
  PAGE_BYTES,
  TAG_KIND,
  TAG_LINK_NEXT,
  TAG_LINK_PREV,
  TAG_NEXT,
  TAG_OWNER,
  TAG_PREV,
  TAG_SEGMENT_FREE,
  TAG_SIZE,
  TAG_START,
  TAG_UNUSED,
  TAG_WORDS,
} from "../memory/layout.ts";

/** Buckets of the hash before its first split: table 0. Table k > 0 holds HASH_FIRST << (k − 1). */
export const HASH_FIRST = 64;
/** Buckets at most: the directory is full then. */
export const HASH_MOST: number = HASH_FIRST << (ARENA_HASH_TABLE_COUNT - 1);
/** Hash tables 1 … SMALL_TABLES share one page: 256 + 512 + 1024 + 2048 bytes. */
const SMALL_TABLES = 4;
/** A chain longer than this is not split: its links would not fit a transaction. */
const SPLIT_LONGEST = 24;

/** What the tags of an arena lie in. */
export interface Ground {
  readonly cells: Pick<Cells, "i32" | "f64">;
  readonly journal: Pick<Journal, "set" | "setNumber" | "add">;
}

export interface Segments {
  /** Tags at hand without asking for memory. */
  tagsReady(a: number): number;
  takeTag(a: number): number;
  giveTag(a: number, tag: number): void;
  /** Puts a free segment into its list, takes it out. */
  insertFree(a: number, tag: number): void;
  removeFree(a: number, tag: number): void;
  /** Puts `tag` behind `after` in the address list; 0 = at the very front. */
  linkAfter(a: number, tag: number, after: number): void;
  unlink(a: number, tag: number): void;
  /** Lowest free list from `from` on that is not empty; −1 = none. */
  firstList(a: number, from: number): number;
  /** A free segment of at least `size`, by instant fit; 0 = none. */
  findInstant(a: number, size: number): number;
  /** Makes [start, start + size) of the free segment `tag` an allocated one of `kind`. @returns its tag. */
  carve(a: number, tag: number, start: number, size: number, kind: number, owner: number): number;
  /** Makes the allocated segment free and joins it with its free neighbours. @returns the tag of the joint segment. */
  release(a: number, tag: number): number;
  /** The allocated segment that begins at `start`; 0 = none. */
  lookup(a: number, start: number): number;
  /** Word index of the table word of hash bucket `bucket`. */
  bucketWord(a: number, bucket: number): number;
  /** Whether the hash has more entries than buckets. */
  hashIsDense(a: number): boolean;
  /** The table that the next split needs and that is missing: its number; −1 = none is missing. */
  missingTable(a: number): number;
  /** Pages that `table` takes: the first few share one. */
  pagesOfTable(table: number): number;
  /** Enters `table`, in zeroed pages from word `at` on, into the directory. */
  linkTable(a: number, table: number, at: number): void;
  /** Splits one bucket (a transaction's worth). */
  splitBucket(a: number): void;
}

/** The list that a free segment of `size` stands in: ⌊log2 size⌋, exactly, up to 2⁵³ − 1. */
export function listOf(size: number): number {
  return size < 0x80000000 ? 31 - Math.clz32(size) : 62 - Math.clz32(size / 0x80000000);
}

/** The least list whose every member is at least `size`: the size's own if it is a power of two, else the next. */
export function sureListOf(size: number): number {
  if (size < 0x80000000) return 32 - Math.clz32(size - 1);
  const own = listOf(size);
  return size === 2 ** own ? own : own + 1;
}

/** Scatters a start over the buckets. */
export function hashOf(start: number): number {
  let h = Math.imul(start ^ (start / 0x100000000), 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}

/** Table that holds `bucket`, and the first bucket of table k. */
export function tableOf(bucket: number): number {
  return bucket < HASH_FIRST ? 0 : 26 - Math.clz32(bucket);
}

export function firstOfTable(table: number): number {
  return table === 0 ? 0 : HASH_FIRST << (table - 1);
}

export function createSegments(ground: Ground): Segments {
  const { i32, f64 } = ground.cells;
  const { set, setNumber, add } = ground.journal;

  function tagsReady(a: number): number {
    return i32[a + ARENA_TAG_FREE_COUNT] + Math.floor((i32[a + ARENA_TAG_END] - i32[a + ARENA_TAG_NEXT]) / TAG_WORDS);
  }

  function takeTag(a: number): number {
    const tag = i32[a + ARENA_TAG_FREE];
    if (tag !== 0) {
      set(a + ARENA_TAG_FREE, i32[tag + TAG_LINK_NEXT]);
      add(a + ARENA_TAG_FREE_COUNT, -1);
      return tag;
    }
    const next = i32[a + ARENA_TAG_NEXT];
    set(a + ARENA_TAG_NEXT, next + TAG_WORDS);
    return next;
  }

  function giveTag(a: number, tag: number): void {
    set(tag + TAG_KIND, TAG_UNUSED);
    set(tag + TAG_LINK_NEXT, i32[a + ARENA_TAG_FREE]);
    set(a + ARENA_TAG_FREE, tag);
    add(a + ARENA_TAG_FREE_COUNT, 1);
  }

  function insertFree(a: number, tag: number): void {
    const list = listOf(f64[(tag + TAG_SIZE) >> 1]);
    const head = i32[a + ARENA_FREE_LISTS + list];
    set(tag + TAG_LINK_PREV, 0);
    set(tag + TAG_LINK_NEXT, head);
    if (head !== 0) set(head + TAG_LINK_PREV, tag);
    else markList(a, list, 1);
    set(a + ARENA_FREE_LISTS + list, tag);
  }

  function removeFree(a: number, tag: number): void {
    const prev = i32[tag + TAG_LINK_PREV];
    const next = i32[tag + TAG_LINK_NEXT];
    if (next !== 0) set(next + TAG_LINK_PREV, prev);
    if (prev !== 0) {
      set(prev + TAG_LINK_NEXT, next);
      return;
    }
    const list = listOf(f64[(tag + TAG_SIZE) >> 1]);
    set(a + ARENA_FREE_LISTS + list, next);
    if (next === 0) markList(a, list, 0);
  }

  function markList(a: number, list: number, bit: number): void {
    const word = a + (list < 32 ? ARENA_BITMAP : ARENA_BITMAP_HIGH);
    set(word, (i32[word] & ~(1 << (list & 31))) | (bit << (list & 31)));
  }

  function linkAfter(a: number, tag: number, after: number): void {
    const next = after === 0 ? i32[a + ARENA_FIRST] : i32[after + TAG_NEXT];
    i32[tag + TAG_PREV] = after;
    i32[tag + TAG_NEXT] = next;
    if (after === 0) set(a + ARENA_FIRST, tag);
    else set(after + TAG_NEXT, tag);
    if (next === 0) set(a + ARENA_LAST, tag);
    else set(next + TAG_PREV, tag);
    add(a + ARENA_SEGMENTS, 1);
  }

  function unlink(a: number, tag: number): void {
    const prev = i32[tag + TAG_PREV];
    const next = i32[tag + TAG_NEXT];
    if (prev === 0) set(a + ARENA_FIRST, next);
    else set(prev + TAG_NEXT, next);
    if (next === 0) set(a + ARENA_LAST, prev);
    else set(next + TAG_PREV, prev);
    add(a + ARENA_SEGMENTS, -1);
    // Next fit goes on at what stands before: the place itself is kept as an address.
    if (i32[a + ARENA_ROTOR] === tag) set(a + ARENA_ROTOR, prev);
  }

  function firstList(a: number, from: number): number {
    if (from < 32) {
      const low = i32[a + ARENA_BITMAP] & (-1 << from);
      if (low !== 0) return 31 - Math.clz32(low & -low);
    }
    const high = from < 64 ? i32[a + ARENA_BITMAP_HIGH] & (-1 << Math.max(from - 32, 0)) : 0;
    return high === 0 ? -1 : 63 - Math.clz32(high & -high);
  }

  function findInstant(a: number, size: number): number {
    f64[(a + ARENA_SEARCHES) >> 1]++;
    const sure = sureListOf(size);
    const list = firstList(a, sure);
    if (list >= 0) return i32[a + ARENA_FREE_LISTS + list];
    const own = listOf(size);
    if (own === sure) return 0;
    for (let tag = i32[a + ARENA_FREE_LISTS + own]; tag !== 0; tag = i32[tag + TAG_LINK_NEXT]) {
      f64[(a + ARENA_SEARCHES) >> 1]++;
      if (f64[(tag + TAG_SIZE) >> 1] >= size) return tag;
    }
    return 0;
  }

  function carve(a: number, tag: number, start: number, size: number, kind: number, owner: number): number {
    const front = start - f64[(tag + TAG_START) >> 1];
    const back = f64[(tag + TAG_SIZE) >> 1] - front - size;
    removeFree(a, tag);
    let busy = tag;
    if (front > 0) {
      setNumber(tag + TAG_SIZE, front);
      insertFree(a, tag);
      busy = takeTag(a);
      f64[(busy + TAG_START) >> 1] = start;
      f64[(busy + TAG_SIZE) >> 1] = size;
      linkAfter(a, busy, tag);
    } else if (back > 0) {
      setNumber(tag + TAG_SIZE, size);
    }
    if (back > 0) {
      const rest = takeTag(a);
      f64[(rest + TAG_START) >> 1] = start + size;
      f64[(rest + TAG_SIZE) >> 1] = back;
      i32[rest + TAG_KIND] = TAG_SEGMENT_FREE;
      linkAfter(a, rest, busy);
      insertFree(a, rest);
    }
    set(busy + TAG_KIND, kind);
    set(busy + TAG_OWNER, owner);
    insertHash(a, busy);
    const inUse = f64[(a + ARENA_IN_USE) >> 1] + size;
    setNumber(a + ARENA_IN_USE, inUse);
    f64[(a + ARENA_ALLOCS) >> 1]++;
    if (inUse > f64[(a + ARENA_PEAK) >> 1]) f64[(a + ARENA_PEAK) >> 1] = inUse;
    return busy;
  }

  function release(a: number, tag: number): number {
    let size = f64[(tag + TAG_SIZE) >> 1];
    setNumber(a + ARENA_IN_USE, f64[(a + ARENA_IN_USE) >> 1] - size);
    f64[(a + ARENA_FREES) >> 1]++;
    removeHash(a, tag);
    set(tag + TAG_KIND, TAG_SEGMENT_FREE);
    set(tag + TAG_OWNER, 0);
    const next = i32[tag + TAG_NEXT];
    const joinsNext = next !== 0 && i32[next + TAG_KIND] === TAG_SEGMENT_FREE;
    if (joinsNext) {
      removeFree(a, next);
      size += f64[(next + TAG_SIZE) >> 1];
      unlink(a, next);
      giveTag(a, next);
    }
    const prev = i32[tag + TAG_PREV];
    if (prev !== 0 && i32[prev + TAG_KIND] === TAG_SEGMENT_FREE) {
      removeFree(a, prev);
      setNumber(prev + TAG_SIZE, size + f64[(prev + TAG_SIZE) >> 1]);
      unlink(a, tag);
      giveTag(a, tag);
      insertFree(a, prev);
      return prev;
    }
    if (joinsNext) setNumber(tag + TAG_SIZE, size);
    insertFree(a, tag);
    return tag;
  }

  function bucketWord(a: number, bucket: number): number {
    const table = tableOf(bucket);
    return i32[a + ARENA_HASH_TABLES + table] + bucket - firstOfTable(table);
  }

  function bucketOf(a: number, start: number): number {
    const hash = hashOf(start);
    const round = i32[a + ARENA_HASH_ROUND];
    const bucket = hash & (round - 1);
    return bucket < i32[a + ARENA_HASH_SPLIT] ? hash & (2 * round - 1) : bucket;
  }

  function insertHash(a: number, tag: number): void {
    const word = bucketWord(a, bucketOf(a, f64[(tag + TAG_START) >> 1]));
    set(tag + TAG_LINK_NEXT, i32[word]);
    set(word, tag);
    add(a + ARENA_HASH_COUNT, 1);
  }

  function removeHash(a: number, tag: number): void {
    let word = bucketWord(a, bucketOf(a, f64[(tag + TAG_START) >> 1]));
    while (i32[word] !== tag) word = i32[word] + TAG_LINK_NEXT;
    set(word, i32[tag + TAG_LINK_NEXT]);
    add(a + ARENA_HASH_COUNT, -1);
  }

  function lookup(a: number, start: number): number {
    f64[(a + ARENA_LOOKUPS) >> 1]++;
    let tag = i32[bucketWord(a, bucketOf(a, start))];
    while (tag !== 0 && f64[(tag + TAG_START) >> 1] !== start) {
      f64[(a + ARENA_LOOKUPS) >> 1]++;
      tag = i32[tag + TAG_LINK_NEXT];
    }
    return tag;
  }

  function hashIsDense(a: number): boolean {
    const buckets = i32[a + ARENA_HASH_ROUND] + i32[a + ARENA_HASH_SPLIT];
    return i32[a + ARENA_HASH_COUNT] > buckets && buckets < HASH_MOST;
  }

  function missingTable(a: number): number {
    const table = tableOf(i32[a + ARENA_HASH_ROUND] + i32[a + ARENA_HASH_SPLIT]);
    if (table >= ARENA_HASH_TABLE_COUNT) return -1;
    return i32[a + ARENA_HASH_TABLES + table] === 0 ? table : -1;
  }

  function pagesOfTable(table: number): number {
    return table <= SMALL_TABLES ? 1 : (firstOfTable(table) * 4) / PAGE_BYTES;
  }

  function linkTable(a: number, table: number, at: number): void {
    let word = at;
    for (let k = table; k <= Math.max(table, SMALL_TABLES); k++) {
      set(a + ARENA_HASH_TABLES + k, word);
      word += firstOfTable(k);
    }
  }

  function splitBucket(a: number): void {
    const round = i32[a + ARENA_HASH_ROUND];
    const split = i32[a + ARENA_HASH_SPLIT];
    const low = bucketWord(a, split);
    const high = bucketWord(a, split + round);
    let length = 0;
    for (let tag = i32[low]; tag !== 0; tag = i32[tag + TAG_LINK_NEXT]) length++;
    if (length > SPLIT_LONGEST) return;
    // Two chains are threaded through the tags; `lowEnd` and `highEnd` are the words that the next tag is hung on.
    let lowEnd = low;
    let highEnd = high;
    for (let tag = i32[low]; tag !== 0; ) {
      const next = i32[tag + TAG_LINK_NEXT];
      if ((hashOf(f64[(tag + TAG_START) >> 1]) & round) === 0) {
        if (i32[lowEnd] !== tag) set(lowEnd, tag);
        lowEnd = tag + TAG_LINK_NEXT;
      } else {
        set(highEnd, tag);
        highEnd = tag + TAG_LINK_NEXT;
      }
      tag = next;
    }
    if (i32[lowEnd] !== 0) set(lowEnd, 0);
    if (i32[highEnd] !== 0) set(highEnd, 0);
    if (split + 1 === round) {
      set(a + ARENA_HASH_SPLIT, 0);
      set(a + ARENA_HASH_ROUND, 2 * round);
    } else {
      set(a + ARENA_HASH_SPLIT, split + 1);
    }
  }

  return {
    tagsReady,
    takeTag,
    giveTag,
    insertFree,
    removeFree,
    linkAfter,
    unlink,
    firstList,
    findInstant,
    carve,
    release,
    lookup,
    bucketWord,
    hashIsDense,
    missingTable,
    pagesOfTable,
    linkTable,
    splitBucket,
  };
}
