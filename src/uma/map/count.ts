/**
 * The number of entries of a map, which its capacity bounds, and the words of its table.
 *
 * It changes by single stores, under the lock of whichever bucket, and not in the transaction that links or unlinks: two buckets'
 * writers change it at once. So a death may leave it one too high, never too low. A sweep measures by how much, at an instant at
 * which no bucket was being changed, and takes that off.
 */
import type { Floor } from "../../backend/memory/floor.ts";

/** Table, words: capacity, number of entries, lock of whoever puts that right, then the buckets. */
export const TABLE_CAPACITY = 0;
const TABLE_COUNT = 1;
const TABLE_RECOUNT = 2;
export const TABLE_BUCKETS = 4;
export const BUCKET_WORDS = 4;
export const BUCKET_HEAD = 0;
export const BUCKET_LOCK = 1;
export const BUCKET_NODES = 2;
/** Raised under the lock before the number of entries changes, and never lowered; wraps. */
const BUCKET_CHANGES = 3;

export interface EntryCount {
  now(): number;
  /** Under the bucket's lock: counts one more entry, if there is room. A writer killed before its link leaves one too many. */
  mayGrow(bucket: number): boolean;
  /** Under the bucket's lock, before an entry is unlinked. A writer killed between this and `shrunk` leaves one too many. */
  announce(bucket: number): void;
  /** Under the bucket's lock, once the entry is unlinked for good. */
  shrunk(): void;
  /** Takes off what deaths have left, if that can be seen: another time, if somebody is at a bucket. */
  putRight(): void;
}

/** @param table - word index of the table. */
export function createEntryCount(floor: Floor, table: number, buckets: number, capacity: number): EntryCount {
  const { i32 } = floor.cells;
  const { locks, patienceMs } = floor;
  const COUNT = table + TABLE_COUNT;

  function mayGrow(bucket: number): boolean {
    announce(bucket);
    if (Atomics.add(i32, COUNT, 1) < capacity) return true;
    Atomics.sub(i32, COUNT, 1);
    return false;
  }

  function announce(bucket: number): void {
    Atomics.add(i32, bucket + BUCKET_CHANGES, 1);
  }

  function shrunk(): void {
    Atomics.sub(i32, COUNT, 1);
  }

  function putRight(): void {
    locks.mend();
    if (!locks.acquire(table + TABLE_RECOUNT, patienceMs)) return;
    try {
      const before = look();
      const kept = Atomics.load(i32, COUNT);
      const after = before === null ? null : look();
      if (before === null || after === null || after.changes !== before.changes) return;
      // What is too much stays too much whoever changes the number now: it is taken off, not replaced.
      if (kept !== before.nodes) Atomics.sub(i32, COUNT, kept - before.nodes);
    } finally {
      locks.release();
    }
  }

  /**
   * Nodes and changes of all buckets; null when somebody is at one of them. In this order: a change that is announced behind the first
   * load shows in the second look; one announced before it is over when the lock is found free.
   */
  function look(): { nodes: number; changes: number } | null {
    let nodes = 0;
    let changes = 0;
    for (let n = 0; n < buckets; n++) {
      const bucket = table + TABLE_BUCKETS + n * BUCKET_WORDS;
      changes = (changes + Atomics.load(i32, bucket + BUCKET_CHANGES)) | 0;
      if (Atomics.load(i32, bucket + BUCKET_LOCK) !== 0) return null;
      nodes += i32[bucket + BUCKET_NODES];
    }
    return { nodes, changes };
  }

  return { now: () => Atomics.load(i32, COUNT), mayGrow, announce, shrunk, putRight };
}
