/**
 * Worker slots: who takes part in a memory.
 *
 * A slot goes FREE → RESERVED (a ticket was issued) → LIVE (its worker attached) → DEAD (certified) → FREE at the next generation.
 * A worker that leaves in order is FREE at once: with empty hands. One that cannot put down all that it has certifies itself, and its
 * certificate speaks for it alone ({@link Slots.leaveBehind}): its thread lives, and so does what it has started. So does that of a lock
 * which its host has let go: what it has started ends by itself, later. Every change of the state word is a
 * compare-exchange from the exact {generation, state} before, so a late ticket, a late certificate or a late recoverer meets
 * another generation and does nothing.
 */
import type { Cells } from "./cells.ts";
import {
  ALONE_BY_LOCK,
  GENERATION_MASK,
  SLOT_ALONE,
  SLOT_HANDING,
  SLOT_HOST_LOCK,
  SLOT_INTENT_DEPTH,
  SLOT_ISSUER,
  SLOT_JOURNAL_COUNT,
  SLOT_LEAVING,
  SLOT_OPEN,
  SLOT_OPEN_WORDS,
  SLOT_PENDING_LOCK,
  SLOT_REAPER,
  SLOT_RECOVERY_AT,
  SLOT_RECOVERY_PHASE,
  SLOT_SMR,
  SLOT_STATE,
  SLOT_WAITING,
  SLOT_WORDS,
  STATE_DEAD,
  STATE_FREE,
  STATE_LIVE,
  STATE_RESERVED,
} from "./layout.ts";
import { generationOf, nameOf, slotOf, stateGeneration, stateOf, stateWord } from "./names.ts";

export interface Slots {
  /** Highest slot number. */
  readonly count: number;
  /** Word index of a slot's record. */
  wordOf(slot: number): number;
  /**
   * Takes a free slot for a worker to come, under the control lock (or while nobody else is there): the issuer is written first,
   * so that a slot is never reserved by nobody, whenever the issuer dies.
   * @returns its name, 0 when all are taken.
   */
  reserve(issuer: number): number;
  /** Says that the tenant to come holds its host's lock, before it adopts. @returns false when the ticket is no longer good. */
  announceLock(name: number): boolean;
  /** RESERVED → LIVE, by the worker the ticket is for. @returns false when the ticket is no longer good. */
  adopt(name: number): boolean;
  /**
   * RESERVED or LIVE → DEAD: by its host's word that its thread has ended, and all that it had started. It may have been certified
   * alone before.
   * @returns false when that says nothing new: that tenant was certified before, or is long gone.
   */
  certify(name: number): boolean;
  /** LIVE → DEAD by its host's word that its thread has ended, which is none on what it had started. */
  certifyByLock(name: number): void;
  /** RESERVED → DEAD: a ticket that nobody has taken up is not good any more. @returns false when it has been, or was withdrawn before. */
  withdraw(name: number): boolean;
  /** LIVE → DEAD by the worker itself, which does nothing more in this tenant's name: others do what it could not. */
  leaveBehind(name: number): void;
  /** Whether this tenant's certificate, if it has one, speaks for it alone. */
  standsAlone(name: number): boolean;
  /** Whether it does because a lock was all that told of its death: its tickets are nobody's. */
  wasFoundByLock(name: number): boolean;
  /** Whether this tenant is dead, and what it had started ended with it. */
  hasEnded(name: number): boolean;
  /** Whether this tenant takes part (attached, not certified dead). */
  isLive(name: number): boolean;
  /** Whether this tenant takes part, or has a ticket for it. */
  takesPart(name: number): boolean;
  /** Whether this tenant was certified dead and has not been recovered to the end. */
  isDead(name: number): boolean;
  /** State of the slot: STATE_… */
  state(slot: number): number;
  /** Name of the slot's present tenant (of the next one, while it is free). */
  tenant(slot: number): number;
  /**
   * The tenant of the slot, if there is one and `issuer` made its ticket; else 0. The state is read first: who reserved the slot was
   * written before it left FREE, so what is read then is the issuer of this tenant, or there is another tenant by now.
   */
  childAt(slot: number, issuer: number): number;
  /** Whether this tenant died inside a transaction that has not been undone yet. */
  isCut(name: number): boolean;
  /** Name of the worker that recovers this tenant, or did when it died itself; 0 = none. */
  reaper(name: number): number;
  /**
   * Claims the recovery of a DEAD tenant for `me`. @returns false when it is over, a live worker is at it, or a dead one was whose
   * own transaction is still open: what it had changed of the tenant's is not what it will be once that is undone.
   */
  claim(name: number, me: number): boolean;
  /** Gives an unfinished recovery up again. */
  unclaim(name: number, me: number): void;
  /** DEAD → FREE at the next generation, by the claimed recoverer when nothing is left; LIVE → FREE by whoever leaves in order. */
  retire(name: number): void;
}

export function createSlots(cells: Cells, slots: number, count: number): Slots {
  const { i32 } = cells;

  function wordOf(slot: number): number {
    return slots + slot * SLOT_WORDS;
  }

  function reserve(issuer: number): number {
    for (let slot = 1; slot <= count; slot++) {
      const at = wordOf(slot);
      const word = Atomics.load(i32, at + SLOT_STATE);
      if (stateOf(word) !== STATE_FREE) continue;
      const generation = stateGeneration(word);
      // While it is still free: whoever dies between leaves nothing of the last tenant's to the next, such as its recoverer.
      i32[at + SLOT_ISSUER] = issuer;
      clear(at);
      if (Atomics.compareExchange(i32, at + SLOT_STATE, word, stateWord(generation, STATE_RESERVED)) !== word) continue;
      return nameOf(slot, generation);
    }
    return 0;
  }

  /** A dead tenant leaves its record empty; this only makes sure of it. */
  function clear(at: number): void {
    Atomics.store(i32, at + SLOT_REAPER, 0);
    i32[at + SLOT_PENDING_LOCK] = 0;
    i32[at + SLOT_JOURNAL_COUNT] = 0;
    i32[at + SLOT_INTENT_DEPTH] = 0;
    i32[at + SLOT_SMR] = 0;
    i32[at + SLOT_HANDING] = 0;
    i32[at + SLOT_LEAVING] = 0;
    i32[at + SLOT_ALONE] = 0;
    i32[at + SLOT_RECOVERY_PHASE] = 0;
    i32[at + SLOT_RECOVERY_AT] = 0;
    i32.fill(0, at + SLOT_WAITING, at + SLOT_WAITING + SLOT_OPEN_WORDS);
    i32.fill(0, at + SLOT_OPEN, at + SLOT_OPEN + SLOT_OPEN_WORDS);
  }

  function move(name: number, from: number, to: number): boolean {
    const generation = generationOf(name);
    const before = stateWord(generation, from);
    return Atomics.compareExchange(i32, wordOf(slotOf(name)) + SLOT_STATE, before, stateWord(generation, to)) === before;
  }

  function announceLock(name: number): boolean {
    const at = wordOf(slotOf(name)) + SLOT_HOST_LOCK;
    for (;;) {
      // Read before the state: what another tenant has said since is not overwritten by a ticket that was withdrawn meanwhile.
      const seen = Atomics.load(i32, at);
      if (!is(name, STATE_RESERVED)) return false;
      if (Atomics.compareExchange(i32, at, seen, name) === seen) return true;
    }
  }

  function adopt(name: number): boolean {
    return move(name, STATE_RESERVED, STATE_LIVE);
  }

  function certify(name: number): boolean {
    const at = wordOf(slotOf(name)) + SLOT_ALONE;
    const alone = Atomics.load(i32, at);
    // First: who dies between the two has certified nobody, and not half.
    const stoodAlone = (alone & ~ALONE_BY_LOCK) === name && Atomics.compareExchange(i32, at, alone, 0) === alone && is(name, STATE_DEAD);
    return move(name, STATE_LIVE, STATE_DEAD) || move(name, STATE_RESERVED, STATE_DEAD) || stoodAlone;
  }

  function certifyByLock(name: number): void {
    const at = wordOf(slotOf(name)) + SLOT_ALONE;
    const before = Atomics.load(i32, at);
    if (!is(name, STATE_LIVE)) return;
    Atomics.compareExchange(i32, at, before, name | ALONE_BY_LOCK);
    // Certified by somebody who knew more, meanwhile.
    if (!move(name, STATE_LIVE, STATE_DEAD)) Atomics.compareExchange(i32, at, name | ALONE_BY_LOCK, before);
  }

  function withdraw(name: number): boolean {
    return move(name, STATE_RESERVED, STATE_DEAD);
  }

  function leaveBehind(name: number): void {
    // First: whoever sees it dead sees by whose word. If it is killed between the two, its host's word takes this back.
    Atomics.store(i32, wordOf(slotOf(name)) + SLOT_ALONE, name);
    move(name, STATE_LIVE, STATE_DEAD);
  }

  function standsAlone(name: number): boolean {
    return (Atomics.load(i32, wordOf(slotOf(name)) + SLOT_ALONE) & ~ALONE_BY_LOCK) === name;
  }

  function wasFoundByLock(name: number): boolean {
    return Atomics.load(i32, wordOf(slotOf(name)) + SLOT_ALONE) === (name | ALONE_BY_LOCK);
  }

  function hasEnded(name: number): boolean {
    // Twice: between two looks the slot may have got its next tenant, and the word with it.
    return is(name, STATE_DEAD) && !standsAlone(name) && is(name, STATE_DEAD);
  }

  function is(name: number, state: number): boolean {
    return Atomics.load(i32, wordOf(slotOf(name)) + SLOT_STATE) === stateWord(generationOf(name), state);
  }

  function isLive(name: number): boolean {
    return is(name, STATE_LIVE);
  }

  function takesPart(name: number): boolean {
    // In this order: a slot that goes from the one state to the other meanwhile is seen in one of them.
    return is(name, STATE_RESERVED) || is(name, STATE_LIVE);
  }

  function isDead(name: number): boolean {
    return is(name, STATE_DEAD);
  }

  function state(slot: number): number {
    return stateOf(Atomics.load(i32, wordOf(slot) + SLOT_STATE));
  }

  function tenant(slot: number): number {
    return nameOf(slot, stateGeneration(Atomics.load(i32, wordOf(slot) + SLOT_STATE)));
  }

  function childAt(slot: number, issuer: number): number {
    const at = wordOf(slot);
    const word = Atomics.load(i32, at + SLOT_STATE);
    if (stateOf(word) === STATE_FREE || i32[at + SLOT_ISSUER] !== issuer) return 0;
    return nameOf(slot, stateGeneration(word));
  }

  function isCut(name: number): boolean {
    return is(name, STATE_DEAD) && Atomics.load(i32, wordOf(slotOf(name)) + SLOT_JOURNAL_COUNT) !== 0 && is(name, STATE_DEAD);
  }

  function reaper(name: number): number {
    return Atomics.load(i32, wordOf(slotOf(name)) + SLOT_REAPER);
  }

  function claim(name: number, me: number): boolean {
    if (!is(name, STATE_DEAD)) return false;
    const at = wordOf(slotOf(name)) + SLOT_REAPER;
    const other = Atomics.load(i32, at);
    if (other === me) return true;
    if (other !== 0 && (isLive(other) || isCut(other))) return false;
    if (Atomics.compareExchange(i32, at, other, me) !== other) return false;
    // The recovery may have ended between our look and our claim.
    if (is(name, STATE_DEAD)) return true;
    Atomics.compareExchange(i32, at, me, 0);
    return false;
  }

  function unclaim(name: number, me: number): void {
    Atomics.compareExchange(i32, wordOf(slotOf(name)) + SLOT_REAPER, me, 0);
  }

  function retire(name: number): void {
    const generation = generationOf(name);
    const at = wordOf(slotOf(name)) + SLOT_STATE;
    const next = stateWord((generation + 1) & GENERATION_MASK, STATE_FREE);
    const dead = stateWord(generation, STATE_DEAD);
    const live = stateWord(generation, STATE_LIVE);
    if (Atomics.compareExchange(i32, at, dead, next) !== dead) Atomics.compareExchange(i32, at, live, next);
  }

  return {
    count,
    wordOf,
    reserve,
    announceLock,
    adopt,
    certify,
    certifyByLock,
    withdraw,
    leaveBehind,
    standsAlone,
    wasFoundByLock,
    hasEnded,
    isLive,
    takesPart,
    isDead,
    isCut,
    reaper,
    state,
    tenant,
    childAt,
    claim,
    unclaim,
    retire,
  };
}
