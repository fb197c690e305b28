/**
 * The boot pages: a few pages between page table and heap, set aside when the memory is made, that need no arena.
 *
 * They serve what must be there before the first zone can ask the heap for anything: the first records of zones and kegs, and the
 * first cache lines. They are handed out from the first on and never come back, as what is cut from them is only ever that again
 * (where FreeBSD marks the slabs of its boot memory UMA_SLAB_BOOT, so that they are not freed). No zone's items lie in them, and so
 * this is no {@link PageSupplier}: an item's address is one of the heap's, which every free tests first.
 */
import type { Floor } from "../memory/floor.ts";
import { PAGE_BYTES, SB_BOOT_END, SB_BOOT_NEXT } from "../memory/layout.ts";

export interface BootPages {
  /** Whether there is one left. A hint without the control lock. */
  left(): boolean;
  /** Takes a page for good, as part of the open transaction under the control lock. @returns its byte address, 0 = none is left. */
  take(): number;
}

export function createBootPages(floor: Floor): BootPages {
  const { i32, base } = floor.cells;
  const { set } = floor.journal;

  function left(): boolean {
    return i32[base + SB_BOOT_NEXT] < i32[base + SB_BOOT_END];
  }

  function take(): number {
    if (!left()) return 0;
    const page = i32[base + SB_BOOT_NEXT];
    set(base + SB_BOOT_NEXT, page + PAGE_BYTES);
    return page;
  }

  return { left, take };
}
