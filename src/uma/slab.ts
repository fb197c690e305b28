/**
 * Slabs: pages cut into equal items, and the keg's lists of them.
 *
 * A slab's header lies off its pages: which of its items are free (a bit each), and the marks (a byte each unit of the grid).
 * An item is in exactly one of three places: free in its slab (bit set, mark "free"), in a bucket (bit clear, mark "free"), or
 * outstanding (bit clear, mark = owner). Items move between slab and bucket under the keg's lock, as many at a time as one slab
 * gives in one transaction.
 *
 * Lists: wholly free, wholly taken, and partly free in bins by the share that is free. Allocation takes the fullest first, so
 * that what was left half empty by a spike empties wholly and can be given back.
 *
 * All stores here are entries of the caller's transaction under the keg's lock; items written above a bucket's count are nobody's.
 */
import type { Floor } from "../backend/memory/floor.ts";
import * as layout from "../backend/memory/layout.ts";

const {
  JOURNAL_ENTRIES,
  KEG_BITS_WORDS,
  KEG_FREE,
  KEG_IPERS,
  KEG_LIST_FREE,
  KEG_LIST_PARTIAL,
  KEG_LIST_TAKEN,
  KEG_PARTIAL_BINS,
  KEG_RSIZE,
  KEG_TAG,
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
  SLOT_JOURNAL_COUNT,
} = layout;

export interface Slabs {
  /** Slab header of the item at `p` (which must be one). */
  slabOf(p: number): number;
  /** Byte index of the mark of the item at `p`, in a keg with grid `shift`. */
  markOf(p: number, shift: number): number;
  /** Byte index of the first mark of a slab. */
  marksOf(slab: number): number;
  /** Whether the item at `p` is of a slab that stands in the keg, whose pages have `tag`: not after the zone was destroyed. */
  holds(keg: number, tag: number, p: number): boolean;
  /** The slab to allocate from: the fullest partly free one, else a wholly free one; 0 = none. */
  pick(keg: number): number;
  /** Moves up to `want` free items of `slab` on top of the bucket whose cache word is `spWord`. @returns how many. */
  take(keg: number, slab: number, spWord: number, want: number): number;
  /** Takes one free item out of `slab`. @returns its address. */
  takeOne(keg: number, slab: number): number;
  /** Makes the item at `p` free in its slab. */
  put(keg: number, p: number): void;
  /**
   * Makes the topmost items of a bucket free in their slabs: as many as one transaction takes, up to `most`, with room left for
   * the entries that take the bucket out of the depot or lower its count.
   * @param sp - position of the topmost. @returns how many.
   */
  putMany(keg: number, sp: number, most: number): number;
  /** Puts a slab into the list its free count asks for. */
  link(keg: number, slab: number): void;
  /** Takes a slab out of its list. */
  unlink(keg: number, slab: number): void;
}

/**
 * No item is begun by {@link Slabs.putMany} with so many entries: it may take a word of bits, the slab's count, 9 words for another
 * list and the keg's count; and 13 are the caller's.
 */
const ENTRIES_MOST: number = JOURNAL_ENTRIES - 25;

export function createSlabs(floor: Floor): Slabs {
  const { i32 } = floor.cells;
  const { set, add, note } = floor.journal;
  const COUNT = floor.slotWord + SLOT_JOURNAL_COUNT;
  const { pageTable } = floor.geometry;

  function slabOf(p: number): number {
    return i32[((p >>> PAGE_SHIFT) << 2) + pageTable + PTE_SLAB];
  }

  function markOf(p: number, shift: number): number {
    return (i32[((p >>> PAGE_SHIFT) << 2) + pageTable + PTE_DELTA] + (p >> shift)) | 0;
  }

  function marksOf(slab: number): number {
    return (slab + SLAB_BITS + i32[i32[slab + SLAB_KEG] + KEG_BITS_WORDS]) << 2;
  }

  function holds(keg: number, tag: number, p: number): boolean {
    if (i32[keg + KEG_TAG] !== tag || i32[((p >>> PAGE_SHIFT) << 2) + pageTable + PTE_TAG] !== tag) return false;
    const slab = slabOf(p);
    return i32[slab + SLAB_KEG] === keg && i32[slab + SLAB_LIST] !== 0;
  }

  function listFor(keg: number, slab: number): number {
    const free = i32[slab + SLAB_FREE];
    const all = i32[keg + KEG_IPERS];
    if (free === 0) return KEG_LIST_TAKEN;
    if (free === all) return KEG_LIST_FREE;
    return KEG_LIST_PARTIAL + (((free * KEG_PARTIAL_BINS) / all) | 0);
  }

  function link(keg: number, slab: number): void {
    const list = listFor(keg, slab);
    const head = i32[keg + list];
    set(slab + SLAB_LIST, list);
    set(slab + SLAB_PREV, 0);
    set(slab + SLAB_NEXT, head);
    if (head !== 0) set(head + SLAB_PREV, slab);
    set(keg + list, slab);
  }

  function unlink(keg: number, slab: number): void {
    const prev = i32[slab + SLAB_PREV];
    const next = i32[slab + SLAB_NEXT];
    if (prev === 0) set(keg + i32[slab + SLAB_LIST], next);
    else set(prev + SLAB_NEXT, next);
    if (next !== 0) set(next + SLAB_PREV, prev);
    set(slab + SLAB_LIST, 0);
  }

  function relink(keg: number, slab: number): void {
    if (listFor(keg, slab) === i32[slab + SLAB_LIST]) return;
    unlink(keg, slab);
    link(keg, slab);
  }

  function pick(keg: number): number {
    for (let bin = 0; bin < KEG_PARTIAL_BINS; bin++) {
      const slab = i32[keg + KEG_LIST_PARTIAL + bin];
      if (slab !== 0) return slab;
    }
    return i32[keg + KEG_LIST_FREE];
  }

  function take(keg: number, slab: number, spWord: number, want: number): number {
    const start = i32[slab + SLAB_START];
    const rsize = i32[keg + KEG_RSIZE];
    const words = i32[keg + KEG_BITS_WORDS];
    const bottom = i32[spWord];
    let sp = bottom;
    const top = sp + want;
    for (let word = 0; word < words && sp < top; word++) {
      let bits = i32[slab + SLAB_BITS + word];
      if (bits === 0) continue;
      while (bits !== 0 && sp < top) {
        const lowest = bits & -bits;
        bits ^= lowest;
        i32[++sp] = start + (word * 32 + 31 - Math.clz32(lowest)) * rsize;
      }
      set(slab + SLAB_BITS + word, bits);
    }
    const count = sp - bottom;
    set(slab + SLAB_FREE, i32[slab + SLAB_FREE] - count);
    set(keg + KEG_FREE, i32[keg + KEG_FREE] - count);
    relink(keg, slab);
    set(spWord, sp);
    return count;
  }

  function takeOne(keg: number, slab: number): number {
    let word = slab + SLAB_BITS;
    while (i32[word] === 0) word++;
    const bits = i32[word];
    const lowest = bits & -bits;
    set(word, bits ^ lowest);
    add(slab + SLAB_FREE, -1);
    add(keg + KEG_FREE, -1);
    relink(keg, slab);
    return i32[slab + SLAB_START] + ((word - slab - SLAB_BITS) * 32 + 31 - Math.clz32(lowest)) * i32[keg + KEG_RSIZE];
  }

  function put(keg: number, p: number): void {
    const slab = slabOf(p);
    const index = ((p - i32[slab + SLAB_START]) / i32[keg + KEG_RSIZE]) | 0;
    const word = slab + SLAB_BITS + (index >>> 5);
    set(word, i32[word] | (1 << (index & 31)));
    add(slab + SLAB_FREE, 1);
    add(keg + KEG_FREE, 1);
    relink(keg, slab);
  }

  function putMany(keg: number, sp: number, most: number): number {
    const rsize = i32[keg + KEG_RSIZE];
    const bottom = sp - most;
    let at = sp;
    let n = i32[COUNT];
    let slab = slabOf(i32[at]);
    let start = i32[slab + SLAB_START];
    let word = 0;
    let count = 0;
    for (;;) {
      // Items that lie one below the other in the bucket are often of one slab: its words are noted once.
      const p = i32[at--];
      const index = ((p - start) / rsize) | 0;
      const its = slab + SLAB_BITS + (index >>> 5);
      if (its !== word) {
        word = its;
        note(n++, its);
        i32[COUNT] = n;
      }
      i32[its] |= 1 << (index & 31);
      count++;
      const next = at > bottom && n < ENTRIES_MOST ? slabOf(i32[at]) : 0;
      if (next === slab) continue;
      const free = i32[slab + SLAB_FREE] + count;
      note(n++, slab + SLAB_FREE);
      i32[COUNT] = n;
      i32[slab + SLAB_FREE] = free;
      const list = i32[slab + SLAB_LIST];
      if (listFor(keg, slab) !== list) {
        unlink(keg, slab);
        link(keg, slab);
        n = i32[COUNT];
      }
      if (next === 0 || n >= ENTRIES_MOST) break;
      slab = next;
      start = i32[slab + SLAB_START];
      count = 0;
    }
    add(keg + KEG_FREE, sp - at);
    return sp - at;
  }

  return { slabOf, markOf, marksOf, holds, pick, take, takeOne, put, putMany, link, unlink };
}
