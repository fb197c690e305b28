/**
 * What a storm's threads share beside the memory under test, in buffers of their own that the library never sees.
 *
 * **Control words**: what the parent wishes, counts of what happened, a slot number per worker, a mailbox. **Ledgers**: for each
 * worker and each theme what it holds (crash/ledger.ts). **Oracle**: a word for every 16 bytes of the memory: who holds the item
 * there. An item is stamped after its allocation, by a compare-exchange from 0, and unstamped before its free; an item that is
 * handed out twice finds a stamp.
 */

/** Hooks that ran out of order: the themes' hooks count them in word 0. */
export const VIOLATIONS = 0;
/** 1: all workers are to leave. */
export const STOP = 1;
/** An item was stamped already when it was allocated. */
export const DUPLICATED = 2;
/** An item's stamp was another's when its holder freed it. */
export const STOLEN = 3;
/** Steps done, by all workers that lived long enough to say so. */
export const OPERATIONS = 4;
export const OVERFLOWS = 5;
/** Where DUPLICATED or STOLEN was first counted: the item, the stamp met there, who met it, in which theme and zone. */
export const BAD_ITEM = 6;
export const BAD_STAMP = 7;
export const BAD_BY = 8;
export const BAD_THEME = 9;
export const BAD_ZONE = 10;
/** Memory slot of each worker of the storm, 0 = none. */
export const SLOT_OF = 16;
export const MOST_WORKERS = 16;
/** Items on their way from one worker to another: boxes for each zone of the first theme. */
export const MAIL = 32;
export const MAIL_BOXES = 8;
const MOST_ZONES = 32;
export const CONTROL_WORDS = MAIL + MAIL_BOXES * MOST_ZONES;

/** Stamp of an item that lies in the mail. Workers' stamps are positive and below. */
export const MAILED = 0x40000000;

/** Word of mailbox k of zone z. */
export function boxOf(z: number, k: number): number {
  return MAIL + z * MAIL_BOXES + k;
}
