/**
 * Intents: what a worker has in its hands between two locks.
 *
 * Building a slab takes pages under the arena's lock, a header under the pool's, runs init with no lock held, and links the slab
 * under the keg's. In between the pages belong to nobody but this worker, and its intent frame says so: a transaction that takes
 * something stores it in the frame, a transaction that gives it on clears it there. Frames stack up to INTENT_FRAMES deep,
 * because init may allocate from other zones, which may have to build slabs of their own.
 *
 * Only the slot's own worker, or its recoverer, reads or writes frames. A frame counts once DEPTH covers it, and until its kind is
 * NONE: an outer frame may be closed while an inner one had to be left.
 */
import type { Cells } from "./cells.ts";
import { UmaError } from "./errors.ts";
import * as layout from "./layout.ts";

const {
  INTENT_BUCKET,
  INTENT_EXTENT,
  INTENT_FRAMES,
  INTENT_HEADER,
  INTENT_KEG,
  INTENT_KIND,
  INTENT_NONE,
  INTENT_SLAB,
  INTENT_WORDS,
  INTENT_ZONE,
  SLOT_INTENTS,
  SLOT_INTENT_DEPTH,
} = layout;

export interface Intents {
  /** Opens a frame. @returns its word index. */
  push(kind: number): number;
  /** Closes a frame, which must have nothing in it any more. Frames that were left above it stay open. */
  pop(frame: number): void;
  /** Hooks running in this thread that are called between two locks (init, fini, a user's supplier): only they have frames below them. */
  hooks: number;
  /**
   * Whether frames were left as they are (a lock was out of reach, or an exception came) by a slow path that is over. Asked where
   * a slow path begins: frames that are open then are somebody's only while a hook is running.
   */
  abandoned(): boolean;
  /** Frames open. */
  depth(): number;
  /**
   * Whether so many frames are open that what can wait should: locks out of reach leave frames, and what is left of them is for
   * those who allocate and free.
   */
  crowded(): boolean;
  /** Whether there is no frame to be had, and that for what locks out of reach have left, not for hooks that nest. */
  full(): boolean;
  /** Whether something of this keg's, or of this zone's own, is in a frame: their records must outlive it. */
  holdsOf(keg: number, zone: number): boolean;
}

export function createIntents(cells: Cells, slotWord: number): Intents {
  const { i32 } = cells;
  const DEPTH = slotWord + SLOT_INTENT_DEPTH;

  function push(kind: number): number {
    const depth = i32[DEPTH];
    if (depth >= INTENT_FRAMES) {
      throw new UmaError("ERR_UMA_HOOK_RECURSION", `init hooks build slabs more than ${INTENT_FRAMES} zones deep`, { value: depth });
    }
    const frame = slotWord + SLOT_INTENTS + depth * INTENT_WORDS;
    i32.fill(0, frame, frame + INTENT_WORDS);
    i32[frame + INTENT_KIND] = kind;
    i32[DEPTH] = depth + 1;
    return frame;
  }

  function pop(frame: number): void {
    if (i32[frame + INTENT_EXTENT] !== 0 || i32[frame + INTENT_HEADER] !== 0) {
      throw new UmaError("ERR_UMA_INTERNAL", "an intent frame was closed with something still in it", { value: frame });
    }
    i32[frame + INTENT_KIND] = INTENT_NONE;
    let depth = i32[DEPTH];
    while (depth > 0 && i32[slotWord + SLOT_INTENTS + (depth - 1) * INTENT_WORDS + INTENT_KIND] === INTENT_NONE) depth--;
    i32[DEPTH] = depth;
  }

  function holdsOf(keg: number, zone: number): boolean {
    for (let depth = i32[DEPTH]; depth > 0; depth--) {
      const frame = slotWord + SLOT_INTENTS + (depth - 1) * INTENT_WORDS;
      const kind = i32[frame + INTENT_KIND];
      if ((kind === INTENT_SLAB && i32[frame + INTENT_KEG] === keg) || (kind === INTENT_BUCKET && i32[frame + INTENT_ZONE] === zone))
        return true;
    }
    return false;
  }

  const intents: Intents = {
    push,
    pop,
    hooks: 0,
    abandoned: () => intents.hooks === 0 && i32[DEPTH] > 0,
    depth: () => i32[DEPTH],
    crowded: () => i32[DEPTH] > INTENT_FRAMES / 2,
    full: () => intents.hooks === 0 && i32[DEPTH] >= INTENT_FRAMES,
    holdsOf,
  };
  return intents;
}
