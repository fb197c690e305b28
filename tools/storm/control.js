// @ts-check
/**
 * What a storm's threads share beside the memory under test, in buffers of their own that the library never sees.
 *
 * **Control words**: what the parent wishes, counts of what happened, a slot number per worker, a mailbox, and for each worker a
 * ledger of what it holds. **Oracle**: a word for every 16 bytes of the memory: who holds the item there. An item is stamped after
 * its allocation, by a compare-exchange from 0, and unstamped before its free; an item that is handed out twice finds a stamp.
 */

/** Hooks that ran out of order: the crash runs' zones count them in word 0. */
export const VIOLATIONS = 0;
/** 1: all workers are to leave. */
export const STOP = 1;
/** An item was stamped already when it was allocated. */
export const DUPLICATED = 2;
/** An item's stamp was another's when its holder freed it. */
export const STOLEN = 3;
/** Operations done, by all workers that lived long enough to say so. */
export const OPERATIONS = 4;
export const OVERFLOWS = 5;
/** Where DUPLICATED or STOLEN was first counted: the item, the stamp met there, who met it, in which zone, doing what. */
export const BAD_ITEM = 6;
export const BAD_STAMP = 7;
export const BAD_BY = 8;
export const BAD_ZONE = 9;
export const BAD_ACTION = 10;
/** Memory slot of each worker of the storm, 0 = none. */
export const SLOT_OF = 16;
export const MOST_WORKERS = 16;
/** Items on their way from one worker to another: a row of boxes for each zone. */
export const MAIL = 32;
export const MAIL_BOXES = 8;

/** Stamp of an item that lies in the mail. Workers' stamps are positive and below. */
export const MAILED = 0x40000000;

/** Places of a ledger, per zone. */
export const PLACES = 32;
/** Words before a ledger's places: the zone of an allocation in flight + 1. */
export const LEDGER_IN_FLIGHT = 0;
export const LEDGER_HEAD = 4;

/** @param {number} zones */
export function controlWords(zones) {
  return MAIL + zones * MAIL_BOXES + MOST_WORKERS * ledgerWords(zones);
}

/** @param {number} zones */
export function ledgerWords(zones) {
  return LEDGER_HEAD + zones * PLACES;
}

/** First word of the ledger of worker `w`. @param {number} zones @param {number} w */
export function ledgerOf(zones, w) {
  return MAIL + zones * MAIL_BOXES + w * ledgerWords(zones);
}

/** Word of mailbox k of zone z. @param {number} z @param {number} k */
export function boxOf(z, k) {
  return MAIL + z * MAIL_BOXES + k;
}

/** A small generator: the same numbers for the same seed. @param {number} seed @returns {(below: number) => number} */
export function generator(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
