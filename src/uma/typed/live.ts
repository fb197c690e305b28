/**
 * The live items of a zone, in address order, while everybody goes on allocating and freeing.
 *
 * A walk goes through the page table and looks at the marks of the zone's slabs, without a lock. It meets every item that was
 * allocated before the walk began and is not freed before it comes by; it meets no address twice. What it may miss or not:
 *  - an item allocated meanwhile is met if it lies ahead of the walk, and missed if it lies behind;
 *  - an item that another worker frees after the walk has met it is free while the visitor still looks at it;
 *  - an item inside ctor or dtor is not met, nor are items of zones with checks off (they have no marks).
 */
import {
  KEG_IPERS,
  KEG_RSIZE,
  KEG_SHIFT,
  MARK_BUSY,
  MARK_FREE,
  PAGE_SHIFT,
  PTE_SLAB,
  PTE_TAG,
  SLAB_START,
} from "../../backend/memory/layout.ts";
import type { Core } from "../core.ts";
import type { ZonePlace } from "../zone.ts";

export interface Walk {
  /** The next live item; 0 when there are no more. */
  readonly next: () => number;
}

/** @returns a function that begins a walk at byte address `from`. */
export function createWalks(core: Core, place: ZonePlace): (from: number) => Walk {
  const { i32, u8 } = core.floor.cells;
  const { pageTable, heapStart, heapEnd } = core.floor.geometry;
  const { slabs } = core;
  const { tag, keg, zoneAt, zoneIndex } = place;
  const rsize = i32[keg + KEG_RSIZE];
  const ipers = i32[keg + KEG_IPERS];
  const shift = i32[keg + KEG_SHIFT];
  /** From mark to mark; a slab of one item has one mark. */
  const step = ipers === 1 ? 0 : rsize >> shift;

  return (from) => {
    let page = Math.max(from, heapStart) >>> PAGE_SHIFT;
    const lastPage = heapEnd >>> PAGE_SHIFT;
    let entry = 0;
    let slab = 0;
    let item = Math.max(from, heapStart);
    let mark = 0;
    /** Where the items that begin in this page end; 0: the page has not been entered. */
    let end = 0;

    function enter(): boolean {
      entry = (page << 2) + pageTable;
      if (i32[entry + PTE_TAG] !== tag) return false;
      slab = i32[entry + PTE_SLAB];
      const start = i32[slab + SLAB_START];
      const first = Math.max(0, Math.ceil((item - start) / rsize));
      item = start + first * rsize;
      mark = slabs.marksOf(slab) + first * step;
      end = Math.min((page + 1) << PAGE_SHIFT, start + ipers * rsize);
      return true;
    }

    return {
      next(): number {
        for (; page < lastPage; page++, end = 0, item = page << PAGE_SHIFT) {
          if (end === 0 && !enter()) continue;
          // The visitor may have given the slab back, and the page may be another's by now.
          while (item < end && i32[entry + PTE_TAG] === tag && i32[entry + PTE_SLAB] === slab) {
            const value = u8[mark];
            const met = item;
            item += rsize;
            mark += step;
            // Items of secondary zones on the same slabs are not this one's.
            if (value !== MARK_FREE && (value & MARK_BUSY) === 0 && (zoneAt === 0 || u8[mark - step + zoneAt] === zoneIndex)) return met;
          }
        }
        return 0;
      },
    };
  };
}
