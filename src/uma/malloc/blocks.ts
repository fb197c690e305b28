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
import * as layout from "../../backend/memory/layout.ts";
import { createFits } from "../../backend/vmem/fits.ts";
import type { Heap } from "../../backend/vmem/heap.ts";
import { type Constraints, emptyRequest, fillConstrained, fillPlain } from "../../backend/vmem/request.ts";

const {
  ARENA_FAILS,
  ARENA_IN_USE,
  ARENA_LOCK,
  ARENA_PEAK,
  ARENA_WAITERS,
  ARENA_WAIT_SEQ,
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
} = layout;

/** Answers that are no address. */
export const NO_BLOCK = 0;
export const BLOCK_BUSY = -1;

/** Between two looks of a waiter that nobody wakes, milliseconds; and of one that could not look, as the lock was out of reach. */
const NAP_MS = 100;
const BUSY_NAP_MS = 20;

/** How a resize in place ends. */
export type Resized = "done" | "no room" | "busy";

export interface Blocks {
  /** Takes a block of `pages` pages in this worker's name. @returns its byte address, NO_BLOCK or BLOCK_BUSY. */
  alloc(pages: number): number;
  /** As `alloc`, where the constraints allow it. @throws UmaError ERR_VMEM_CONSTRAINT when they contradict each other. */
  allocPlaced(pages: number, constraints: Constraints): number;
  /**
   * As `alloc`; what is not there is waited for until `until` (of performance.now()), in naps that a free ends.
   * @returns the address; NO_BLOCK or BLOCK_BUSY when the time is over.
   */
  allocWait(pages: number, until: number): number;
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
  const { i32, f64 } = floor.cells;
  const { locks, patienceMs, me } = floor;
  const { set, setNumber, add, commit } = floor.journal;
  const { pageTable, heapStart, heapEnd } = floor.geometry;
  const { segments, arena: a } = heap;
  const sb = floor.cells.base;
  const LOCK = a + ARENA_LOCK;
  const fits = createFits(floor, segments);
  const request = emptyRequest();
  /** What WAIT_SEQ was when there was nothing. */
  let seenSeq = 0;
  /** Blocks whose free waits for the lock. */
  const unfinished: number[] = [];

  /** Entry of the page table for the page of byte address `p`; and its spare word. */
  function entryOf(p: number): number {
    return ((p >>> PAGE_SHIFT) << 2) + pageTable;
  }

  function spareOf(p: number): number {
    return entryOf(p) + PTE_SPARE;
  }

  function alloc(pages: number): number {
    fillPlain(request, pages * PAGE_BYTES, PAGE_BYTES, undefined, "heap");
    return take(pages, false);
  }

  function allocPlaced(pages: number, constraints: Constraints): number {
    fillConstrained(request, pages * PAGE_BYTES, PAGE_BYTES, constraints, "heap");
    return take(pages, false);
  }

  function allocWait(pages: number, until: number): number {
    for (;;) {
      fillPlain(request, pages * PAGE_BYTES, PAGE_BYTES, undefined, "heap");
      const p = take(pages, true);
      const left = until - performance.now();
      if (p > 0 || left <= 0) return p;
      // A lock whose holder was waited for in vain before is refused at once: so this naps even then, or it would spin until that
      // holder's death is certified.
      if (p === NO_BLOCK) Atomics.wait(i32, a + ARENA_WAIT_SEQ, seenSeq, Math.min(left, NAP_MS));
      else Atomics.wait(i32, a + ARENA_WAIT_SEQ, i32[a + ARENA_WAIT_SEQ], Math.min(left, BUSY_NAP_MS));
    }
  }

  /** Meets the request. @param register - a failure asks for a wake-up by the next free. */
  function take(pages: number, register: boolean): number {
    finish();
    if (!locks.acquire(LOCK, patienceMs)) return BLOCK_BUSY;
    try {
      const bytes = pages * PAGE_BYTES;
      const tag = heap.populate() ? fits.find(a, request) : 0;
      if (tag === 0) {
        f64[(a + ARENA_FAILS) >> 1]++;
        if (register) {
          i32[a + ARENA_WAITERS] = 1;
          seenSeq = i32[a + ARENA_WAIT_SEQ];
        }
        return NO_BLOCK;
      }
      const address = request.start;
      segments.carve(a, tag, address, bytes, TAG_SEGMENT_BUSY, me);
      set(spareOf(address), pages);
      add(sb + SB_BLOCKS, 1);
      add(sb + SB_BLOCK_PAGES, pages);
      add(sb + SB_BLOCK_ALLOCS, 1);
      commit();
      return address;
    } finally {
      locks.release();
    }
  }

  function pagesAt(p: number): number {
    if (!Number.isInteger(p) || p < heapStart || p >= heapEnd || p % PAGE_BYTES !== 0) return 0;
    return i32[entryOf(p) + PTE_TAG] === 0 ? i32[spareOf(p)] : 0;
  }

  /** The tag of the block at `p`, under the lock; 0 = there is none. */
  function tagOf(p: number): number {
    const tag = segments.lookup(a, p);
    if (tag === 0 || i32[tag + TAG_OWNER] === 0) return 0;
    return i32[spareOf(p)] * PAGE_BYTES === f64[(tag + TAG_SIZE) >> 1] ? tag : 0;
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
    heap.wake();
    if (!freed) throw refusal(p);
  }

  /** Frees the block at `p`, under the lock. @returns false when there is none. */
  function release(p: number): boolean {
    const tag = tagOf(p);
    if (tag === 0) return false;
    const pages = i32[spareOf(p)];
    segments.release(a, tag);
    set(spareOf(p), 0);
    add(sb + SB_BLOCKS, -1);
    add(sb + SB_BLOCK_PAGES, -pages);
    heap.callWaiters();
    commit();
    return true;
  }

  function finish(): void {
    locks.mend();
    for (let n = unfinished.length; n > 0; n--) {
      if (!locks.acquire(LOCK, patienceMs)) return;
      try {
        release(unfinished[0] as number);
        unfinished.shift();
      } finally {
        locks.release();
      }
      heap.wake();
    }
  }

  function refusal(p: number): UmaError {
    return new UmaError("ERR_UMA_ADDRESS", `no allocation begins at ${String(p)}${whereIn(p)}`, { value: p });
  }

  /** For the message only: the block that `p` lies in, found by the spare words below it. */
  function whereIn(p: number): string {
    if (!Number.isInteger(p) || p < heapStart || p >= heapEnd) return `: allocations lie in [${heapStart}, ${heapEnd})`;
    for (let start = p - (p % PAGE_BYTES); start >= heapStart && i32[entryOf(start) + PTE_TAG] === 0; start -= PAGE_BYTES) {
      const end = start + i32[spareOf(start)] * PAGE_BYTES;
      if (end > p) return `: it lies ${p - start} bytes inside the block at ${start}`;
    }
    return "; it may have been freed before";
  }

  function resize(p: number, pages: number): Resized {
    locks.mend();
    if (!locks.acquire(LOCK, patienceMs)) return "busy";
    try {
      const tag = heap.populate() ? tagOf(p) : 0;
      if (tag === 0) return "no room";
      const more = pages - i32[spareOf(p)];
      if (more > 0 && !extend(tag, more * PAGE_BYTES)) return "no room";
      if (more < 0) cut(tag, -more * PAGE_BYTES);
      setNumber(tag + TAG_SIZE, pages * PAGE_BYTES);
      set(spareOf(p), pages);
      add(sb + SB_BLOCK_PAGES, more);
      const inUse = f64[(a + ARENA_IN_USE) >> 1] + more * PAGE_BYTES;
      setNumber(a + ARENA_IN_USE, inUse);
      if (more < 0) heap.callWaiters();
      commit();
      if (inUse > f64[(a + ARENA_PEAK) >> 1]) f64[(a + ARENA_PEAK) >> 1] = inUse;
    } finally {
      locks.release();
    }
    heap.wake();
    return "done";
  }

  /** Takes `extra` bytes off the front of the free segment behind `tag`. @returns false when there are none. */
  function extend(tag: number, extra: number): boolean {
    const next = i32[tag + TAG_NEXT];
    if (next === 0 || i32[next + TAG_KIND] !== TAG_SEGMENT_FREE || f64[(next + TAG_SIZE) >> 1] < extra) return false;
    segments.removeFree(a, next);
    if (f64[(next + TAG_SIZE) >> 1] > extra) {
      moveStart(next, extra);
    } else {
      segments.unlink(a, next);
      segments.giveTag(a, next);
    }
    return true;
  }

  /** Gives the last `surplus` bytes of `tag` to the free segment behind it, or makes one of them. */
  function cut(tag: number, surplus: number): void {
    const next = i32[tag + TAG_NEXT];
    if (next !== 0 && i32[next + TAG_KIND] === TAG_SEGMENT_FREE) {
      segments.removeFree(a, next);
      moveStart(next, -surplus);
      return;
    }
    const rest = segments.takeTag(a);
    f64[(rest + TAG_START) >> 1] = f64[(tag + TAG_START) >> 1] + f64[(tag + TAG_SIZE) >> 1] - surplus;
    f64[(rest + TAG_SIZE) >> 1] = surplus;
    i32[rest + TAG_KIND] = TAG_SEGMENT_FREE;
    segments.linkAfter(a, rest, tag);
    segments.insertFree(a, rest);
  }

  function moveStart(free: number, by: number): void {
    setNumber(free + TAG_START, f64[(free + TAG_START) >> 1] + by);
    setNumber(free + TAG_SIZE, f64[(free + TAG_SIZE) >> 1] - by);
    segments.insertFree(a, free);
  }

  function counts(): { blocks: number; bytes: number; requests: number } {
    return {
      blocks: i32[sb + SB_BLOCKS],
      bytes: i32[sb + SB_BLOCK_PAGES] * PAGE_BYTES,
      requests: i32[sb + SB_BLOCK_ALLOCS] >>> 0,
    };
  }

  return { alloc, allocPlaced, allocWait, pagesAt, free, resize, refusal, finish, counts };
}
