/**
 * Segments: the boundary tags of an arena in shared memory, and the three indexes over them.
 *
 * 1. **Address list.** Every segment has a tag {start, size, kind}; tags stand in one doubly linked list, span by span, each span
 *    led by a marker. Segments of a span follow each other without a gap, and no two neighbours are both free: a free segment
 *    joins its free neighbours at once, the marker keeping it from joining across spans.
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
 * Starts and sizes count quanta: 0 < size < 2³¹, and start + size ≤ 2³¹.
 */
import type { Floor } from "../memory/floor.ts";
import {
  ARENA_ALLOCS,
  ARENA_BITMAP,
  ARENA_FIRST,
  ARENA_FREES,
  ARENA_FREE_LISTS,
  ARENA_FREE_LIST_COUNT,
  ARENA_HASH_COUNT,
  ARENA_HASH_ROUND,
  ARENA_HASH_SPLIT,
  ARENA_HASH_TABLES,
  ARENA_IN_USE,
  ARENA_LAST,
  ARENA_LOOKUPS,
  ARENA_PEAK,
  ARENA_SEARCHES,
  ARENA_SEGMENTS,
  ARENA_TAG_END,
  ARENA_TAG_FREE,
  ARENA_TAG_FREE_COUNT,
  ARENA_TAG_NEXT,
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
/** A chain longer than this is not split: its links would not fit a transaction. */
const SPLIT_LONGEST = 24;

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
  /** Splits one bucket (a transaction's worth). */
  splitBucket(a: number): void;
}

/** The list that a free segment of `size` quanta stands in. */
export function listOf(size: number): number {
  return 31 - Math.clz32(size);
}

/** Scatters a start over the buckets. */
export function hashOf(start: number): number {
  const h = Math.imul(start, 0x9e3779b1);
  return (h ^ (h >>> 15)) >>> 0;
}

/** Table that holds `bucket`, and the first bucket of table k. */
export function tableOf(bucket: number): number {
  return bucket < HASH_FIRST ? 0 : 26 - Math.clz32(bucket);
}

export function firstOfTable(table: number): number {
  return table === 0 ? 0 : HASH_FIRST << (table - 1);
}

export function createSegments(floor: Floor): Segments {
  const { i32 } = floor.cells;
  const { set, add } = floor.journal;

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
    const list = listOf(i32[tag + TAG_SIZE]);
    const head = i32[a + ARENA_FREE_LISTS + list];
    set(tag + TAG_LINK_PREV, 0);
    set(tag + TAG_LINK_NEXT, head);
    if (head !== 0) set(head + TAG_LINK_PREV, tag);
    else set(a + ARENA_BITMAP, i32[a + ARENA_BITMAP] | (1 << list));
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
    const list = listOf(i32[tag + TAG_SIZE]);
    set(a + ARENA_FREE_LISTS + list, next);
    if (next === 0) set(a + ARENA_BITMAP, i32[a + ARENA_BITMAP] & ~(1 << list));
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
  }

  function findInstant(a: number, size: number): number {
    i32[a + ARENA_SEARCHES]++;
    const own = listOf(size);
    const bitmap = i32[a + ARENA_BITMAP];
    // Every member of a list from `sure` on is large enough: the own list if the request is a power of two, else the next.
    const sure = (size & (size - 1)) === 0 ? own : own + 1;
    const fits = sure >= ARENA_FREE_LIST_COUNT ? 0 : bitmap & (-1 << sure);
    if (fits !== 0) return i32[a + ARENA_FREE_LISTS + 31 - Math.clz32(fits & -fits)];
    if (sure === own || (bitmap & (1 << own)) === 0) return 0;
    for (let tag = i32[a + ARENA_FREE_LISTS + own]; tag !== 0; tag = i32[tag + TAG_LINK_NEXT]) {
      i32[a + ARENA_SEARCHES]++;
      if (i32[tag + TAG_SIZE] >= size) return tag;
    }
    return 0;
  }

  function carve(a: number, tag: number, start: number, size: number, kind: number, owner: number): number {
    const first = i32[tag + TAG_START];
    const front = start - first;
    const back = i32[tag + TAG_SIZE] - front - size;
    removeFree(a, tag);
    let busy = tag;
    if (front > 0) {
      set(tag + TAG_SIZE, front);
      insertFree(a, tag);
      busy = takeTag(a);
      i32[busy + TAG_START] = start;
      i32[busy + TAG_SIZE] = size;
      linkAfter(a, busy, tag);
    } else if (back > 0) {
      set(tag + TAG_SIZE, size);
    }
    if (back > 0) {
      const rest = takeTag(a);
      i32[rest + TAG_START] = start + size;
      i32[rest + TAG_SIZE] = back;
      i32[rest + TAG_KIND] = TAG_SEGMENT_FREE;
      linkAfter(a, rest, busy);
      insertFree(a, rest);
    }
    set(busy + TAG_KIND, kind);
    set(busy + TAG_OWNER, owner);
    insertHash(a, busy);
    const inUse = i32[a + ARENA_IN_USE] + size;
    set(a + ARENA_IN_USE, inUse);
    i32[a + ARENA_ALLOCS]++;
    if (inUse > i32[a + ARENA_PEAK]) i32[a + ARENA_PEAK] = inUse;
    return busy;
  }

  function release(a: number, tag: number): number {
    let size = i32[tag + TAG_SIZE];
    set(a + ARENA_IN_USE, i32[a + ARENA_IN_USE] - size);
    i32[a + ARENA_FREES]++;
    removeHash(a, tag);
    set(tag + TAG_KIND, TAG_SEGMENT_FREE);
    set(tag + TAG_OWNER, 0);
    const next = i32[tag + TAG_NEXT];
    if (next !== 0 && i32[next + TAG_KIND] === TAG_SEGMENT_FREE) {
      removeFree(a, next);
      size += i32[next + TAG_SIZE];
      unlink(a, next);
      giveTag(a, next);
    }
    const prev = i32[tag + TAG_PREV];
    if (prev !== 0 && i32[prev + TAG_KIND] === TAG_SEGMENT_FREE) {
      removeFree(a, prev);
      set(prev + TAG_SIZE, size + i32[prev + TAG_SIZE]);
      unlink(a, tag);
      giveTag(a, tag);
      insertFree(a, prev);
      return prev;
    }
    set(tag + TAG_SIZE, size);
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
    const word = bucketWord(a, bucketOf(a, i32[tag + TAG_START]));
    set(tag + TAG_LINK_NEXT, i32[word]);
    set(word, tag);
    add(a + ARENA_HASH_COUNT, 1);
  }

  function removeHash(a: number, tag: number): void {
    let word = bucketWord(a, bucketOf(a, i32[tag + TAG_START]));
    while (i32[word] !== tag) word = i32[word] + TAG_LINK_NEXT;
    set(word, i32[tag + TAG_LINK_NEXT]);
    add(a + ARENA_HASH_COUNT, -1);
  }

  function lookup(a: number, start: number): number {
    i32[a + ARENA_LOOKUPS]++;
    let tag = i32[bucketWord(a, bucketOf(a, start))];
    while (tag !== 0 && i32[tag + TAG_START] !== start) {
      i32[a + ARENA_LOOKUPS]++;
      tag = i32[tag + TAG_LINK_NEXT];
    }
    return tag;
  }

  function hashIsDense(a: number): boolean {
    return i32[a + ARENA_HASH_COUNT] > i32[a + ARENA_HASH_ROUND] + i32[a + ARENA_HASH_SPLIT];
  }

  function missingTable(a: number): number {
    const table = tableOf(i32[a + ARENA_HASH_ROUND] + i32[a + ARENA_HASH_SPLIT]);
    return i32[a + ARENA_HASH_TABLES + table] === 0 ? table : -1;
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
      if ((hashOf(i32[tag + TAG_START]) & round) === 0) {
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
    findInstant,
    carve,
    release,
    lookup,
    bucketWord,
    hashIsDense,
    missingTable,
    splitBucket,
  };
}
