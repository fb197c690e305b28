/**
 * The queue of a zone: which workers wait for an item of it, and whom a free wakes.
 *
 * A worker that waits has a bit for the zone in its slot; the zone's SLEEPERS counts the bits. Both change in one transaction under
 * the keg's lock, so a dead waiter is found by its bits and taken out by its recovery. While SLEEPERS is above 0 nobody's frees go
 * to a cache: TOP is 0 in every line, each free puts its item within everybody's reach and wakes one waiter, the next one round
 * from the one that was woken last. So none starves, and a wake-up that a killed waiter swallowed is made up for: waiters look
 * again by themselves, and whoever got an item, or takes a waiter out, wakes the next if there is something left for it.
 *
 * Every waiter sleeps on the wait word of its own slot. Whoever wakes changes the word first: a waiter that has looked in vain
 * sleeps only while the word is what it was before it looked.
 */
import type { Floor } from "../backend/memory/floor.ts";
import {
  KEG_FREE,
  KEG_LOCK,
  SLOT_WAIT,
  SLOT_WAITING,
  STATE_LIVE,
  ZONE_DEPOT_ITEMS,
  ZONE_ID,
  ZONE_ITEMS,
  ZONE_KEG,
  ZONE_LIMIT,
  ZONE_SLEEPERS,
  ZONE_WAKE,
} from "../backend/memory/layout.ts";

export interface Queue {
  /** Adds the worker whose slot is at `slotWord` to those who wait. @returns false when the lock was out of reach. */
  join(slotWord: number, zone: number): boolean;
  /** Takes it out again, if it is there. @returns false when the lock was out of reach. */
  leave(slotWord: number, zone: number): boolean;
  isWaiting(slotWord: number, id: number): boolean;
  /** Wakes the next waiter of the zone, if there is one. */
  wake(zone: number): void;
  /** Wakes the next waiter if something may be there for it. */
  pass(zone: number): void;
  /** Wakes all that wait for the zone. */
  wakeAll(zone: number): void;
  /** Wakes the worker whose slot is at `slotWord`, if it sleeps. */
  rouse(slotWord: number): void;
}

export function createQueue(floor: Floor): Queue {
  const { i32 } = floor.cells;
  const { slots, locks, patienceMs } = floor;
  const { set, add, commit } = floor.journal;

  function isWaiting(ofSlot: number, id: number): boolean {
    return ((i32[ofSlot + SLOT_WAITING + (id >>> 5)] >>> (id & 31)) & 1) === 1;
  }

  function change(ofSlot: number, zone: number, wanted: boolean): boolean {
    const id = i32[zone + ZONE_ID];
    if (isWaiting(ofSlot, id) === wanted) return true;
    if (!locks.acquire(i32[zone + ZONE_KEG] + KEG_LOCK, patienceMs)) return false;
    try {
      const word = ofSlot + SLOT_WAITING + (id >>> 5);
      set(word, i32[word] ^ (1 << (id & 31)));
      add(zone + ZONE_SLEEPERS, wanted ? 1 : -1);
      commit();
      return true;
    } finally {
      locks.release();
    }
  }

  function join(ofSlot: number, zone: number): boolean {
    return change(ofSlot, zone, true);
  }

  function leave(ofSlot: number, zone: number): boolean {
    return change(ofSlot, zone, false);
  }

  function rouse(ofSlot: number): void {
    Atomics.add(i32, ofSlot + SLOT_WAIT, 1);
    Atomics.notify(i32, ofSlot + SLOT_WAIT);
  }

  function wake(zone: number): void {
    if (i32[zone + ZONE_SLEEPERS] === 0) return;
    const id = i32[zone + ZONE_ID];
    const last = Atomics.load(i32, zone + ZONE_WAKE);
    for (let n = 0; n < slots.count; n++) {
      const slot = ((last + n) % slots.count) + 1;
      const at = slots.wordOf(slot);
      if (!isWaiting(at, id) || slots.state(slot) !== STATE_LIVE) continue;
      Atomics.store(i32, zone + ZONE_WAKE, slot);
      rouse(at);
      return;
    }
  }

  function pass(zone: number): void {
    const limit = i32[zone + ZONE_LIMIT];
    const left = limit === 0 ? i32[i32[zone + ZONE_KEG] + KEG_FREE] : limit - i32[zone + ZONE_ITEMS];
    if (left > 0 || i32[zone + ZONE_DEPOT_ITEMS] > 0) wake(zone);
  }

  function wakeAll(zone: number): void {
    if (i32[zone + ZONE_SLEEPERS] === 0) return;
    const id = i32[zone + ZONE_ID];
    for (let slot = 1; slot <= slots.count; slot++) {
      const at = slots.wordOf(slot);
      if (isWaiting(at, id)) rouse(at);
    }
  }

  return { join, leave, isWaiting, wake, pass, wakeAll, rouse };
}
