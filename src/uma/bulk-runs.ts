/**
 * The inner loops of bulk: items between an Int32Array and this worker's bucket.
 *
 * Each item goes by the steps of a single allocation or free, and in their order (marks before the commit on the way out; slot,
 * commit, mark on the way back), so that a worker may die anywhere. What is saved are the entrances, and the wait of each position
 * for the one before. A list of one kind, nothing else to decide, and `| 0` wherever a sum could leave 32 bits: without it V8 tests
 * each sum for that, and takes each parameter for a number of any kind at each of its uses.
 *
 * Not done: four items a turn. That needs more registers than there are, and was slower than one.
 */
import type { Floor } from "../backend/memory/floor.ts";
import type { Zone } from "./zone.ts";

export interface BulkRuns {
  /** Copies `count` items of a bucket, from the position `sp` down, and marks them as this worker's. The caller commits. */
  takeOut(into: Int32Array, sp: number, count: number, shift: number): void;
  /**
   * Frees items into the alloc bucket, which has room for them.
   * @returns how many: all, or as many as come before one that is not this worker's item, or stands in the list for the second time.
   */
  putBack(z: Zone, items: Int32Array, count: number): number;
  /** Takes back the first `count` of the items, which {@link putBack} has just freed. */
  takeBack(z: Zone, items: Int32Array, count: number): void;
}

export function createBulkRuns(floor: Floor): BulkRuns {
  const { i32, u8 } = floor.cells;
  const { slot } = floor;
  const { pageTable: PT, heapStart } = floor.geometry;
  const SPAN = floor.geometry.heapEnd - heapStart;

  function takeOut(into: Int32Array, from: number, wanted: number, grid: number): void {
    const count = Math.min(wanted | 0, into.length);
    const shift = grid | 0;
    let at = from | 0;
    let page = -1;
    let delta = 0;
    for (let n = 0; n < count; n = (n + 1) | 0) {
      const p = i32[at];
      at = (at - 1) | 0;
      into[n] = p;
      if (p >>> 12 !== page) {
        page = p >>> 12;
        delta = i32[((page << 2) + PT + 1) | 0];
      }
      u8[(delta + (p >> shift)) | 0] = slot;
    }
  }

  function putBack(z: Zone, items: Int32Array, given: number): number {
    const line = z.line | 0;
    const tag = z.tag | 0;
    const unitMask = z.unitMask | 0;
    const shift = z.shift | 0;
    const count = Math.min(given | 0, items.length);
    let sp = i32[line];
    let page = -1;
    let delta = 0;
    for (let n = 0; n < count; n = (n + 1) | 0) {
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

  return { takeOut, putBack, takeBack };
}
