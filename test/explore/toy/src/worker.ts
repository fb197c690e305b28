/** Theory: a worker raises both counters in one transaction; a recoverer undoes what a dead worker left, then frees its lock and slot. */
import { createJournal } from "./journal.ts";
import { COUNTER_A, COUNTER_B, FREE, GENERATION, LIVE, LOCK, ownerWord, PENDING, REAPING, slotBase, STATE, type Memory } from "./layout.ts";
import { createLock } from "./lock.ts";

export interface Toy {
  attach(slot: number): void;
  raise(slot: number): number;
  recover(slot: number): boolean;
}

export function createToy(memory: Memory): Toy {
  const { i32 } = memory;
  const journal = createJournal(memory);
  const lock = createLock(memory);

  function attach(slot: number): void {
    i32[slotBase(slot) + STATE] = LIVE;
  }

  function raise(slot: number): number {
    lock.acquire(slot);
    journal.put(slot, COUNTER_A, i32[COUNTER_A]! + 1);
    journal.put(slot, COUNTER_B, i32[COUNTER_B]! + 1);
    const value = i32[COUNTER_B]!;
    journal.commit(slot);
    lock.release(slot);
    return value;
  }

  /** Idempotent; the recoverer may die at any step and be replaced. */
  function recover(slot: number): boolean {
    const base = slotBase(slot);
    if (Atomics.load(i32, base + STATE) === FREE) return false;
    Atomics.store(i32, base + STATE, REAPING);
    if (i32[base + PENDING] !== 0) {
      const dead = ownerWord(slot, i32[base + GENERATION]!);
      if (Atomics.load(i32, LOCK) === dead) {
        journal.undo(slot);
        Atomics.compareExchange(i32, LOCK, dead, 0);
      }
      Atomics.notify(i32, LOCK, 1);
      i32[base + PENDING] = 0;
    }
    i32[base + GENERATION]!++;
    Atomics.store(i32, base + STATE, FREE);
    return true;
  }

  return { attach, raise, recover };
}
