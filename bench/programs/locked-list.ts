/**
 * What a program would write without zones: one free list in shared memory, and one lock that every alloc and every free takes.
 * The lock is a good one: it spins for a while before it sleeps, and wakes nobody when nobody sleeps.
 */
import { ITEM_BYTES } from "./peers.ts";
import type { Peer } from "./loops.ts";

const LOCK = 0;
const FREE = 32;
const ITEMS = 64;
const SPINS = 200;

const UNLOCKED = 0;
const LOCKED = 1;
const AWAITED = 2;

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

  function lock(): void {
    if (Atomics.compareExchange(i32, LOCK, UNLOCKED, LOCKED) === UNLOCKED) return;
    for (let n = 0; n < SPINS; n++) {
      if (Atomics.load(i32, LOCK) === UNLOCKED && Atomics.compareExchange(i32, LOCK, UNLOCKED, LOCKED) === UNLOCKED) return;
    }
    while (Atomics.exchange(i32, LOCK, AWAITED) !== UNLOCKED) Atomics.wait(i32, LOCK, AWAITED);
  }

  function unlock(): void {
    if (Atomics.exchange(i32, LOCK, UNLOCKED) === AWAITED) Atomics.notify(i32, LOCK, 1);
  }

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
