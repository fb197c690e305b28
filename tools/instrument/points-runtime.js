// @ts-check
/**
 * Theory: the instrumented tree calls `$point(n)` before each change of shared memory. Unless this thread attached a
 * control block, that is one test. With a block, a hit is logged and counted, and at the chosen occurrence of the chosen
 * point the worker says so in the block, wakes whoever waits for it, and parks in Atomics.wait: its parent may then
 * terminate it *exactly there*, or let it go on. A history may take another turn than the one it was counted in: where it passes
 * the chosen point no more, it parks at whichever point comes after so many hits.
 *
 * This file is plain JavaScript without imports: it is copied into each instrumented tree as `$points.js`, and runs in
 * bare workers of any host. Its words (see also points-control.ts):
 *
 *   0 mode        1 point, or ANY    2 occurrences to go   3 the point reached + 1, or 0
 *   4 gate        5 hits in all      6 hits logged         7 tag of the thread that reached it
 *   8 hits in all at which any point will do, or 0
 *   9…9+LOG-1     ring of the latest points
 *   9+LOG…        hits per point, and behind them the hits in all at each one's last (count mode)
 */

export const MODE = 0;
export const POINT = 1;
export const TO_GO = 2;
export const REACHED = 3;
export const GATE = 4;
export const HITS = 5;
export const LOGGED = 6;
export const TAG = 7;
export const LATEST = 8;
export const LOG = 9;
export const LOG_LENGTH = 64;
export const COUNTS = LOG + LOG_LENGTH;

/** Modes are bits: ARMED parks at the chosen hit, COUNTING keeps hits per point. */
export const ARMED = 1;
export const COUNTING = 2;
/** As point: every point counts as an occurrence. */
export const ANY = -1;

/** @type {Int32Array | null} */
let control = null;
let tag = 0;

/**
 * Lets this thread obey a control block (or none).
 * @param {Int32Array | null} words
 * @param {number} [threadTag]
 * @returns {void}
 */
export function attachPoints(words, threadTag = 0) {
  control = words;
  tag = threadTag;
}

/**
 * @param {number} number
 * @returns {void}
 */
export function $point(number) {
  if (control !== null) hit(control, number);
}

/**
 * The point between the evaluation of a value and its store.
 * @template T
 * @param {number} number
 * @param {T} value
 * @returns {T}
 */
export function $pv(number, value) {
  if (control !== null) hit(control, number);
  return value;
}

/**
 * @param {Int32Array} words
 * @param {number} number
 */
function hit(words, number) {
  const mode = Atomics.load(words, MODE);
  if (mode === 0) return;
  const hits = Atomics.add(words, HITS, 1) + 1;
  words[LOG + (Atomics.add(words, LOGGED, 1) % LOG_LENGTH)] = number;
  if ((mode & COUNTING) !== 0) {
    Atomics.add(words, COUNTS + number, 1);
    words[COUNTS + ((words.length - COUNTS) >> 1) + number] = hits;
  }
  if ((mode & ARMED) === 0) return;
  const latest = Atomics.load(words, LATEST);
  if (latest !== 0 && hits >= latest && Atomics.exchange(words, TO_GO, 0) > 0) park(words, number);
  const chosen = Atomics.load(words, POINT);
  if (chosen !== number && chosen !== ANY) return;
  if (Atomics.sub(words, TO_GO, 1) === 1) park(words, number);
}

/**
 * @param {Int32Array} words
 * @param {number} number
 */
function park(words, number) {
  words[TAG] = tag;
  Atomics.store(words, REACHED, number + 1);
  Atomics.notify(words, REACHED);
  while (Atomics.load(words, GATE) === 0) Atomics.wait(words, GATE, 0);
}
