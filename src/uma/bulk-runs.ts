/**
 * The inner loops of bulk: items between an Int32Array and this worker's bucket.
 *
 * Each item goes by the steps of a single allocation or free, and in their order (marks before the commit on the way out; slots,
 * commit, marks on the way back), so that a worker may die anywhere. In single pairs the checks of one item overlap with the wait
 * for the position that the one before has stored; here instructions are all there is. So where neighbours of a page follow each
 * other (what a slab gave out in one go, as long as it is freed in one go, in whatever direction), sixteen are taken at once: they
 * are compared with what they should be, and their marks are four words. All four marks of such a word are of items that are in
 * this worker's hands, so nobody else writes to it. Any other list goes item by item, which takes as long as
 * single pairs or a tenth longer.
 *
 * The sixteen are written out, and what does not fit leaves by the loop's end: with an inner loop, or with helpers for V8 to inline,
 * half of the gain was lost. `| 0` stands wherever a sum could leave 32 bits: without it V8 tests each sum for that.
 *
 * Not done: beginning a group anywhere but at the list's first item. V8 then computes each index, and a fifth of the gain is lost.
 */
import type { Floor } from "../backend/memory/floor.ts";
import { MARK_BUSY } from "../backend/memory/layout.ts";
import type { Zone } from "./zone.ts";

export interface BulkRuns {
  /**
   * Moves `count` items from the alloc bucket of a zone with marks into a list, as allocations.
   * @returns false when the bucket has not so many, or the slow path is asked for: then nothing has changed.
   */
  takeOut(z: Zone, into: Int32Array, count: number): boolean;
  /**
   * Frees items into the alloc bucket, if it has room for them.
   * @returns how many: all, or as many as come before one that is not this worker's item, or stands in the list for the second time.
   */
  putBack(z: Zone, items: Int32Array, count: number): number;
  /** Takes back the first `count` of the items, which {@link putBack} has just freed. */
  takeBack(z: Zone, items: Int32Array, count: number): void;
  /** Marks items BUSY that are this worker's. @returns how many: all, or as many as come before one that is not. */
  claim(z: Zone, items: Int32Array, count: number): number;
  /** Puts items from place `from` on that are BUSY into the alloc bucket. @returns the place behind the last that it has room for. */
  put(z: Zone, items: Int32Array, from: number, count: number): number;
}

/** Items of a group: four words of marks. */
const GROUP = 16;

export function createBulkRuns(floor: Floor): BulkRuns {
  const { i32, u8 } = floor.cells;
  const { slot } = floor;
  const { pageTable: PT, heapStart } = floor.geometry;
  const SPAN = floor.geometry.heapEnd - heapStart;
  const MINE_BUSY = slot | MARK_BUSY;
  /** Four marks of this worker's. */
  const MINE4 = slot * 0x01010101;

  function takeOut(z: Zone, into: Int32Array, given: number): boolean {
    const line = z.line | 0;
    const sp = i32[line];
    const count = given | 0;
    const allocs = i32[line + 2];
    // The sum's sign: a call that was heard, or the counter's carry.
    if (count !== given || (sp & 255) - 7 < count || (allocs | (allocs + count)) < 0 || count > into.length) return false;
    const first = i32[sp];
    const step = (i32[(sp - 1) | 0] - first) | 0;
    const shift = z.shift | 0;
    const m = (i32[(((first >>> 12) << 2) + PT + 1) | 0] + (first >> shift)) | 0;
    let n = 0;
    if (count >= GROUP && areNeighbours(z.unitMask, first, step, count, m)) {
      const end = count & -GROUP;
      const next = (step >> 31) | 1;
      let w = m >> 2;
      let e = first;
      while (n < end) {
        const at = (sp - n) | 0;
        if (i32[at] !== e) break;
        into[n] = e;
        e = (e + step) | 0;
        if (i32[(at - 1) | 0] !== e) break;
        into[(n + 1) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 2) | 0] !== e) break;
        into[(n + 2) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 3) | 0] !== e) break;
        into[(n + 3) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 4) | 0] !== e) break;
        into[(n + 4) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 5) | 0] !== e) break;
        into[(n + 5) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 6) | 0] !== e) break;
        into[(n + 6) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 7) | 0] !== e) break;
        into[(n + 7) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 8) | 0] !== e) break;
        into[(n + 8) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 9) | 0] !== e) break;
        into[(n + 9) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 10) | 0] !== e) break;
        into[(n + 10) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 11) | 0] !== e) break;
        into[(n + 11) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 12) | 0] !== e) break;
        into[(n + 12) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 13) | 0] !== e) break;
        into[(n + 13) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 14) | 0] !== e) break;
        into[(n + 14) >>> 0] = e;
        e = (e + step) | 0;
        if (i32[(at - 15) | 0] !== e) break;
        into[(n + 15) >>> 0] = e;
        e = (e + step) | 0;
        i32[w] = MINE4;
        i32[(w + next) | 0] = MINE4;
        i32[(w + 2 * next) | 0] = MINE4;
        i32[(w + 3 * next) | 0] = MINE4;
        w = (w + 4 * next) | 0;
        n = (n + GROUP) | 0;
      }
    }
    let page = -1;
    let delta = 0;
    for (; n < count; n = (n + 1) | 0) {
      const p = i32[(sp - n) | 0];
      into[n] = p;
      if (p >>> 12 !== page) {
        page = p >>> 12;
        delta = i32[((page << 2) + PT + 1) | 0];
      }
      u8[(delta + (p >> shift)) | 0] = slot;
    }
    i32[line] = (sp - count) | 0;
    i32[line + 2] = (allocs + count) | 0;
    return true;
  }

  /**
   * Whether `count` items from `first` on, `step` bytes apart, are neighbours within a page, and their marks, of which the first is
   * at `m`, begin with a word. With other steps than one unit there would be bytes of no item between the marks.
   */
  function areNeighbours(unitMask: number, first: number, step: number, count: number, m: number): boolean {
    if (step !== ((unitMask + 1) | 0) && step !== ~unitMask) return false;
    return ((((first + Math.imul(count - 1, step)) ^ first) >>> 12) | ((m ^ (step >> 31)) & 3)) === 0;
  }

  function putBack(z: Zone, items: Int32Array, given: number): number {
    const line = z.line | 0;
    let sp = i32[line];
    const count = given | 0;
    const tag = z.tag | 0;
    const unitMask = z.unitMask | 0;
    const shift = z.shift | 0;
    if (count !== given || (sp & 255) + count > i32[line + 1] || count > items.length) return 0;
    let n = 0;
    if (count >= GROUP) {
      const first = items[0] as number;
      const step = ((items[1] as number) - first) | 0;
      const t = ((first >>> 12) << 2) + PT;
      if ((first - heapStart) >>> 0 >= SPAN || i32[t] !== tag || (first & unitMask) !== 0) return 0;
      const m = (i32[t + 1] + (first >> shift)) | 0;
      if (areNeighbours(unitMask, first, step, count, m)) {
        const end = count & -GROUP;
        const next = (step >> 31) | 1;
        let w = m >> 2;
        let e = first;
        while (n < end) {
          if (i32[w] !== MINE4 || i32[(w + next) | 0] !== MINE4) break;
          if (i32[(w + 2 * next) | 0] !== MINE4 || i32[(w + 3 * next) | 0] !== MINE4) break;
          if (items[n] !== e) break;
          i32[(sp + 1) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 1) >>> 0] !== e) break;
          i32[(sp + 2) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 2) >>> 0] !== e) break;
          i32[(sp + 3) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 3) >>> 0] !== e) break;
          i32[(sp + 4) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 4) >>> 0] !== e) break;
          i32[(sp + 5) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 5) >>> 0] !== e) break;
          i32[(sp + 6) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 6) >>> 0] !== e) break;
          i32[(sp + 7) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 7) >>> 0] !== e) break;
          i32[(sp + 8) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 8) >>> 0] !== e) break;
          i32[(sp + 9) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 9) >>> 0] !== e) break;
          i32[(sp + 10) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 10) >>> 0] !== e) break;
          i32[(sp + 11) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 11) >>> 0] !== e) break;
          i32[(sp + 12) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 12) >>> 0] !== e) break;
          i32[(sp + 13) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 13) >>> 0] !== e) break;
          i32[(sp + 14) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 14) >>> 0] !== e) break;
          i32[(sp + 15) | 0] = e;
          e = (e + step) | 0;
          if (items[(n + 15) >>> 0] !== e) break;
          i32[(sp + 16) | 0] = e;
          e = (e + step) | 0;
          sp = (sp + GROUP) | 0;
          i32[line] = sp;
          i32[w] = 0;
          i32[(w + next) | 0] = 0;
          i32[(w + 2 * next) | 0] = 0;
          i32[(w + 3 * next) | 0] = 0;
          w = (w + 4 * next) | 0;
          n = (n + GROUP) | 0;
        }
      }
    }
    let page = -1;
    let delta = 0;
    for (; n < count; n = (n + 1) | 0) {
      const p = items[n] as number;
      if (p >>> 12 !== page) {
        page = p >>> 12;
        if ((p - heapStart) >>> 0 >= SPAN || i32[((page << 2) + PT) | 0] !== tag) return n;
        delta = i32[((page << 2) + PT + 1) | 0];
      }
      const m = (delta + (p >> shift)) | 0;
      if (((p & unitMask) | (u8[m] ^ slot)) !== 0) return n;
      sp = (sp + 1) | 0;
      i32[sp] = p;
      i32[line] = sp;
      u8[m] = 0;
    }
    return count;
  }

  function takeBack({ line, shift }: Zone, items: Int32Array, count: number): void {
    for (let n = 0; n < count; n++) {
      const p = items[n] as number;
      u8[(i32[((p >>> 12) << 2) + PT + 1] + (p >> shift)) | 0] = slot;
    }
    i32[line] -= count;
  }

  function claim(z: Zone, items: Int32Array, count: number): number {
    const tag = z.tag | 0;
    const unitMask = z.unitMask | 0;
    const shift = z.shift | 0;
    for (let n = 0; n < count; n = (n + 1) | 0) {
      const p = items[n] as number;
      const t = ((p >>> 12) << 2) + PT;
      if ((p - heapStart) >>> 0 >= SPAN || i32[t] !== tag) return n;
      const m = (i32[t + 1] + (p >> shift)) | 0;
      if (((p & unitMask) | (u8[m] ^ slot)) !== 0) return n;
      u8[m] = MINE_BUSY;
    }
    return count;
  }

  function put(z: Zone, items: Int32Array, from: number, count: number): number {
    const line = z.line | 0;
    const shift = z.shift | 0;
    const sp = i32[line];
    const end = Math.min(count, (from + i32[line + 1] - (sp & 255)) | 0);
    let at = sp;
    let n = from;
    for (; n < end; n = (n + 1) | 0) {
      const p = items[n] as number;
      // 0 is no item, and another than BUSY is not to be freed any more.
      if (p === 0 || u8[(i32[((p >>> 12) << 2) + PT + 1] + (p >> shift)) | 0] !== MINE_BUSY) break;
      at = (at + 1) | 0;
      i32[at] = p;
    }
    if (at === sp) return from;
    i32[line] = at;
    for (let w = (sp + 1) | 0; w <= at; w = (w + 1) | 0) {
      const p = i32[w];
      u8[(i32[((p >>> 12) << 2) + PT + 1] + (p >> shift)) | 0] = 0;
    }
    return n;
  }

  return { takeOut, putBack, takeBack, claim, put };
}
