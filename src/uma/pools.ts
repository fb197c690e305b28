/**
 * The pools: empty buckets and slab headers, which every zone draws from.
 *
 * Both are carved from whole pages of the heap and stay of their type for ever: a bucket's memory is only ever a bucket, a
 * header's only ever a header of its size class. One lock guards both; each take or give is one transaction, in which the thing
 * passes from the pool to a word that names its owner (a cache line's EXTRA, an intent frame's HEADER) or back.
 */
import type { Floor } from "../backend/memory/floor.ts";
import * as layout from "../backend/memory/layout.ts";
import { HEAP_BUSY, type Heap, NO_PAGES } from "../backend/vmem/heap.ts";
import * as outcomes from "./outcome.ts";
import type { Outcome } from "./outcome.ts";

const {
  BUCKET_COUNT,
  BUCKET_EMPTY,
  BUCKET_NEXT,
  BUCKET_OWNER,
  BUCKET_WORDS,
  BUCKET_ZONE,
  HC_END,
  HC_FREE,
  HC_NEXT,
  HC_TOTAL,
  HEADER_CLASS_STEP_BYTES,
  HEADER_CLASS_WORDS,
  INTENT_EXTENT,
  INTENT_FRAMES,
  INTENT_PAGE,
  PAGE_BYTES,
  SB_BUCKET_END,
  SB_BUCKET_FREE,
  SB_BUCKET_NEXT,
  SB_BUCKET_TOTAL,
  SB_HEADER_CLASSES,
  SB_POOL_LOCK,
  SB_POOL_PAGES,
  SLAB_NEXT,
} = layout;
const { BUSY, EMPTY, OK } = outcomes;

export interface Pools {
  /** Takes an empty bucket for `zone` into the cache word `into` (as a position: window + BUCKET_EMPTY). */
  takeBucket(zone: number, into: number): Outcome;
  /** Gives the empty bucket named by the cache word `from` back, and stores `rest` there. */
  giveBucket(from: number, rest: number): Outcome;
  /** Takes a slab header of `bytes` bytes into the word `into`. */
  takeHeader(bytes: number, into: number): Outcome;
  /** Gives the header named by the word `from` back and clears it. */
  giveHeader(bytes: number, from: number): Outcome;
}

export function createPools(floor: Floor, heap: Heap): Pools {
  const { i32 } = floor.cells;
  const { locks, intents, patienceMs, me } = floor;
  const { set, add, commit } = floor.journal;
  const sb = floor.cells.base;
  const LOCK = sb + SB_POOL_LOCK;

  /** Gets a page and hands it to `[next, end)` of the pool; what is left of the old page goes to its free list first. */
  function morePages(next: number, end: number, list: number, link: number, step: number, counter: number): Outcome {
    // Also for a free inside of hooks that nest: it does without.
    if (intents.depth() >= INTENT_FRAMES) return BUSY;
    const frame = intents.push(INTENT_PAGE);
    const page = heap.alloc(1, 0, frame + INTENT_EXTENT);
    if (page === NO_PAGES || page === HEAP_BUSY) {
      intents.pop(frame);
      return page === NO_PAGES ? EMPTY : BUSY;
    }
    // While it is nobody else's: a piece that joins the free list unused is looked at by verification.
    i32.fill(0, page >>> 2, (page + PAGE_BYTES) >>> 2);
    if (!locks.acquire(LOCK, patienceMs)) {
      // The page stays in the frame only if the heap's lock is out of reach, too: then recovery finds it there.
      if (heap.free(page, frame + INTENT_EXTENT)) intents.pop(frame);
      return BUSY;
    }
    try {
      while (i32[next] + step <= i32[end]) {
        const rest = i32[next];
        set(rest + link, i32[list]);
        set(list, rest);
        set(next, rest + step);
        add(counter, 1);
        commit();
      }
      set(next, page >>> 2);
      set(end, (page + PAGE_BYTES) >>> 2);
      add(sb + SB_POOL_PAGES, 1);
      set(frame + INTENT_EXTENT, 0);
      commit();
    } finally {
      locks.release();
    }
    intents.pop(frame);
    return OK;
  }

  function takeBucket(zone: number, into: number): Outcome {
    for (;;) {
      if (!locks.acquire(LOCK, patienceMs)) return BUSY;
      try {
        let bucket = i32[sb + SB_BUCKET_FREE];
        if (bucket !== 0) {
          set(sb + SB_BUCKET_FREE, i32[bucket + BUCKET_NEXT]);
        } else if (i32[sb + SB_BUCKET_NEXT] + BUCKET_WORDS <= i32[sb + SB_BUCKET_END]) {
          bucket = i32[sb + SB_BUCKET_NEXT];
          set(sb + SB_BUCKET_NEXT, bucket + BUCKET_WORDS);
          add(sb + SB_BUCKET_TOTAL, 1);
        }
        if (bucket !== 0) {
          set(bucket + BUCKET_OWNER, me);
          set(bucket + BUCKET_ZONE, zone);
          set(bucket + BUCKET_COUNT, 0);
          set(into, bucket + BUCKET_EMPTY);
          commit();
          return OK;
        }
      } finally {
        locks.release();
      }
      const more = morePages(sb + SB_BUCKET_NEXT, sb + SB_BUCKET_END, sb + SB_BUCKET_FREE, BUCKET_NEXT, BUCKET_WORDS, sb + SB_BUCKET_TOTAL);
      if (more !== OK) return more;
    }
  }

  function giveBucket(from: number, rest: number): Outcome {
    if (!locks.acquire(LOCK, patienceMs)) return BUSY;
    try {
      const bucket = i32[from] - BUCKET_EMPTY;
      set(bucket + BUCKET_OWNER, 0);
      set(bucket + BUCKET_ZONE, 0);
      set(bucket + BUCKET_COUNT, 0);
      set(bucket + BUCKET_NEXT, i32[sb + SB_BUCKET_FREE]);
      set(sb + SB_BUCKET_FREE, bucket);
      set(from, rest);
      commit();
      return OK;
    } finally {
      locks.release();
    }
  }

  function classOf(bytes: number): number {
    return sb + SB_HEADER_CLASSES + (Math.ceil(bytes / HEADER_CLASS_STEP_BYTES) - 1) * HEADER_CLASS_WORDS;
  }

  function takeHeader(bytes: number, into: number): Outcome {
    const at = classOf(bytes);
    const step = (Math.ceil(bytes / HEADER_CLASS_STEP_BYTES) * HEADER_CLASS_STEP_BYTES) >>> 2;
    for (;;) {
      if (!locks.acquire(LOCK, patienceMs)) return BUSY;
      try {
        let header = i32[at + HC_FREE];
        if (header !== 0) {
          set(at + HC_FREE, i32[header + SLAB_NEXT]);
        } else if (i32[at + HC_NEXT] + step <= i32[at + HC_END]) {
          header = i32[at + HC_NEXT];
          set(at + HC_NEXT, header + step);
          add(at + HC_TOTAL, 1);
        }
        if (header !== 0) {
          set(into, header);
          commit();
          return OK;
        }
      } finally {
        locks.release();
      }
      const more = morePages(at + HC_NEXT, at + HC_END, at + HC_FREE, SLAB_NEXT, step, at + HC_TOTAL);
      if (more !== OK) return more;
    }
  }

  function giveHeader(bytes: number, from: number): Outcome {
    const at = classOf(bytes);
    if (!locks.acquire(LOCK, patienceMs)) return BUSY;
    try {
      const header = i32[from];
      set(header + SLAB_NEXT, i32[at + HC_FREE]);
      set(at + HC_FREE, header);
      set(from, 0);
      commit();
      return OK;
    } finally {
      locks.release();
    }
  }

  return { takeBucket, giveBucket, takeHeader, giveHeader };
}
