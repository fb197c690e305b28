/**
 * The scan of marks: finding what a worker owns.
 *
 * Goes through the page table and looks at the marks of each slab it meets, without a lock: slabs that come or go meanwhile
 * hold none of the marks that are looked for (a dead worker allocates nothing, and a slab with an outstanding item stays), and
 * an outdated header is still a header. Runs in slices, so that a thread with an event loop stays responsive.
 */
import type { Floor } from "../backend/memory/floor.ts";
import {
  KEG_FLAGS,
  KEG_IPERS,
  KEG_RSIZE,
  KEG_SHIFT,
  KEG_TAG,
  MARK_BUSY,
  MARK_FREE,
  PAGE_SHIFT,
  PTE_SLAB,
  PTE_TAG,
  SLAB_KEG,
  SLAB_START,
} from "../backend/memory/layout.ts";
import { FLAG_UNCHECKED } from "./definition.ts";
import type { Slabs } from "./slab.ts";

/** What the scan found: reused from item to item. */
export interface FoundItem {
  item: number;
  /** Byte index of its mark, and the mark. */
  mark: number;
  value: number;
  keg: number;
}

export interface MarkScan {
  /**
   * Finds the next item from byte address `from` on, below `to`, whose owner (BUSY or not) is `owner`.
   * @param keg - only in this keg; 0 = in all.
   * @returns whether there was one; it stands in `found`, and the scan goes on at `next`.
   */
  next(owner: number, from: number, to: number, keg: number): boolean;
  /** The same for items of any owner: all that are not free. */
  nextOutstanding(from: number, to: number, keg: number): boolean;
  readonly found: FoundItem;
}

const ANY_OWNER = -1;

export function createMarkScan(floor: Floor, slabs: Slabs): MarkScan {
  const { i32, u8 } = floor.cells;
  const { pageTable } = floor.geometry;
  const found: FoundItem = { item: 0, mark: 0, value: 0, keg: 0 };

  function next(owner: number, from: number, to: number, only: number): boolean {
    let address = from;
    while (address < to) {
      const page = address >>> PAGE_SHIFT;
      const after = (page + 1) * 2 ** PAGE_SHIFT;
      const entry = (page << 2) + pageTable;
      const tag = i32[entry + PTE_TAG];
      if (tag !== 0) {
        const slab = i32[entry + PTE_SLAB];
        const keg = i32[slab + SLAB_KEG];
        if (i32[keg + KEG_TAG] === tag && (only === 0 || only === keg) && (i32[keg + KEG_FLAGS] & FLAG_UNCHECKED) === 0) {
          if (inPage(slab, keg, owner, address, after)) return true;
        }
      }
      address = after;
    }
    return false;
  }

  /** Looks at the items of the slab that begin in [from, to). */
  function inPage(slab: number, keg: number, owner: number, from: number, to: number): boolean {
    const start = i32[slab + SLAB_START];
    const rsize = i32[keg + KEG_RSIZE];
    const shift = i32[keg + KEG_SHIFT];
    const marks = slabs.marksOf(slab);
    let n = Math.max(0, Math.ceil((from - start) / rsize));
    for (; n < i32[keg + KEG_IPERS]; n++) {
      const item = start + n * rsize;
      if (item >= to) return false;
      const mark = marks + (item >> shift) - (start >> shift);
      // Plainly, for the sake of speed: of a dead worker's marks none changes but by whoever found it, and by compare-exchange.
      const value = u8[mark];
      if (owner === ANY_OWNER ? value === MARK_FREE : (value & ~MARK_BUSY) !== owner) continue;
      found.item = item;
      found.mark = mark;
      found.value = value;
      found.keg = keg;
      return true;
    }
    return false;
  }

  return { next, nextOutstanding: (from, to, keg) => next(ANY_OWNER, from, to, keg), found };
}
