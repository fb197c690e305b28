/** Theory: where everything lies in the toy's memory (words). Three slots; a lock; two counters that are always equal outside a transaction. */
export const COUNTER_A = 1;
export const COUNTER_B = 2;
export const LOCK = 3; // owner: generation << 8 | slot + 1; 0 = free
export const SLOTS = 16;
export const SLOT_WORDS = 16;
export const SLOT_COUNT = 4;
export const MEMORY_WORDS = SLOTS + SLOT_WORDS * SLOT_COUNT;

/** Inside a slot. */
export const STATE = 0; // FREE, LIVE, or REAPING
export const GENERATION = 1;
export const PENDING = 2; // LOCK: this slot may hold the lock, or be about to
export const JOURNAL_COUNT = 3;
export const JOURNAL = 4; // (address, old value) pairs

export const FREE = 0;
export const LIVE = 1;
export const REAPING = 2;

export interface Memory {
  readonly i32: Int32Array;
}

export const slotBase = (slot: number): number => SLOTS + slot * SLOT_WORDS;
export const ownerWord = (slot: number, generation: number): number => (generation << 8) | (slot + 1);
