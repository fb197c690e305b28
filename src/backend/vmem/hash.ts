/**
 * The hash of an arena: allocated segments by their start.
 *
 * A linear hash (Litwin): it grows by splitting one bucket at a time, within one transaction, so there never is a long rebuild to
 * wait for or to survive; a table once in use never moves. Table 0 holds HASH_FIRST buckets, table k > 0 as many as all before it.
 * Buckets chain through the tags.
 *
 * As everywhere in an arena: all stores are entries of the caller's transaction, under the arena's lock.
 */
import * as layout from "../memory/layout.ts";
import type { Ground } from "./segments.ts";

const {
  ARENA_HASH_ROUND,
  ARENA_HASH_SPLIT,
  ARENA_HASH_TABLES,
  ARENA_HASH_TABLE_COUNT,
  ARENA_LOOKUPS,
  ARENA_SEGMENTS,
  PAGE_BYTES,
  TAG_LINK_NEXT,
  TAG_START,
} = layout;

/** Buckets of the hash before its first split: table 0. Table k > 0 holds HASH_FIRST << (k − 1). */
export const HASH_FIRST = 64;
/** Buckets at most: the directory is full then. */
export const HASH_MOST: number = HASH_FIRST << (ARENA_HASH_TABLE_COUNT - 1);
/** Hash tables 1 … SMALL_TABLES share one page: 256 + 512 + 1024 + 2048 bytes. */
const SMALL_TABLES = 4;
/** A chain longer than this is not split: its links would not fit a transaction. */
const SPLIT_LONGEST = 24;

export interface Hash {
  /** The allocated segment that begins at `start`; 0 = none. */
  readonly lookup: (a: number, start: number) => number;
  /** The word that the chain of a segment beginning at `start` begins with. */
  headOf(a: number, start: number): number;
  /** The word that names the allocated segment `tag` in its chain; at once for what `lookup` has just found. */
  linkTo(a: number, tag: number): number;
  /** Word index of the table word of hash bucket `bucket`. */
  bucketWord(a: number, bucket: number): number;
  /** Whether there are more segments than buckets, so that one entry a bucket is the most on average. */
  isDense(a: number): boolean;
  /** The table that the next split needs and that is missing: its number; −1 = none is missing. */
  missingTable(a: number): number;
  /** Pages that `table` takes: the first few share one. */
  pagesOfTable(table: number): number;
  /** Enters `table`, in zeroed pages from word `at` on, into the directory. */
  linkTable(a: number, table: number, at: number): void;
  /** Splits one bucket (a transaction's worth). */
  splitBucket(a: number): void;
}

/** Scatters a start over the buckets. */
export function hashOf(start: number): number {
  let h = start | 0;
  // All of it, also above 2³¹; most starts are small, and a division is not.
  if (h !== start) h = start ^ (start / 0x100000000);
  h = Math.imul(h, 0x9e3779b1);
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

export function createHash(ground: Ground): Hash {
  const { i32, f64 } = ground.cells;
  const { set } = ground.journal;
  /** What the last lookup found, and the word that named it. */
  let found = 0;
  let foundWord = 0;

  function bucketWord(a: number, bucket: number): number {
    const table = tableOf(bucket);
    return i32[a + ARENA_HASH_TABLES + table] + bucket - firstOfTable(table);
  }

  function headOf(a: number, start: number): number {
    const hash = hashOf(start);
    const round = i32[a + ARENA_HASH_ROUND];
    const bucket = hash & (round - 1);
    return bucketWord(a, bucket < i32[a + ARENA_HASH_SPLIT] ? hash & (2 * round - 1) : bucket);
  }

  function lookup(a: number, start: number): number {
    let steps = 1;
    let word = headOf(a, start);
    let tag = i32[word];
    while (tag !== 0 && f64[(tag + TAG_START) >> 1] !== start) {
      steps++;
      word = tag + TAG_LINK_NEXT;
      tag = i32[word];
    }
    f64[(a + ARENA_LOOKUPS) >> 1] += steps;
    found = tag;
    foundWord = word;
    return tag;
  }

  function linkTo(a: number, tag: number): number {
    // An allocated segment is named by one word only: if this one still does, nothing has changed.
    if (tag === found && i32[foundWord] === tag) return foundWord;
    let word = headOf(a, f64[(tag + TAG_START) >> 1]);
    while (i32[word] !== tag) word = i32[word] + TAG_LINK_NEXT;
    return word;
  }

  function isDense(a: number): boolean {
    const buckets = i32[a + ARENA_HASH_ROUND] + i32[a + ARENA_HASH_SPLIT];
    return i32[a + ARENA_SEGMENTS] > buckets && buckets < HASH_MOST;
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

  return { lookup, headOf, linkTo, bucketWord, isDense, missingTable, pagesOfTable, linkTable, splitBucket };
}
