/**
 * What a program would write without zones: one free list in shared memory, and one lock that every alloc and every free takes.
 */
import { createLock } from "./one-lock.ts";
import { ITEM_BYTES } from "./peers.ts";
import type { Peer } from "./loops.ts";

const LOCK = 0;
const FREE = 32;
const ITEMS = 64;

/** A list of `count` items; the link of a free item is its first word. */
export function makeLockedList(count: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(ITEMS * 4 + (count + 1) * ITEM_BYTES);
  const i32 = new Int32Array(buffer);
  for (let n = 0; n < count; n++) {
    const item = ITEMS * 4 + n * ITEM_BYTES;
    i32[item >> 2] = i32[FREE] as number;
    i32[FREE] = item;
  }
  return buffer;
}

export function openLockedList(buffer: SharedArrayBuffer): Peer<number> {
  const i32 = new Int32Array(buffer);
  const { lock, unlock } = createLock(i32, LOCK);

  return {
    alloc: () => {
      lock();
      const item = i32[FREE] as number;
      if (item !== 0) i32[FREE] = i32[item >> 2] as number;
      unlock();
      return item;
    },
    free: (item) => {
      lock();
      i32[item >> 2] = i32[FREE] as number;
      i32[FREE] = item;
      unlock();
    },
  };
}
