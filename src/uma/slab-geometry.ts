/**
 * How items are laid out in a slab: FreeBSD's efficiency rule with off-page headers, and the grid of the marks.
 *
 * A slab is `ppera` pages with `ipers` items of `rsize` bytes from its first byte on. Pages are added one at a time (or one item
 * at a time, for items larger than a page) while that raises the share of the memory that is items; 90 % is enough, and 512
 * items are the most.
 *
 * **The grid.** Every item starts at a multiple of the unit, and the mark of an item is the byte of its first unit, so a mark is
 * found by one shift and every address that is no item's start meets the mark "free". The unit is the largest power of two that
 * `size` can be rounded up to without wasting more than a 64th of it: 64 bytes for an item of 64 (one byte a mark, 1.6 %), 16 at
 * the least. A slab of one item has one mark.
 */
import { HEADER_CLASS_STEP_BYTES, PAGE_BYTES, SLAB_BITS } from "../backend/memory/layout.ts";

/** Smallest item, bytes, and so the smallest alignment (UMA_SMALLEST_UNIT of 2002: a page / 256). */
export const SMALLEST_UNIT_BYTES: number = PAGE_BYTES / 256;
/** Items of a slab at most (FreeBSD's SLAB_MAX_SETSIZE order of magnitude). */
export const SLAB_MAX_ITEMS = 512;
/** Share of a slab that must be items, percent, for the search to stop. */
const ENOUGH_PERCENT = 90;
/** A header larger than this would not fit its pool's page. */
const HEADER_MAX_BYTES = PAGE_BYTES;

export interface SlabGeometry {
  /** Item size as laid out, bytes. */
  readonly rsize: number;
  /** log2 of the grid's unit (slabs of one item: 30, so that every address shifts to the slab's only mark). */
  readonly shift: number;
  /** Unit − 1: an item's address has none of these bits. */
  readonly unitMask: number;
  readonly ipers: number;
  readonly ppera: number;
  readonly headerBytes: number;
  readonly bitsWords: number;
}

/**
 * @param size - item size, bytes.
 * @param align - alignment, bytes; a power of two up to a page.
 */
export function layOutSlab(size: number, align: number): SlabGeometry {
  const { rsize, unit } = grid(size, align);
  let best: SlabGeometry | undefined;
  let bestShare = 0;
  let bytes = roundUp(rsize, PAGE_BYTES);
  for (;;) {
    const candidate = layOut(rsize, unit, bytes);
    if (candidate.headerBytes > HEADER_MAX_BYTES && best !== undefined) break;
    const share = (candidate.ipers * rsize) / (bytes + classBytes(candidate.headerBytes));
    if (share > bestShare) {
      best = candidate;
      bestShare = share;
    }
    if (bestShare * 100 >= ENOUGH_PERCENT || candidate.ipers >= SLAB_MAX_ITEMS || bytes >= 16 * Math.max(rsize, PAGE_BYTES)) break;
    bytes = rsize <= PAGE_BYTES ? bytes + PAGE_BYTES : roundUp(bytes + rsize, PAGE_BYTES);
  }
  return best as SlabGeometry;
}

function grid(size: number, align: number): { rsize: number; unit: number } {
  let unit = Math.max(align, SMALLEST_UNIT_BYTES);
  let rsize = roundUp(Math.max(size, SMALLEST_UNIT_BYTES), unit);
  for (let wider = unit * 2; wider <= PAGE_BYTES; wider *= 2) {
    const wide = roundUp(Math.max(size, SMALLEST_UNIT_BYTES), wider);
    if (wide - size > Math.max(size >>> 6, rsize - size)) break;
    unit = wider;
    rsize = wide;
  }
  return { rsize, unit };
}

function layOut(rsize: number, unit: number, bytes: number): SlabGeometry {
  const ipers = Math.min(Math.floor(bytes / rsize), SLAB_MAX_ITEMS);
  const bitsWords = Math.ceil(ipers / 32);
  const marks = ipers === 1 ? 1 : bytes / unit;
  return {
    rsize,
    shift: ipers === 1 ? 30 : Math.log2(unit),
    unitMask: (ipers === 1 ? PAGE_BYTES : unit) - 1,
    ipers,
    ppera: bytes / PAGE_BYTES,
    headerBytes: (SLAB_BITS + bitsWords) * 4 + marks,
    bitsWords,
  };
}

function classBytes(headerBytes: number): number {
  return roundUp(headerBytes, HEADER_CLASS_STEP_BYTES);
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
