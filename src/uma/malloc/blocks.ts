/**
 * Blocks: allocations too large for a class, as whole pages straight from the heap arena.
 *
 * The arena's boundary tag is the authority on a block: its owner word names the worker it belongs to (recovery reports and
 * releases the blocks of a dead one), and 0 there means the allocator's own pages, which nobody frees from here. The number of
 * pages stands in the page table's spare word of the first page as well, so that an address is told for a block, and its size
 * known, without the lock. Tag, spare word and counters change in one transaction under the arena's lock: whenever a worker dies,
 * the spare word is either true or 0. A free looks at the tag again, under the lock: of two frees of one block, one is refused.
 *
 * A free whose lock is out of reach is kept in a list of this thread and finished later; until then the block is this worker's,
 * and recovery would find it.
 */
import { UmaCorruptionError, UmaError } from "../../backend/memory/errors.ts";
import type { Floor } from "../../backend/memory/floor.ts";
import {
  ARENA_FAILS,
  ARENA_IN_USE,
  ARENA_LOCK,
  ARENA_PEAK,
  PAGE_BYTES,
  PAGE_SHIFT,
  PTE_SPARE,
  PTE_TAG,
  SB_BLOCKS,
  SB_BLOCK_ALLOCS,
  SB_BLOCK_PAGES,
  TAG_KIND,
  TAG_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_FREE,
  TAG_SIZE,
  TAG_START,
} from "../../backend/memory/layout.ts";
import type { Heap } from "../../backend/vmem/heap.ts";

/** Answers that are no address. */
export const NO_BLOCK = 0;
export const BLOCK_BUSY = -1;

/** How a resize in place ends. */
export type Resized = "done" | "no room" | "busy";

export interface Blocks {
  /** Takes a block of `pages` pages in this worker's name. @returns its byte address, NO_BLOCK or BLOCK_BUSY. */
  alloc(pages: number): number;
  /** Pages of the block at `p`; 0 when no block begins there. Takes no lock. */
  pagesAt(p: number): number;
  /** Frees the block at `p`. @throws UmaError ERR_UMA_ADDRESS; ERR_UMA_DOUBLE_FREE while its first free waits for a lock. */
  free(p: number): void;
  /** Gives the block at `p` another length without moving it. */
  resize(p: number, pages: number): Resized;
  /** What is wrong with an address at which no block begins. */
  refusal(p: number): UmaError;
  /** Finishes what frees had to leave. */
  finish(): void;
  /** Blocks, their bytes, and allocations of blocks since the memory was made (wraps at 2³²). */
  counts(): { blocks: number; bytes: number; requests: number };
}

export function createBlocks(floor: Floor, heap: Heap): Blocks {
  const { i32 } = floor.cells;
  const { locks, patienceMs, me } = floor;
  const { set, add, commit } = floor.journal;
  const { pageTable, heapStart, heapEnd } = floor.geometry;
  const { segments, arena: a } = heap;
  const sb = floor.cells.base;
  const LOCK = a + ARENA_LOCK;
  /** Blocks whose free waits for the lock. */
  const unfinished: number[] = [];

  function spareOf(page: number): number {
    return (page << 2) + pageTable + PTE_SPARE;
  }

  function alloc(pages: number): number {
    finish();
    if (!locks.acquire(LOCK, patienceMs)) return BLOCK_BUSY;
    try {
      const tag = heap.populate() ? segments.findInstant(a, pages) : 0;
      if (tag === 0) {
        i32[a + ARENA_FAILS]++;
        return NO_BLOCK;
      }
      const start = i32[tag + TAG_START];
      segments.carve(a, tag, start, pages, TAG_SEGMENT_BUSY, me);
      set(spareOf(start), pages);
      add(sb + SB_BLOCKS, 1);
      add(sb + SB_BLOCK_PAGES, pages);
      add(sb + SB_BLOCK_ALLOCS, 1);
      commit();
      return start << PAGE_SHIFT;
    } finally {
      locks.release();
    }
  }

  function pagesAt(p: number): number {
    if (!Number.isInteger(p) || p < heapStart || p >= heapEnd || p % PAGE_BYTES !== 0) return 0;
    const page = p >>> PAGE_SHIFT;
    return i32[(page << 2) + pageTable + PTE_TAG] === 0 ? i32[spareOf(page)] : 0;
  }

  /** The tag of the block at `p`, under the lock; 0 = there is none. */
  function tagOf(p: number): number {
    const tag = segments.lookup(a, p >>> PAGE_SHIFT);
    return tag !== 0 && i32[tag + TAG_OWNER] !== 0 && i32[spareOf(p >>> PAGE_SHIFT)] === i32[tag + TAG_SIZE] ? tag : 0;
  }

  function free(p: number): void {
    finish();
    if (unfinished.includes(p)) {
      throw new UmaCorruptionError("ERR_UMA_DOUBLE_FREE", `the block at ${p} is being freed already`, { value: p });
    }
    if (pagesAt(p) === 0) throw refusal(p);
    if (!locks.acquire(LOCK, patienceMs)) {
      unfinished.push(p);
      return;
    }
    let freed = false;
    try {
      freed = release(p);
    } finally {
      locks.release();
    }
    if (!freed) throw refusal(p);
  }

  /** Frees the block at `p`, under the lock. @returns false when there is none. */
  function release(p: number): boolean {
    const tag = tagOf(p);
    if (tag === 0) return false;
    const pages = i32[tag + TAG_SIZE];
    segments.release(a, tag);
    set(spareOf(p >>> PAGE_SHIFT), 0);
    add(sb + SB_BLOCKS, -1);
    add(sb + SB_BLOCK_PAGES, -pages);
    commit();
    return true;
  }

  function finish(): void {
    for (let n = unfinished.length; n > 0; n--) {
      if (!locks.acquire(LOCK, patienceMs)) return;
      try {
        release(unfinished[0] as number);
        unfinished.shift();
      } finally {
        locks.release();
      }
    }
  }

  function refusal(p: number): UmaError {
    return new UmaError("ERR_UMA_ADDRESS", `no allocation begins at ${String(p)}${whereIn(p)}`, { value: p });
  }

  /** For the message only: the block that `p` lies in, found by the spare words below it. */
  function whereIn(p: number): string {
    if (!Number.isInteger(p) || p < heapStart || p >= heapEnd) return `: allocations lie in [${heapStart}, ${heapEnd})`;
    for (let page = p >>> PAGE_SHIFT; page >= heapStart >>> PAGE_SHIFT; page--) {
      if (i32[(page << 2) + pageTable + PTE_TAG] !== 0) break;
      const pages = i32[spareOf(page)];
      const start = page * PAGE_BYTES;
      if (pages === 0) continue;
      return p < start + pages * PAGE_BYTES ? `: it lies ${p - start} bytes inside the block at ${start}` : "";
    }
    return "; it may have been freed before";
  }

  function resize(p: number, pages: number): Resized {
    if (!locks.acquire(LOCK, patienceMs)) return "busy";
    try {
      const tag = heap.populate() ? tagOf(p) : 0;
      if (tag === 0) return "no room";
      const before = i32[tag + TAG_SIZE];
      if (pages > before ? !extend(tag, pages - before) : !cut(tag, before - pages)) return "no room";
      set(tag + TAG_SIZE, pages);
      set(spareOf(p >>> PAGE_SHIFT), pages);
      add(sb + SB_BLOCK_PAGES, pages - before);
      const inUse = i32[a + ARENA_IN_USE] + pages - before;
      set(a + ARENA_IN_USE, inUse);
      commit();
      if (inUse > i32[a + ARENA_PEAK]) i32[a + ARENA_PEAK] = inUse;
      return "done";
    } finally {
      locks.release();
    }
  }

  /** Takes `extra` pages off the front of the free segment behind `tag`. @returns false when there are none. */
  function extend(tag: number, extra: number): boolean {
    const next = i32[tag + TAG_NEXT];
    if (next === 0 || i32[next + TAG_KIND] !== TAG_SEGMENT_FREE || i32[next + TAG_SIZE] < extra) return false;
    segments.removeFree(a, next);
    if (i32[next + TAG_SIZE] === extra) {
      segments.unlink(a, next);
      segments.giveTag(a, next);
      return true;
    }
    moveStart(next, extra);
    return true;
  }

  /** Gives the last `surplus` pages of `tag` to the free segment behind it, or makes one of them. */
  function cut(tag: number, surplus: number): boolean {
    if (surplus === 0) return true;
    const next = i32[tag + TAG_NEXT];
    if (next !== 0 && i32[next + TAG_KIND] === TAG_SEGMENT_FREE) {
      segments.removeFree(a, next);
      moveStart(next, -surplus);
      return true;
    }
    const rest = segments.takeTag(a);
    i32[rest + TAG_START] = i32[tag + TAG_START] + i32[tag + TAG_SIZE] - surplus;
    i32[rest + TAG_SIZE] = surplus;
    set(rest + TAG_KIND, TAG_SEGMENT_FREE);
    segments.linkAfter(a, rest, tag);
    segments.insertFree(a, rest);
    return true;
  }

  function moveStart(free: number, by: number): void {
    set(free + TAG_START, i32[free + TAG_START] + by);
    set(free + TAG_SIZE, i32[free + TAG_SIZE] - by);
    segments.insertFree(a, free);
  }

  function counts(): { blocks: number; bytes: number; requests: number } {
    return {
      blocks: i32[sb + SB_BLOCKS],
      bytes: i32[sb + SB_BLOCK_PAGES] * PAGE_BYTES,
      requests: i32[sb + SB_BLOCK_ALLOCS] >>> 0,
    };
  }

  return { alloc, pagesAt, free, resize, refusal, finish, counts };
}
