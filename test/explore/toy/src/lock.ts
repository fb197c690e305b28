/** Theory: the lock word names its owner. The slot says "pending" before it tries, so that a recoverer knows where to look. */
import { LOCK, ownerWord, PENDING, slotBase, GENERATION, type Memory } from "./layout.ts";

export interface Lock {
  acquire(slot: number): void;
  release(slot: number): void;
}

export function createLock({ i32 }: Memory): Lock {
  function acquire(slot: number): void {
    const me = ownerWord(slot, i32[slotBase(slot) + GENERATION]!);
    i32[slotBase(slot) + PENDING] = LOCK;
    for (;;) {
      const owner = Atomics.compareExchange(i32, LOCK, 0, me);
      if (owner === 0) return;
      Atomics.wait(i32, LOCK, owner, 10);
    }
  }

  function release(slot: number): void {
    Atomics.store(i32, LOCK, 0);
    Atomics.notify(i32, LOCK, 1);
    i32[slotBase(slot) + PENDING] = 0;
  }

  return { acquire, release };
}
