/**
 * The lock that a program would put round what it shares. It is a good one: it spins for a while before it sleeps, and wakes nobody
 * when nobody sleeps.
 */
const SPINS = 200;

const UNLOCKED = 0;
const LOCKED = 1;
const AWAITED = 2;

export interface OneLock {
  readonly lock: () => void;
  readonly unlock: () => void;
}

/** @param at - the word that is the lock; 0 to begin with. */
export function createLock(i32: Int32Array, at: number): OneLock {
  return {
    lock(): void {
      if (Atomics.compareExchange(i32, at, UNLOCKED, LOCKED) === UNLOCKED) return;
      for (let n = 0; n < SPINS; n++) {
        if (Atomics.load(i32, at) === UNLOCKED && Atomics.compareExchange(i32, at, UNLOCKED, LOCKED) === UNLOCKED) return;
      }
      while (Atomics.exchange(i32, at, AWAITED) !== UNLOCKED) Atomics.wait(i32, at, AWAITED);
    },
    unlock(): void {
      if (Atomics.exchange(i32, at, UNLOCKED) === AWAITED) Atomics.notify(i32, at, 1);
    },
  };
}
