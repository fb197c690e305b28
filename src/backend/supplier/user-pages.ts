/**
 * A user's own pair of allocf and freef.
 *
 * What they return is checked before anything is written there: page-aligned, wholly inside the memory's heap, and no zone's, so
 * that the page table and the address checks hold. A user's freef is called at most once for each extent, also when a worker dies on the
 * way: the frame is marked before the call, and a marked frame is dropped by recovery. What dies inside the user's supplier is
 * the user's to find.
 */
import { UmaError } from "../memory/errors.ts";
import type { Floor } from "../memory/floor.ts";
import { INTENT_EXTENT, INTENT_FLAGS, INTENT_PAGES, PAGE_BYTES, PAGE_SHIFT, PTE_TAG } from "../memory/layout.ts";
import {
  type AllocPages,
  type FreePages,
  NO_PAGES,
  type PageRequest,
  type PageSupplier,
  SLAB_PRIV,
  SLAB_USER_MASK,
} from "./page-supplier.ts";

/** In INTENT_FLAGS: freef has been called (or is being called) for this extent. */
export const FREEF_CALLED = -0x80000000;

export function createUserPages(floor: Floor, allocPages: AllocPages, freePages: FreePages): PageSupplier {
  const { i32 } = floor.cells;
  const { heapStart, heapEnd, pageTable } = floor.geometry;

  function alloc(zone: string, pages: number, frame: number, mayWait: boolean): number {
    const bytes = pages * PAGE_BYTES;
    const request: PageRequest = { zone, bytes, mayWait, flags: 0 };
    let address: number;
    try {
      address = allocPages(request);
    } catch (cause) {
      throw new UmaError("ERR_UMA_SUPPLIER", `allocPages of zone "${zone}" threw, asked for ${bytes} bytes: ${String(cause)}`, {
        zone,
        value: bytes,
        cause,
      });
    }
    if (address === NO_PAGES) return NO_PAGES;
    if (!Number.isInteger(address) || address % PAGE_BYTES !== 0 || address < heapStart || address + bytes > heapEnd) {
      throw new UmaError(
        "ERR_UMA_SUPPLIER",
        `allocPages of zone "${zone}" returned ${String(address)} for ${bytes} bytes; ` +
          `it must be a multiple of ${PAGE_BYTES} in [${heapStart}, ${heapEnd - bytes}]`,
        { zone, value: address },
      );
    }
    for (let n = 0; n < pages; n++) {
      if (i32[pageTable + (((address >>> PAGE_SHIFT) + n) << 2) + PTE_TAG] === 0) continue;
      throw new UmaError("ERR_UMA_SUPPLIER", `allocPages of zone "${zone}" returned ${address}: a zone has its items there`, {
        zone,
        value: address,
      });
    }
    i32[frame + INTENT_PAGES] = pages;
    i32[frame + INTENT_FLAGS] = (request.flags & SLAB_USER_MASK) | SLAB_PRIV;
    i32[frame + INTENT_EXTENT] = address;
    return address;
  }

  function free(zone: string, frame: number): boolean {
    const address = i32[frame + INTENT_EXTENT];
    const flags = i32[frame + INTENT_FLAGS];
    const bytes = i32[frame + INTENT_PAGES] * PAGE_BYTES;
    if (address !== NO_PAGES && (flags & FREEF_CALLED) === 0) {
      i32[frame + INTENT_FLAGS] = flags | FREEF_CALLED;
      try {
        freePages(address, bytes, flags & SLAB_USER_MASK, zone);
      } catch (cause) {
        throw new UmaError("ERR_UMA_SUPPLIER", `freePages of zone "${zone}" threw at ${address}: ${String(cause)}`, {
          zone,
          value: address,
          cause,
        });
      } finally {
        i32[frame + INTENT_EXTENT] = 0;
      }
    }
    i32[frame + INTENT_EXTENT] = 0;
    return true;
  }

  return { userSupplied: true, alloc, free };
}
