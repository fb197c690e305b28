/**
 * Closing and destroying zones.
 *
 * A zone that is destroyed is DYING first: no longer found by name, other openers called through their attention words. Each closes
 * it when it looks; whoever ends the last opening takes it apart: the depot into the slabs and the buckets to the pool, the slabs
 * (fini over what is free in them) to the supplier, the records to their lists. Taking apart is repeatable from any point, and its
 * doer's name stands in the record (CLOSER), so that a dead one is replaced by its recoverer.
 */
import { UmaError } from "../backend/memory/errors.ts";
import {
  BUCKET_EMPTY,
  BUCKET_MASK,
  INTENT_KEG,
  INTENT_SLAB,
  KEG_LIST_FREE,
  KEG_LIST_PARTIAL,
  KEG_LIST_TAKEN,
  KEG_LOCK,
  KEG_PARTIAL_BINS,
  KEG_REFS,
  KEG_ZONE,
  KEG_ZONES,
  KEG_ZONE_AT,
  LINE_ALLOCS,
  LINE_HIDDEN,
  LINE_REASONS,
  LINE_SP,
  LINE_SPARE,
  LINE_TOP,
  MARK_BUSY,
  MARK_ORPHAN,
  REASON_DRAIN,
  REASON_DYING,
  REASON_ORPHANS,
  SLOT_OPEN,
  STATE_FREE,
  ZONE_CLOSER,
  ZONE_ID,
  ZONE_INDEX,
  ZONE_ITEMS,
  ZONE_KEG,
  ZONE_LIMBO_COUNT,
  ZONE_ORPHANS,
  ZONE_PRIMARY,
  ZONE_STATE,
  ZONE_STATE_DYING,
  ZONE_STATE_FREE,
} from "../backend/memory/layout.ts";
import { noteExcess } from "./excess.ts";
import { type Core, SHORTCUT_TAGS, finishUnfinished } from "./core.ts";
import type { ZoneHandle } from "./cache.ts";
import { createMarkScan } from "./marks.ts";
import { OK } from "./outcome.ts";
import type { Records } from "./records.ts";
import type { Registry } from "./registry.ts";
import type { Zone } from "./zone.ts";

export interface Closing {
  /**
   * Closes a zone in this thread: its buckets go to the depot. What cannot be finished now is left to {@link Closing.finish}.
   * @returns false when its buckets could not be given up: it is still open (call again).
   */
  close(z: Zone): boolean;
  /** Goes on with closings of this thread that were cut short. @returns whether none is left. */
  finish(): boolean;
  /** Marks a zone DYING, calls the other openers and closes it here. @returns false as close does. */
  destroy(z: Zone): boolean;
  /** Ends the opening of a zone by the worker whose slot is at `slotWord`. */
  endOpening(slotWord: number, zone: number, handle: ZoneHandle | null): boolean;
  /** Goes on with what a dead worker was taking apart. */
  takeOver(dead: number, zone: number): boolean;
  /** Calls every opener of the zone but this worker into its slow path. */
  call(zone: number, reason: number): void;
  /** The same, and this worker too. */
  callAll(zone: number, reason: number): void;
  /** Calls those who have items in their caches to give them up, and turns everybody's frees off the hot path. */
  askBack(zone: number): void;
}

/** Bit 31 of ALLOCS. */
const CALLED = -0x80000000;

const SLAB_LISTS: readonly number[] = [
  KEG_LIST_FREE,
  KEG_LIST_TAKEN,
  ...Array.from({ length: KEG_PARTIAL_BINS }, (_, bin) => KEG_LIST_PARTIAL + bin),
];

/** A primary with living secondaries is not destroyed: its slabs are theirs. */
export function hasSecondaries(zone: string, living: number): UmaError {
  return new UmaError("ERR_UMA_SECONDARIES", `zone "${zone}" has ${living} secondary zones: destroy them first`, { zone, value: living });
}

/** @param deadLine - word index of a line that is never anybody's: a closed zone points to it. */
export function createClosing(core: Core, records: Records, registry: Registry, deadLine: number): Closing {
  const { floor, caches, gates, kegs } = core;
  const { i32, u8 } = floor.cells;
  const { locks, slots, intents, patienceMs, slotWord, me } = floor;
  const { set, setByte, add, commit } = floor.journal;
  const { zoneDirectory, heapStart, heapEnd } = floor.geometry;
  const scan = createMarkScan(floor, core.slabs);
  /** Zones that this thread is just taking apart, which may run hooks. */
  const underWay = new Set<number>();

  function close(z: Zone): boolean {
    if (z.closed) return true;
    if (z.hurt !== 0) {
      // An exception keeps the zone off its line: undone first, so that what is drained is its own.
      locks.mend();
      z.line = z.hurt;
      z.hurt = 0;
    }
    if (!core.endWaits(z) || !core.endLateFrees(z) || !finishUnfinished(core, z)) return false;
    if (caches.drainLine(z.zone, z.keg, z.line) !== OK) return false;
    // As long as this worker has it open its records stay: a slab that a lock out of reach has left in a frame goes back by them.
    if (intents.holdsOf(z.keg, z.zone)) return false;
    // What lay in this cache may be what somebody waits for.
    core.queue.pass(z.zone);
    z.line = deadLine;
    if (z.tag < SHORTCUT_TAGS) core.shortcuts[z.tag << 2] = deadLine;
    z.closed = true;
    core.open[z.id] = undefined;
    later(z.zone, z);
    if (endOpening(slotWord, z.zone, z)) forget(z.zone);
    return true;
  }

  function finish(): boolean {
    for (const cut of core.closings.slice()) {
      // A hook may have finished it meanwhile, and a hook that runs while a zone is taken apart may have come here.
      if (!core.closings.includes(cut) || underWay.has(cut.zone)) continue;
      if (endOpening(slotWord, cut.zone, cut.handle)) forget(cut.zone);
    }
    return core.closings.length === 0;
  }

  function endOpening(ofSlot: number, zone: number, handle: ZoneHandle | null): boolean {
    const id = i32[zone + ZONE_ID];
    if (!locks.acquire(records.lock, patienceMs)) return false;
    let last = false;
    try {
      if (registry.recordOf(id) !== zone) return true;
      const word = ofSlot + SLOT_OPEN + (id >>> 5);
      const wasOpen = registry.isOpenBy(ofSlot, id);
      if (wasOpen) set(word, i32[word] & ~(1 << (id & 31)));
      last = i32[zone + ZONE_STATE] === ZONE_STATE_DYING && openers(id) === 0;
      // Somebody else's, unless we have just made ourselves the last, or were and could not go on.
      if (last && wasOpen) set(zone + ZONE_CLOSER, me);
      else if (i32[zone + ZONE_CLOSER] !== me) last = false;
      commit();
    } finally {
      locks.release();
    }
    return !last || takeApartOrLater(zone, handle);
  }

  /** What a worker has become the closer of it finishes itself, also in a dead one's place: whoever tries the recovery again passes it by. */
  function later(zone: number, handle: ZoneHandle | null): void {
    if (!core.closings.some((cut) => cut.zone === zone)) core.closings.push({ zone, handle });
  }

  function forget(zone: number): void {
    const at = core.closings.findIndex((cut) => cut.zone === zone);
    if (at >= 0) core.closings.splice(at, 1);
  }

  /** Takes apart what this worker is the closer of. Entered beforehand: where it cannot, or anything throws on the way, it goes on later. */
  function takeApartOrLater(zone: number, handle: ZoneHandle | null): boolean {
    later(zone, handle);
    underWay.add(zone);
    try {
      if (!takeApart(zone, handle)) return false;
    } finally {
      underWay.delete(zone);
    }
    forget(zone);
    return true;
  }

  function openers(id: number): number {
    let count = 0;
    for (let slot = 1; slot <= slots.count; slot++) {
      if (slots.state(slot) !== STATE_FREE && registry.isOpenBy(slots.wordOf(slot), id)) count++;
    }
    return count;
  }

  function takeOver(dead: number, zone: number): boolean {
    if (!locks.acquire(records.lock, patienceMs)) return false;
    try {
      if (i32[zone + ZONE_STATE] !== ZONE_STATE_DYING || i32[zone + ZONE_CLOSER] !== dead) return true;
      set(zone + ZONE_CLOSER, me);
      commit();
    } finally {
      locks.release();
    }
    return takeApartOrLater(zone, null);
  }

  function call(zone: number, reason: number): void {
    const id = i32[zone + ZONE_ID];
    for (let slot = 1; slot <= slots.count; slot++) {
      const at = slots.wordOf(slot);
      if (at === slotWord || !registry.isOpenBy(at, id)) continue;
      const line = records.lineOf(at, id);
      if (line === 0) continue;
      callLine(at, line, reason);
    }
  }

  function callAll(zone: number, reason: number): void {
    call(zone, reason);
    const id = i32[zone + ZONE_ID];
    if (registry.isOpenBy(slotWord, id)) callLine(slotWord, records.lineOf(slotWord, id), reason);
  }

  function callLine(ofSlot: number, line: number, reason: number): void {
    // First why, then the call: whoever sees TOP = 0 finds the reason, or has taken it already.
    Atomics.or(i32, line + LINE_REASONS, reason);
    Atomics.store(i32, line + LINE_TOP, 0);
    // Allocations are called off the hot path as well; a count whose low bits are 0 would read as a carry.
    if (Atomics.load(i32, line + LINE_ALLOCS) > 0 && Atomics.or(i32, line + LINE_ALLOCS, CALLED) === 0) {
      // The one that was counted has been refused meanwhile.
      Atomics.compareExchange(i32, line + LINE_ALLOCS, CALLED, 0);
    }
    core.queue.rouse(ofSlot);
  }

  function askBack(zone: number): void {
    const id = i32[zone + ZONE_ID];
    for (let slot = 1; slot <= slots.count; slot++) {
      const at = slots.wordOf(slot);
      if (at === slotWord || !registry.isOpenBy(at, id)) continue;
      const line = records.lineOf(at, id);
      if (line === 0) continue;
      if (holdsItems(line)) callLine(at, line, REASON_DRAIN);
      else if (i32[line + LINE_TOP] !== 0) Atomics.store(i32, line + LINE_TOP, 0);
    }
  }

  function holdsItems(line: number): boolean {
    for (const word of [LINE_SP, LINE_SPARE, LINE_HIDDEN]) if ((i32[line + word] & BUCKET_MASK) > BUCKET_EMPTY) return true;
    return false;
  }

  function destroy(z: Zone): boolean {
    if (!locks.acquire(records.lock, patienceMs)) return false;
    try {
      if (i32[z.zone + ZONE_PRIMARY] === 0 && i32[z.keg + KEG_REFS] > 1) {
        throw hasSecondaries(z.name, i32[z.keg + KEG_REFS] - 1);
      }
      set(z.zone + ZONE_STATE, ZONE_STATE_DYING);
      commit();
    } finally {
      locks.release();
    }
    call(z.zone, REASON_DYING);
    return close(z);
  }

  /** Takes a dying zone without openers apart; each step leaves it just that, or gone. */
  function takeApart(zone: number, handle: ZoneHandle | null): boolean {
    const keg = i32[zone + ZONE_KEG];
    // Items that a lock out of reach has left in a frame lie in its slabs.
    if (intents.holdsOf(keg, zone)) return false;
    // Nobody has it open: who still reads what was freed here reads a zone that is gone.
    for (let left = i32[zone + ZONE_LIMBO_COUNT]; left > 0; left--) if (caches.outOfLimbo(zone, keg, true) !== OK) return false;
    // Nobody else is left to run what this thread has not got.
    if (caches.drainDepot(zone, keg, 0, handle !== null && gates.letsOut(handle) ? handle : null) !== OK) return false;
    if (i32[zone + ZONE_PRIMARY] !== 0) return leaveKeg(zone, keg);
    for (const list of SLAB_LISTS) {
      while (i32[keg + list] !== 0) {
        if (intents.crowded()) return false;
        const frame = intents.push(INTENT_SLAB);
        i32[frame + INTENT_KEG] = keg;
        const taken = kegs.takeSlab(keg, list, frame);
        if (taken && kegs.finishFrame(frame, handle, true) !== OK) {
          return false;
        }
        intents.pop(frame);
        if (!taken) return false;
      }
    }
    // One that an earlier try has left half taken apart.
    if (intents.holdsOf(keg, zone) || !locks.acquire(records.lock, patienceMs)) return false;
    try {
      set(zoneDirectory + i32[zone + ZONE_ID], 0);
      set(zone + ZONE_STATE, ZONE_STATE_FREE);
      set(zone + ZONE_CLOSER, 0);
      records.giveZone(zone);
      records.giveKeg(keg);
      commit();
      return true;
    } finally {
      locks.release();
    }
  }

  /** A secondary without caches: what is still out becomes the primary's, to be made anew, and its records go. */
  function leaveKeg(zone: number, keg: number): boolean {
    // A bucket that an earlier try has left half drained: it goes back by this record.
    if (intents.holdsOf(0, zone)) return false;
    const index = i32[zone + ZONE_INDEX];
    const primary = i32[keg + KEG_ZONE];
    let from = heapStart;
    while (i32[zone + ZONE_ITEMS] > 0 && scan.nextOutstanding(from, heapEnd, keg)) {
      const { item, mark } = scan.found;
      from = item + 1;
      if (u8[mark + i32[keg + KEG_ZONE_AT]] !== index) continue;
      if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return false;
      try {
        setByte(mark, MARK_ORPHAN | MARK_BUSY);
        setByte(mark + i32[keg + KEG_ZONE_AT], 0);
        add(zone + ZONE_ITEMS, -1);
        add(primary + ZONE_ITEMS, 1);
        noteExcess(floor, primary);
        // Not in the journal: undone, it would take back what others have said meanwhile.
        Atomics.store(i32, primary + ZONE_ORPHANS, 1);
        commit();
      } finally {
        locks.release();
      }
    }
    if (!locks.acquire(records.lock, patienceMs)) return false;
    try {
      set(keg + KEG_ZONES + index, 0);
      set(keg + KEG_REFS, i32[keg + KEG_REFS] - 1);
      set(zoneDirectory + i32[zone + ZONE_ID], 0);
      set(zone + ZONE_STATE, ZONE_STATE_FREE);
      set(zone + ZONE_CLOSER, 0);
      records.giveZone(zone);
      commit();
    } finally {
      locks.release();
    }
    if (i32[primary + ZONE_ORPHANS] !== 0) call(primary, REASON_ORPHANS);
    const here = core.open[i32[primary + ZONE_ID]];
    if (here !== undefined && here.zone === primary) Atomics.or(i32, here.line + LINE_REASONS, REASON_ORPHANS);
    return true;
  }

  return { close, finish, destroy, endOpening, takeOver, call, callAll, askBack };
}
