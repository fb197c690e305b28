/**
 * The robust lock: mutual exclusion that outlives its holder.
 *
 * A lock is one word: 0, or the name {generation, slot} of its holder, with a bit that says "somebody sleeps on this word".
 * Order of a holder's stores: pending ← lock; compare-exchange 0 → name; journalled changes; journal count ← 0; lock ← 0;
 * pending ← 0. So at each instant the slot of a dead worker names the one lock it can have held, and the word itself says
 * whether it did. A dead holder's name stays in the word until its journal has been undone ({@link RobustLocks.salvage}).
 *
 * Waiting is futex-like on the word itself and always timed: a killed waiter may have swallowed a wake-up. Locks are barging,
 * never handed over. A waiter that finds the holder's slot marked DEAD salvages the lock itself, if nobody else is at it.
 *
 * Not done: fairness (critical sections are a few dozen stores), nesting (one lock at a time, checked).
 */
import type { Cells } from "./cells.ts";
import { UmaError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import * as layout from "./layout.ts";
import { generationOf, slotOf, stateWord } from "./names.ts";

const {
  LOCK_WAITERS,
  SLOT_CONTENTIONS,
  SLOT_JOURNAL_COUNT,
  SLOT_PENDING_LOCK,
  SLOT_REAPER,
  SLOT_STATE,
  SLOT_WORDS,
  STATE_DEAD,
  STATE_LIVE,
} = layout;

/** Failed attempts before a contender goes to sleep. An uncontended section is shorter than this. */
const SPINS = 200;
/** A sleep, milliseconds: how late a lost wake-up is noticed at the most. */
const NAP_MS = 2;

export interface RobustLocks {
  /**
   * Takes the lock at word `lock`, waiting `patienceMs` at the most; hardly at all for a holder that was waited for in vain before.
   * @returns false when it could not be had in that time; nothing is held then.
   */
  acquire(lock: number, patienceMs: number): boolean;
  /** Above 0, nothing is waited for: an operation that must not block is under way, whoever takes the locks below it. */
  hurry: number;
  /** Lets the held lock go; what was not committed is undone first. */
  release(): void;
  /** Undoes and lets go whatever an exception left behind; the first thing that every slow path does. */
  mend(): void;
  /** Undoes the journal of the dead worker `name` and lets its lock go. Only the claimed recoverer calls this. */
  salvage(name: number): void;
  /**
   * Undoes what the worker `name`, if it is dead, had open, unless another is at it.
   * @returns whether nothing of it can still be undone.
   */
  settle(name: number): boolean;
  /** Whether the last acquire found the lock taken. */
  contended(): boolean;
  /** This worker has left: nothing is locked or undone in its name any more, its slot may be another's. */
  end(): void;
}

/**
 * @param slots - word index of slot 0.
 * @param me - name of this worker.
 */
export function createLocks(cells: Cells, slots: number, me: number, journal: Journal): RobustLocks {
  const { i32, canWait } = cells;
  const SLOT = slots + slotOf(me) * SLOT_WORDS;
  const PENDING = SLOT + SLOT_PENDING_LOCK;
  let wasContended = false;
  /**
   * The lock last waited for in vain, and its holder: as likely as not that worker is dead and its certificate still on the way,
   * through the very event loop that a wait keeps from turning. Whoever frees a thousand items must not wait a thousand times.
   */
  let stuckLock = 0;
  let stuckHolder = 0;

  function acquire(lock: number, patienceMs: number): boolean {
    if (i32[PENDING] !== 0) throw new UmaError("ERR_UMA_INTERNAL", "a lock was asked for while another is held", { value: lock });
    i32[PENDING] = lock;
    if (Atomics.compareExchange(i32, lock, 0, me) === 0) {
      wasContended = false;
      return true;
    }
    wasContended = true;
    i32[SLOT + SLOT_CONTENTIONS]++;
    const taken = acquireSlowly(lock, patienceMs);
    if (!taken) i32[PENDING] = 0;
    return taken;
  }

  function acquireSlowly(lock: number, patienceMs: number): boolean {
    for (let i = 0; i < SPINS; i++) {
      const seen = Atomics.load(i32, lock);
      if (seen === 0 && Atomics.compareExchange(i32, lock, 0, me) === 0) return true;
      if (deadHolder(seen)) break;
    }
    const stuck = lock === stuckLock && (Atomics.load(i32, lock) & ~LOCK_WAITERS) === stuckHolder;
    const patience = robust.hurry > 0 ? 0 : patienceMs;
    const until = performance.now() + (stuck ? 0 : patience);
    for (;;) {
      const seen = Atomics.load(i32, lock);
      if (seen === 0) {
        // Whoever slept may have been many: keep the bit, so that our release wakes the next one.
        if (Atomics.compareExchange(i32, lock, 0, me | LOCK_WAITERS) === 0) return true;
        continue;
      }
      if (salvageIfDead(seen)) continue;
      if (performance.now() >= until) {
        // Who only tried, without patience, has learnt nothing about the holder.
        if (patience > 0) {
          stuckLock = lock;
          stuckHolder = seen & ~LOCK_WAITERS;
        }
        return false;
      }
      if (!canWait) continue;
      const asleep = seen | LOCK_WAITERS;
      if (seen !== asleep && Atomics.compareExchange(i32, lock, seen, asleep) !== seen) continue;
      Atomics.wait(i32, lock, asleep, NAP_MS);
    }
  }

  function release(): void {
    const lock = i32[PENDING];
    if (i32[SLOT + SLOT_JOURNAL_COUNT] !== 0) journal.undo(SLOT);
    if ((Atomics.exchange(i32, lock, 0) & LOCK_WAITERS) !== 0) Atomics.notify(i32, lock, 1);
    i32[PENDING] = 0;
  }

  function mend(): void {
    const lock = i32[PENDING];
    if (lock !== 0 && (Atomics.load(i32, lock) & ~LOCK_WAITERS) === me) release();
    else if (lock !== 0) i32[PENDING] = 0;
    if (i32[SLOT + SLOT_JOURNAL_COUNT] !== 0) journal.undo(SLOT);
  }

  function deadHolder(word: number): boolean {
    if (word === 0) return false;
    const state = Atomics.load(i32, slots + slotOf(word) * SLOT_WORDS + SLOT_STATE);
    return state === stateWord(generationOf(word), STATE_DEAD);
  }

  /** If the holder has been certified dead and nobody is recovering it, lets its lock go. */
  function salvageIfDead(word: number): boolean {
    if (!deadHolder(word)) return false;
    const reaper = slots + slotOf(word) * SLOT_WORDS + SLOT_REAPER;
    const other = Atomics.load(i32, reaper);
    if (other !== 0 && isLive(other)) return false;
    // A dead recoverer's own transaction first: nobody may replace it before that is undone.
    if (other !== 0 && other !== me && isCut(other)) return salvageIfDead(other);
    if (Atomics.compareExchange(i32, reaper, other, me) !== other) return true;
    // Between our look and our claim the recovery may have ended: then the slot is no longer DEAD at this generation.
    if (deadHolder(word)) salvage(word & ~LOCK_WAITERS);
    // Only what is ours: the slot may have had other tenants since, and the claim be that of another's recovery.
    Atomics.compareExchange(i32, reaper, me, 0);
    return true;
  }

  function isCut(name: number): boolean {
    return deadHolder(name) && Atomics.load(i32, slots + slotOf(name) * SLOT_WORDS + SLOT_JOURNAL_COUNT) !== 0 && deadHolder(name);
  }

  function settle(name: number): boolean {
    while (isCut(name)) if (!salvageIfDead(name)) return false;
    return true;
  }

  function isLive(name: number): boolean {
    return Atomics.load(i32, slots + slotOf(name) * SLOT_WORDS + SLOT_STATE) === stateWord(generationOf(name), STATE_LIVE);
  }

  function salvage(name: number): void {
    const slot = slots + slotOf(name) * SLOT_WORDS;
    journal.undo(slot);
    const lock = i32[slot + SLOT_PENDING_LOCK];
    if (lock === 0) return;
    for (;;) {
      const word = Atomics.load(i32, lock);
      if ((word & ~LOCK_WAITERS) !== name) break;
      if (Atomics.compareExchange(i32, lock, word, 0) === word) {
        Atomics.notify(i32, lock);
        break;
      }
    }
    i32[slot + SLOT_PENDING_LOCK] = 0;
  }

  function end(): void {
    robust.acquire = () => {
      throw new UmaError("ERR_UMA_DETACHED", "this thread has detached from the memory");
    };
    robust.mend = () => undefined;
  }

  const robust: RobustLocks = { hurry: 0, acquire, release, mend, salvage, settle, contended: () => wasContended, end };
  return robust;
}
