// @ts-check
/**
 * The ledger of a crash run: what the victim itself says it owned, in a memory of its own that the library never sees.
 *
 * Per zone SLOTS places. Before an allocation the place's zone stands in IN_FLIGHT; the item is stored after the allocation has
 * returned. Before a free the place holds −item, afterwards 0. So at a kill at most one operation is open, and the ledger says
 * which: an item that may or may not have been allocated, or one that may or may not have been freed.
 */

/** Places a zone. */
export const SLOTS = 24;
/** Words before the places. */
export const VIOLATIONS = 0;
export const IN_FLIGHT = 1;
export const STEPS = 2;
export const PAUSE = 3;
export const PAUSED = 4;
export const ERRORS = 5;
/** An item of zone 0 in the victim's hands for a moment, −1 while it may be coming. */
export const MINE = 6;
export const HEAD = 16;

/** @param {number} zones @param {number} mail - places for items that somebody else allocated and the victim frees. */
export function makeLedger(zones, mail) {
  return new Int32Array(new SharedArrayBuffer(4 * (HEAD + zones * SLOTS + zones * mail)));
}

/** Index of place k of zone z. @param {number} z @param {number} k */
export function place(z, k) {
  return HEAD + z * SLOTS + k;
}
