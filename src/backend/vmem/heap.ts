/**
 * The heap arena: the memory itself, in quanta of one page. Its integers are byte addresses.
 *
 * It is the root that everything else stands on, so it feeds itself: when its free tags run low it takes a page of its own
 * pages for more, and a new table of its hash comes from its own pages as well. Both happen under its lock, as transactions of
 * their own, before the request is served. It begins with the boot tags and the boot hash table of the superblock.
 *
 * An allocation is stored in the caller's word in the same transaction (an intent frame's, or none), so pages are never in
 * nobody's hands.
 */
import type { Floor } from "../memory/floor.ts";
import * as layout from "../memory/layout.ts";
import { HASH_FIRST } from "./hash.ts";
import { createSegments, type Segments } from "./segments.ts";
import { createSpans } from "./spans.ts";

const {
  ARENA_FAILS,
  ARENA_HASH_ROUND,
  ARENA_HASH_TABLES,
  ARENA_IN_USE,
  ARENA_LOCK,
  ARENA_OWN,
  ARENA_PEAK,
  ARENA_POPULATE_FAILS,
  ARENA_QUANTUM,
  ARENA_STATE,
  ARENA_STATE_LIVE,
  ARENA_TAG_END,
  ARENA_TAG_NEXT,
  ARENA_TOTAL,
  ARENA_WAITERS,
  ARENA_WAIT_SEQ,
  PAGE_BYTES,
  SB_BOOT_HASH,
  SB_BOOT_TAGS,
  SB_HEAP_ARENA,
  TAG_OWNER,
  TAG_PAGE_HEADER_WORDS,
  TAG_SEGMENT_BUSY,
  TAG_SIZE,
  TAG_SPAN,
  TAG_START,
} = layout;

/** Answers of an allocation that is none. Pages have positive addresses. */
export const NO_PAGES = 0;
export const HEAP_BUSY = -1;

/** Tags that must be at hand before an operation: two for a carve, two for a page of tags, two for a hash table, two to spare. */
const TAG_RESERVE = 8;

export interface Heap {
  /** Word index of its arena block. */
  readonly arena: number;
  readonly segments: Segments;
  /** Gives the arena its span; once, by the memory's creator. */
  init(): void;
  /** Under the arena's lock: sees to it that tags are at hand, and the hash not too dense. @returns false when there are no tags. */
  populate(): boolean;
  /**
   * Takes `pages` pages.
   * @param owner - name of the worker whose block it is, 0 = the allocator's own.
   * @param intent - word that receives the byte address in the same transaction; 0 = none.
   * @param patience - how long it may wait for the lock, milliseconds: 0 never blocks. Default this thread's patience.
   * @returns the byte address, NO_PAGES, or HEAP_BUSY.
   */
  alloc(pages: number, owner: number, intent: number, patience?: number): number;
  /**
   * As `alloc`, for nobody's name, but content with less: up to `most` pages in a row, of a free stretch with at least half as many,
   * or a quarter, and so on; at the worst one page.
   * @returns the byte address, of {@link runPages} pages; NO_PAGES; HEAP_BUSY.
   */
  allocRun(most: number, intent: number, patience: number): number;
  /** Pages of the last run. */
  runPages(): number;
  /**
   * Gives back what `alloc` gave.
   * @param intent - word that is cleared in the same transaction; 0 = none.
   * @param patience - as of `alloc`.
   * @returns false when the lock could not be had: nothing has changed.
   */
  free(address: number, intent: number, patience?: number): boolean;
  /** Under the arena's lock, as part of a free: whoever waits for pages is to be woken, by {@link wake} when the lock is let go. */
  callWaiters(): void;
  wake(): void;
  /** Pages of the allocation that begins at `address`, 0 = none does. Takes the lock; −1 = busy. */
  sizeOf(address: number): number;
  /** Makes an allocation another worker's (or the allocator's own, 0). */
  setOwner(address: number, from: number, to: number): boolean;
  /** Pages free, in use, in all, the most ever in use; without a lock. */
  counts(): { free: number; inUse: number; total: number; peak: number };
}

export function createHeap(floor: Floor): Heap {
  const { i32, f64 } = floor.cells;
  const { locks, journal, geometry, patienceMs } = floor;
  const { set, add, commit } = journal;
  const segments = createSegments(floor);
  const { hash } = segments;
  const spans = createSpans(floor, segments);
  const sb = floor.cells.base;
  const a = sb + SB_HEAP_ARENA;
  const LOCK = a + ARENA_LOCK;

  function init(): void {
    i32[a + ARENA_TAG_NEXT] = sb + SB_BOOT_TAGS;
    i32[a + ARENA_TAG_END] = sb + SB_BOOT_HASH;
    i32[a + ARENA_HASH_TABLES] = sb + SB_BOOT_HASH;
    i32[a + ARENA_HASH_ROUND] = HASH_FIRST;
    i32[a + ARENA_STATE] = ARENA_STATE_LIVE;
    f64[(a + ARENA_QUANTUM) >> 1] = PAGE_BYTES;
    spans.insert(a, 0, geometry.heapStart, geometry.heapEnd - geometry.heapStart, TAG_SPAN);
    commit();
  }

  let run = 0;

  function alloc(pages: number, owner: number, intent: number, patience: number = patienceMs): number {
    return take(pages, pages, owner, intent, patience);
  }

  function allocRun(most: number, intent: number, patience: number): number {
    return take(1, most, 0, intent, patience);
  }

  /** Takes `least` pages, or as many as a stretch has, `most` at the most. */
  function take(least: number, most: number, owner: number, intent: number, patience: number): number {
    if (!locks.acquire(LOCK, patience)) return HEAP_BUSY;
    try {
      if (!populate()) {
        f64[(a + ARENA_FAILS) >> 1]++;
        return NO_PAGES;
      }
      // Powers of two are found without a search.
      let sought = least === most ? least : 1 << (31 - Math.clz32(most));
      let tag = segments.findInstant(a, sought * PAGE_BYTES);
      for (; tag === 0 && sought > least; tag = segments.findInstant(a, sought * PAGE_BYTES)) sought >>>= 1;
      if (tag === 0) {
        f64[(a + ARENA_FAILS) >> 1]++;
        return NO_PAGES;
      }
      const address = f64[(tag + TAG_START) >> 1];
      run = Math.min(most, f64[(tag + TAG_SIZE) >> 1] / PAGE_BYTES);
      segments.carve(a, tag, address, run * PAGE_BYTES, TAG_SEGMENT_BUSY, owner);
      if (intent !== 0) set(intent, address);
      commit();
      return address;
    } finally {
      locks.release();
    }
  }

  function populate(): boolean {
    if (!segments.hasTags(a, TAG_RESERVE)) moreTags();
    if (hash.isDense(a)) growHash();
    return segments.hasTags(a, 2);
  }

  function moreTags(): void {
    // What is left of the old page goes to the list first, so that no tag is lost.
    segments.retireRest(a, commit);
    const page = takeOwn(1);
    if (page === 0) {
      f64[(a + ARENA_POPULATE_FAILS) >> 1]++;
      return;
    }
    set(a + ARENA_TAG_NEXT, (page >>> 2) + TAG_PAGE_HEADER_WORDS);
    set(a + ARENA_TAG_END, (page + PAGE_BYTES) >>> 2);
    commit();
  }

  /** Pages for the arena's own records, as part of the open transaction. */
  function takeOwn(pages: number): number {
    const tag = !segments.hasTags(a, 2) ? 0 : segments.findInstant(a, pages * PAGE_BYTES);
    if (tag === 0) return 0;
    const start = f64[(tag + TAG_START) >> 1];
    segments.carve(a, tag, start, pages * PAGE_BYTES, TAG_SEGMENT_BUSY, 0);
    add(a + ARENA_OWN, pages);
    return start;
  }

  function growHash(): void {
    const table = hash.missingTable(a);
    if (table >= 0) {
      const pages = hash.pagesOfTable(table);
      const at = takeOwn(pages);
      if (at === 0) return;
      i32.fill(0, at >>> 2, (at + pages * PAGE_BYTES) >>> 2);
      hash.linkTable(a, table, at >>> 2);
      commit();
    }
    hash.splitBucket(a);
    commit();
  }

  function free(address: number, intent: number, patience: number = patienceMs): boolean {
    if (!locks.acquire(LOCK, patience)) return false;
    try {
      const tag = segments.lookup(a, address);
      if (tag !== 0) segments.release(a, tag);
      if (intent !== 0) set(intent, 0);
      callWaiters();
      commit();
    } finally {
      locks.release();
    }
    wake();
    return true;
  }

  let called = false;

  function callWaiters(): void {
    if (i32[a + ARENA_WAITERS] === 0) return;
    set(a + ARENA_WAITERS, 0);
    add(a + ARENA_WAIT_SEQ, 1);
    called = true;
  }

  function wake(): void {
    if (!called) return;
    called = false;
    Atomics.notify(i32, a + ARENA_WAIT_SEQ);
  }

  function sizeOf(address: number): number {
    if (!locks.acquire(LOCK, patienceMs)) return HEAP_BUSY;
    try {
      const tag = segments.lookup(a, address);
      return tag === 0 ? 0 : f64[(tag + TAG_SIZE) >> 1] / PAGE_BYTES;
    } finally {
      locks.release();
    }
  }

  function setOwner(address: number, from: number, to: number): boolean {
    if (!locks.acquire(LOCK, patienceMs)) return false;
    try {
      const tag = segments.lookup(a, address);
      if (tag === 0 || i32[tag + TAG_OWNER] !== from) return false;
      set(tag + TAG_OWNER, to);
      commit();
      return true;
    } finally {
      locks.release();
    }
  }

  function counts(): { free: number; inUse: number; total: number; peak: number } {
    const total = f64[(a + ARENA_TOTAL) >> 1] / PAGE_BYTES;
    const inUse = f64[(a + ARENA_IN_USE) >> 1] / PAGE_BYTES;
    return { free: total - inUse, inUse, total, peak: f64[(a + ARENA_PEAK) >> 1] / PAGE_BYTES };
  }

  return {
    arena: a,
    segments,
    init,
    populate,
    alloc,
    allocRun,
    runPages: () => run,
    free,
    callWaiters,
    wake,
    sizeOf,
    setOwner,
    counts,
  };
}
