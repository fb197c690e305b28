/**
 * The board: what the workers of a replay and its coordinator tell each other, in shared memory of their own.
 *
 * Per worker a row of 32 words (two cache lines, so that neighbours do not disturb each other): each word is written by that
 * worker alone, save GONE and, once it is gone, POSITION, which are the coordinator's.
 */

/** 1 once all may begin. */
export const BOARD_GO = 0;
/** Changed and notified at every checkpoint: what those who are ahead sleep on. */
export const BOARD_TICK = 1;
const ROWS = 32;
const ROW_WORDS = 32;

/** Everything of this worker's before this place in the trace is done; NO_MORE when it has nothing left. */
export const ROW_POSITION = 0;
/** Operations done, and operations left out because what they need is never made. */
export const ROW_DONE = 1;
export const ROW_SKIPPED = 2;
/** Object that the operation in hand is about, plus 1. */
export const ROW_CURRENT = 3;
/** Stamps found wrong. */
export const ROW_WRONG = 4;
/** 1 when this worker has been certified dead: what it has not published never comes. */
export const ROW_GONE = 5;
/** Numbers (f64, index / 2): bytes alive by this worker's own operations (may be negative), and the most alive that it has seen. */
export const ROW_LIVE = 8;
export const ROW_PEAK = 10;

export const NO_MORE = 0x7fffffff;

/** In the table of addresses: not made yet; never made, as a worker has died; freed again. Live objects have their address. */
export const ADDRESS_NONE = 0;
export const ADDRESS_NEVER = -1;
export const ADDRESS_FREED = -2;

export interface Board {
  readonly words: Int32Array;
  readonly numbers: Float64Array;
  /** Addresses by object. */
  readonly addresses: Int32Array;
}

export function makeBoard(workers: number, objects: number): Board {
  const buffer = new SharedArrayBuffer((ROWS + workers * ROW_WORDS) * 4);
  return {
    words: new Int32Array(buffer),
    numbers: new Float64Array(buffer),
    addresses: new Int32Array(new SharedArrayBuffer(objects * 4)),
  };
}

/** First word of a worker's row. */
export function rowOf(worker: number): number {
  return ROWS + worker * ROW_WORDS;
}
