/**
 * What stands behind an area: runs of pages of the heap, or a stretch of a buffer from elsewhere.
 *
 * A run is pages in a row, about as many as the heap's longest free stretches have, up to {@link MOST_RUN}, at the worst a single
 * page: so an area needs no stretch of its length, and yet a copy of it goes in as few pieces as the heap allows. A run is taken, and given
 * back, as one: the entry of its first page owns it. Those of the pages that follow own nothing. They are written behind the first
 * one's, by plain stores, and cleared before it; whoever takes an area apart, whole or half built, goes from its end to its
 * beginning. Nobody reads the entries of an area that is not live.
 */
import type { Floor } from "../../backend/memory/floor.ts";
import { MAP_COUNT_SHIFT, MAP_FOLLOWS, MAP_FOREIGN, MAP_NOTE, MAP_TABLE_SPAN, MAP_WHAT, PAGE_BYTES } from "../../backend/memory/layout.ts";
import { HEAP_BUSY, type Heap, NO_PAGES } from "../../backend/vmem/heap.ts";
import { BUSY, EMPTY, OK, type Outcome } from "../outcome.ts";
import type { PageTable } from "./page-table.ts";

/** Of a buffer from elsewhere: its first page there, the first byte in it, and bytes to spare in the last page. */
export interface ForeignStretch {
  readonly page: number;
  readonly first: number;
  readonly spare: number;
}

export interface AreaPages {
  /** Enters `count` pages of the heap from `p` on; cut short, what has been entered stays. */
  fill(p: number, count: number, patience: number): Outcome;
  /** Enters a stretch of `count` pages from elsewhere at `p`; there is one page of addresses more. */
  stand(p: number, count: number, stretch: ForeignStretch, patience: number): Outcome;
  /** Gives back the runs of the heap in the `bytes` bytes at `p`. @returns false when a lock was out of reach; repeatable. */
  clear(p: number, bytes: number, patience: number): boolean;
}

/** Pages. A copy of longer runs is not faster, and long free stretches are for those that need bytes in a row. */
const MOST_RUN = 64;

export function createAreaPages(floor: Floor, heap: Heap, table: PageTable): AreaPages {
  const { i32 } = floor.cells;
  const entryOf = (p: number): number => table.entryOf(p);

  function provide(p: number, count: number, patience: number): Outcome {
    for (let at = p; at < p + count * PAGE_BYTES; at = (Math.floor(at / MAP_TABLE_SPAN) + 1) * MAP_TABLE_SPAN) {
      const provided = table.provide(at, patience);
      if (provided !== OK) return provided;
    }
    return OK;
  }

  function fill(p: number, count: number, patience: number): Outcome {
    const provided = provide(p, count, patience);
    if (provided !== OK) return provided;
    for (let done = 0; done < count; done += heap.runPages()) {
      const at = p + done * PAGE_BYTES;
      const start = heap.allocRun(Math.min(MOST_RUN, count - done), entryOf(at) + MAP_WHAT, patience);
      if (start === HEAP_BUSY) return BUSY;
      if (start === NO_PAGES) return EMPTY;
      for (let n = 1; n < heap.runPages(); n++) {
        const entry = entryOf(at + n * PAGE_BYTES);
        i32[entry + MAP_NOTE] = MAP_FOLLOWS;
        i32[entry + MAP_WHAT] = start + n * PAGE_BYTES;
      }
    }
    return OK;
  }

  function stand(p: number, count: number, { page, first, spare }: ForeignStretch, patience: number): Outcome {
    for (const at of [p, p + count * PAGE_BYTES]) {
      const provided = table.provide(at, patience);
      if (provided !== OK) return provided;
    }
    const entry = entryOf(p);
    i32[entry + MAP_NOTE] = first | (spare << 12);
    i32[entry + MAP_WHAT] = (page << MAP_COUNT_SHIFT) | MAP_FOREIGN;
    return OK;
  }

  function clear(p: number, bytes: number, patience: number): boolean {
    for (let at = p + bytes - PAGE_BYTES; at >= p; at -= PAGE_BYTES) {
      const entry = entryOf(at);
      if (entry === 0) continue;
      const page = i32[entry + MAP_WHAT];
      if (i32[entry + MAP_NOTE] === MAP_FOLLOWS) {
        i32[entry + MAP_WHAT] = 0;
        i32[entry + MAP_NOTE] = 0;
      } else if (page !== 0 && page % PAGE_BYTES === 0 && !heap.free(page, entry + MAP_WHAT, patience)) return false;
    }
    return true;
  }

  return { fill, stand, clear };
}
