/**
 * Segments: the boundary tags of an arena, and the indexes over them.
 *
 * 1. **Address list.** Every segment has a tag {start, size, kind}; tags stand in one doubly linked list, span by span, each span
 *    led by a marker. Segments of a span follow each other without a gap, and no two neighbours are both free: a free segment
 *    joins its free neighbours at once, the marker keeping it from joining across spans. Spans stand in the order of their
 *    addresses, and their markers in a list of their own.
 * 2. **Free lists.** A free segment of size s stands in list ⌊log2 s⌋; bit k of the bitmap says that list k is not empty.
 *    *Instant fit* takes the head of the first list whose every member is large enough: no search, whatever the fragmentation.
 *    Only when all of those are empty is the request's own list looked through.
 * 3. **Hash.** Allocated segments are found by their start (hash.ts).
 *
 * All stores are entries of the caller's transaction, under the arena's lock, save those into a tag that is not in use yet.
 * A tag is taken from the arena's list of free ones, or carved from the page that was given to it for tags. Tags are never given
 * back: their memory stays theirs.
 *
 * `carve` and `release` note all that they will change first, and put it in force by one store: a word of the journal's costs
 * half that way. What keeps its tag and its list is not touched: cut from the front of a large segment, the rest stays the free
 * segment that it was. Sizes shrink before starts move up, and starts move down before sizes grow, so that a walker without the
 * lock never sees a segment reach over another.
 *
 * The same code serves arenas in the shared memory and local ones: it needs no more than views and a journal.
 * Starts and sizes are the arena's own integers, exact up to 2⁵³ − 1.
 */
import type { Cells } from "../memory/cells.ts";
import type { Journal } from "../memory/journal.ts";
import * as layout from "../memory/layout.ts";
import { createHash, type Hash } from "./hash.ts";

const {
  ARENA_ALLOCS,
  ARENA_BITMAP,
  ARENA_BITMAP_HIGH,
  ARENA_FIRST,
  ARENA_FREES,
  ARENA_FREE_LISTS,
  ARENA_IN_USE,
  ARENA_LAST,
  ARENA_PEAK,
  ARENA_ROTOR,
  ARENA_SEARCHES,
  ARENA_SEGMENTS,
  ARENA_TAGS,
  ARENA_TAG_END,
  ARENA_TAG_FREE,
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
} = layout;

/** What the tags of an arena lie in. */
export interface Ground {
  readonly cells: Pick<Cells, "i32" | "f64">;
  readonly journal: Pick<Journal, "set" | "setNumber" | "add" | "note2" | "note3" | "note4" | "note5">;
}

export interface Segments {
  readonly hash: Hash;
  /** Whether `need` tags are at hand without asking for memory. */
  hasTags(a: number, need: number): boolean;
  takeTag(a: number): number;
  giveTag(a: number, tag: number): void;
  /** Puts what is left of the page being carved into the list of free tags, in transactions of its own. */
  retireRest(a: number, commit: () => void): void;
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

export function createSegments(ground: Ground): Segments {
  const { i32, f64 } = ground.cells;
  const { set, add, note2, note3, note4, note5 } = ground.journal;
  const hash = createHash(ground);

  function hasTags(a: number, need: number): boolean {
    const listed = i32[a + ARENA_TAGS] - i32[a + ARENA_SEGMENTS];
    return (listed - need) * TAG_WORDS + i32[a + ARENA_TAG_END] - i32[a + ARENA_TAG_NEXT] >= 0;
  }

  function takeTag(a: number): number {
    const tag = i32[a + ARENA_TAG_FREE];
    if (tag !== 0) {
      set(a + ARENA_TAG_FREE, i32[tag + TAG_LINK_NEXT]);
      return tag;
    }
    const next = i32[a + ARENA_TAG_NEXT];
    set(a + ARENA_TAG_NEXT, next + TAG_WORDS);
    add(a + ARENA_TAGS, 1);
    return next;
  }

  function giveTag(a: number, tag: number): void {
    note3(tag + TAG_KIND, tag + TAG_LINK_NEXT, a + ARENA_TAG_FREE);
    i32[tag + TAG_KIND] = TAG_UNUSED;
    i32[tag + TAG_LINK_NEXT] = i32[a + ARENA_TAG_FREE];
    i32[a + ARENA_TAG_FREE] = tag;
  }

  function retireRest(a: number, commit: () => void): void {
    while (i32[a + ARENA_TAG_END] - i32[a + ARENA_TAG_NEXT] >= TAG_WORDS) {
      const tag = i32[a + ARENA_TAG_NEXT];
      set(a + ARENA_TAG_NEXT, tag + TAG_WORDS);
      add(a + ARENA_TAGS, 1);
      giveTag(a, tag);
      commit();
    }
  }

  function insertFree(a: number, tag: number): void {
    const list = listOf(f64[(tag + TAG_SIZE) >> 1]);
    const head = i32[a + ARENA_FREE_LISTS + list];
    const behind = head === 0 ? bitmapOf(a, list) : head + TAG_LINK_PREV;
    note4(tag + TAG_LINK_PREV, tag + TAG_LINK_NEXT, a + ARENA_FREE_LISTS + list, behind);
    i32[tag + TAG_LINK_PREV] = 0;
    i32[tag + TAG_LINK_NEXT] = head;
    i32[behind] = head === 0 ? i32[behind] | (1 << (list & 31)) : tag;
    i32[a + ARENA_FREE_LISTS + list] = tag;
  }

  function removeFree(a: number, tag: number): void {
    const prev = i32[tag + TAG_LINK_PREV];
    const next = i32[tag + TAG_LINK_NEXT];
    if (prev !== 0) {
      set(prev + TAG_LINK_NEXT, next);
      if (next !== 0) set(next + TAG_LINK_PREV, prev);
      return;
    }
    const list = listOf(f64[(tag + TAG_SIZE) >> 1]);
    const behind = next === 0 ? bitmapOf(a, list) : next + TAG_LINK_PREV;
    note2(a + ARENA_FREE_LISTS + list, behind);
    i32[a + ARENA_FREE_LISTS + list] = next;
    i32[behind] = next === 0 ? i32[behind] & ~(1 << (list & 31)) : 0;
  }

  function bitmapOf(a: number, list: number): number {
    return a + (list < 32 ? ARENA_BITMAP : ARENA_BITMAP_HIGH);
  }

  function linkAfter(a: number, tag: number, after: number): void {
    const next = after === 0 ? i32[a + ARENA_FIRST] : i32[after + TAG_NEXT];
    const ahead = after === 0 ? a + ARENA_FIRST : after + TAG_NEXT;
    const behind = next === 0 ? a + ARENA_LAST : next + TAG_PREV;
    i32[tag + TAG_PREV] = after;
    i32[tag + TAG_NEXT] = next;
    note3(ahead, behind, a + ARENA_SEGMENTS);
    i32[ahead] = tag;
    i32[behind] = tag;
    i32[a + ARENA_SEGMENTS]++;
  }

  function unlink(a: number, tag: number): void {
    const prev = i32[tag + TAG_PREV];
    const next = i32[tag + TAG_NEXT];
    const ahead = prev === 0 ? a + ARENA_FIRST : prev + TAG_NEXT;
    const behind = next === 0 ? a + ARENA_LAST : next + TAG_PREV;
    note3(ahead, behind, a + ARENA_SEGMENTS);
    i32[ahead] = next;
    i32[behind] = prev;
    i32[a + ARENA_SEGMENTS]--;
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
    const whole = f64[(tag + TAG_SIZE) >> 1];
    const front = start - f64[(tag + TAG_START) >> 1];
    const back = whole - front - size;
    if (front === 0 && back === 0) {
      removeFree(a, tag);
      occupy(a, tag, start, size, kind, owner);
      return tag;
    }
    // The free segment stays one: what is in front, or else what is behind. Often in the same list, too.
    const rest = front === 0 ? back : front;
    const moves = listOf(rest) !== listOf(whole);
    if (moves) removeFree(a, tag);
    const busy = takeTag(a);
    linkAfter(a, busy, front === 0 ? i32[tag + TAG_PREV] : tag);
    f64[(busy + TAG_START) >> 1] = start;
    f64[(busy + TAG_SIZE) >> 1] = size;
    note4(tag + TAG_SIZE, tag + TAG_SIZE + 1, tag + TAG_START, tag + TAG_START + 1);
    f64[(tag + TAG_SIZE) >> 1] = rest;
    if (front === 0) f64[(tag + TAG_START) >> 1] = start + size;
    if (moves) insertFree(a, tag);
    if (front > 0 && back > 0) addFree(a, busy, start + size, back);
    occupy(a, busy, start, size, kind, owner);
    return busy;
  }

  /** A free segment behind `after`. */
  function addFree(a: number, after: number, start: number, size: number): void {
    const tag = takeTag(a);
    f64[(tag + TAG_START) >> 1] = start;
    f64[(tag + TAG_SIZE) >> 1] = size;
    set(tag + TAG_KIND, TAG_SEGMENT_FREE);
    linkAfter(a, tag, after);
    insertFree(a, tag);
  }

  /** Enters a segment among the allocated ones. */
  function occupy(a: number, tag: number, start: number, size: number, kind: number, owner: number): void {
    const chain = hash.headOf(a, start);
    note5(tag + TAG_KIND, tag + TAG_LINK_NEXT, chain, a + ARENA_IN_USE, a + ARENA_IN_USE + 1);
    // No entry: whose a segment is, says only the tag of an allocated one.
    i32[tag + TAG_OWNER] = owner;
    i32[tag + TAG_KIND] = kind;
    i32[tag + TAG_LINK_NEXT] = i32[chain];
    i32[chain] = tag;
    const inUse = f64[(a + ARENA_IN_USE) >> 1] + size;
    f64[(a + ARENA_IN_USE) >> 1] = inUse;
    f64[(a + ARENA_ALLOCS) >> 1]++;
    if (inUse > f64[(a + ARENA_PEAK) >> 1]) f64[(a + ARENA_PEAK) >> 1] = inUse;
  }

  function release(a: number, tag: number): number {
    const size = f64[(tag + TAG_SIZE) >> 1];
    const next = i32[tag + TAG_NEXT];
    const prev = i32[tag + TAG_PREV];
    const joinsNext = next !== 0 && i32[next + TAG_KIND] === TAG_SEGMENT_FREE;
    if (prev !== 0 && i32[prev + TAG_KIND] === TAG_SEGMENT_FREE) {
      let grown = f64[(prev + TAG_SIZE) >> 1] + size;
      if (joinsNext) {
        removeFree(a, next);
        grown += f64[(next + TAG_SIZE) >> 1];
        unlink(a, next);
        giveTag(a, next);
      }
      vacate(a, tag, size, TAG_UNUSED);
      unlink(a, tag);
      giveTag(a, tag);
      grow(a, prev, f64[(prev + TAG_START) >> 1], grown);
      return prev;
    }
    if (!joinsNext) {
      vacate(a, tag, size, TAG_SEGMENT_FREE);
      insertFree(a, tag);
      return tag;
    }
    const start = f64[(tag + TAG_START) >> 1];
    vacate(a, tag, size, TAG_UNUSED);
    unlink(a, tag);
    giveTag(a, tag);
    grow(a, next, start, f64[(next + TAG_SIZE) >> 1] + size);
    return next;
  }

  /** Takes a segment from among the allocated ones; it is in no list then. */
  function vacate(a: number, tag: number, size: number, kind: number): void {
    const link = hash.linkTo(a, tag);
    note4(tag + TAG_KIND, link, a + ARENA_IN_USE, a + ARENA_IN_USE + 1);
    i32[tag + TAG_KIND] = kind;
    i32[link] = i32[tag + TAG_LINK_NEXT];
    f64[(a + ARENA_IN_USE) >> 1] -= size;
    f64[(a + ARENA_FREES) >> 1]++;
  }

  /** A free segment becomes [start, start + size), larger than it was. */
  function grow(a: number, tag: number, start: number, size: number): void {
    const moves = listOf(size) !== listOf(f64[(tag + TAG_SIZE) >> 1]);
    if (moves) removeFree(a, tag);
    note4(tag + TAG_START, tag + TAG_START + 1, tag + TAG_SIZE, tag + TAG_SIZE + 1);
    f64[(tag + TAG_START) >> 1] = start;
    f64[(tag + TAG_SIZE) >> 1] = size;
    if (moves) insertFree(a, tag);
  }

  return {
    hash,
    hasTags,
    takeTag,
    giveTag,
    retireRest,
    insertFree,
    removeFree,
    linkAfter,
    unlink,
    firstList,
    findInstant,
    carve,
    release,
    lookup: hash.lookup,
  };
}
