/**
 * The default supplier: pages of the heap arena. The address reaches the intent frame in the arena's own transaction.
 * It takes back what stands for a run of an arena's integers as well, so that whoever completes a frame needs no other.
 */
import type { Floor } from "../memory/floor.ts";
import * as layout from "../memory/layout.ts";
import type { Heap } from "../vmem/heap.ts";
import { NO_PAGES, type PageSupplier, SLAB_KMEM, SLAB_RUN } from "./page-supplier.ts";

const { INTENT_EXTENT, INTENT_FLAGS, INTENT_PAGES } = layout;

/** @param giveRun - gives back the run that the page in a frame stands for; false when a lock was out of reach. */
export function createArenaPages(floor: Floor, heap: Heap, giveRun: (frame: number) => boolean): PageSupplier {
  const { i32 } = floor.cells;

  function alloc(_zone: string, pages: number, frame: number): number {
    i32[frame + INTENT_PAGES] = pages;
    i32[frame + INTENT_FLAGS] = SLAB_KMEM;
    return heap.alloc(pages, 0, frame + INTENT_EXTENT);
  }

  function free(_zone: string, frame: number): boolean {
    const address = i32[frame + INTENT_EXTENT];
    if ((i32[frame + INTENT_FLAGS] & SLAB_RUN) !== 0 && !giveRun(frame)) return false;
    return address === NO_PAGES || heap.free(address, frame + INTENT_EXTENT);
  }

  return { userSupplied: false, alloc, free };
}
