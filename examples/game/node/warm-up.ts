/**
 * Warming up: frames that do not count, until what is counted would go on for ever.
 *
 * V8 makes garbage while it compiles: numbers that code not yet compiled keeps on the heap. How many frames that takes depends on
 * who else uses the machine, as the compiler runs beside the game; so no number of frames is right. What is looked at instead is
 * the number of collections in blocks of frames: it falls as long as code is being compiled.
 */

/** How long the warm-up may be, frames. */
export interface WarmUp {
  readonly least: number;
  readonly most: number;
}

/** Frames in a block. */
export const WARM_UP_BLOCK = 100;
/** So many blocks without a collection, and there will be none. */
const BLOCKS_OF_NONE = 4;
/** So many blocks of which none has fewer than the fewest before: that is what there is. */
const BLOCKS_OF_SOME = 6;

/** Whether the collections in each block so far no longer become fewer. */
export function isSteady(blocks: readonly number[]): boolean {
  const last = blocks.slice(-BLOCKS_OF_NONE);
  if (last.length === BLOCKS_OF_NONE && last.every((count) => count === 0)) return true;
  const before = blocks.slice(0, -BLOCKS_OF_SOME);
  const fewest = Math.min(...blocks.slice(-BLOCKS_OF_SOME));
  return before.length > 0 && fewest > 0 && fewest >= Math.min(...before);
}

/** How the threads of a game tell each other where the warm-up is: words in memory that they share. */
const COUNTING = 0;
const SEEN = 1;

export class WarmUpSignals {
  readonly words: Int32Array;

  /** @param words - of the thread that began it; left out there. */
  constructor(words: Int32Array = new Int32Array(new SharedArrayBuffer(64))) {
    this.words = words;
  }

  /** The warm-up is over: from the next frame on collections count. */
  end(): void {
    Atomics.store(this.words, COUNTING, 1);
  }

  get isOver(): boolean {
    return Atomics.load(this.words, COUNTING) !== 0;
  }

  /** A worker has seen so many collections so far. */
  tell(index: number, seen: number): void {
    Atomics.store(this.words, SEEN + index, seen);
  }

  seenBy(index: number): number {
    return Atomics.load(this.words, SEEN + index);
  }
}
