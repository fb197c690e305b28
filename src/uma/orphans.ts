/**
 * Orphans: items that nobody owns any more, because their worker has died or has left.
 *
 * By the zone's policy an item is kept and reported (ORPHAN, to be freed by whoever has it), or freed through dtor. One that was BUSY was
 * half built or half destroyed: it never sees dtor or fini again, but is zeroed and initialised anew. Where that takes hooks that this
 * thread has not got, it is left as ORPHAN, the zone's ORPHANS word says so, and then the workers that have the zone open are called.
 *
 * Every change of a mark is a compare-exchange from what was seen: of two who come by, one has the item. ORPHANS is not 0 until all are
 * done: while a worker is at it, it is ~name of that one, so that what another leaves meanwhile makes it 1 again.
 */
import {
  KEG_ARENA,
  KEG_FLAGS,
  KEG_HOOKS,
  KEG_LOCK,
  KEG_SHIFT,
  KEG_SIZE,
  KEG_TAG,
  LINE_REASONS,
  MARK_BUSY,
  MARK_ORPHAN,
  REASON_ORPHANS,
  ZONE_FLAGS,
  ZONE_ORPHANS,
} from "../backend/memory/layout.ts";
import type { Closing } from "./closing.ts";
import type { Core } from "./core.ts";
import { FLAG_FREE_ON_DEATH, FLAG_NOTOUCH, FLAG_SMR } from "./definition.ts";
import type { Handles } from "./handles.ts";
import { HOOK_INIT } from "./hooks.ts";
import type { KegHandle } from "./keg.ts";
import { createMarkScan } from "./marks.ts";
import { OK } from "./outcome.ts";
import type { Records } from "./records.ts";
import { type Leftovers, type RecoveryReport, leftoversOf } from "./recovery-report.ts";
import type { Registry } from "./registry.ts";
import type { Zone } from "./zone.ts";

export interface Orphans {
  /**
   * Deals with one item that nobody owns any more, by its zone's policy.
   * @param value - its mark as it was seen.
   * @param report - gets what becomes of it.
   */
  dispose(item: number, mark: number, value: number, keg: number, report: RecoveryReport | null): void;
  /** Finishes the orphans of a zone that this thread has open. */
  finish(z: Zone): void;
  /** Calls the workers that have a zone open in which items were left for one of them. */
  callAll(): void;
  /** Has all zones looked through for orphans by those who have them open. */
  suspectAll(): void;
}

/** Addresses that a report lists for each zone. */
const LISTED_ITEMS = 1000;

export function createOrphans(core: Core, records: Records, registry: Registry, closing: Closing, handles: Handles): Orphans {
  const { floor, caches, slabs, items, views } = core;
  const { i32, u8 } = floor.cells;
  const { locks, intents, patienceMs, me, slot: mySlot } = floor;
  const { heapStart, heapEnd } = floor.geometry;
  const { kegHandle, zoneHandle } = handles;
  const scan = createMarkScan(floor, slabs);

  function dispose(item: number, mark: number, value: number, keg: number, report: RecoveryReport | null): void {
    const zone = items.zoneOf(keg, mark);
    const handle = zoneHandle(zone);
    const stands = i32[keg + KEG_ARENA] !== 0;
    const left = report === null || stands ? null : leftoversOf(report, items.nameIn(zone));
    const mine = mySlot | MARK_BUSY;
    if ((value & MARK_BUSY) !== 0) {
      if (!canRemake(keg) || mayBeRead(zone)) return orphan(zone, mark, value, left);
      if (Atomics.compareExchange(u8, mark, value, mine) !== value) return;
      if (remakeOrLeave(item, mark, keg, zone) && left !== null) left.remade++;
      return;
    }
    if ((i32[zone + ZONE_FLAGS] & FLAG_FREE_ON_DEATH) === 0) {
      if (Atomics.compareExchange(u8, mark, value, MARK_ORPHAN) !== value) return;
      // It stands for a piece of an arena.
      if (stands && report !== null) {
        const piece = core.runs.pieceOf(keg, item);
        if (piece !== null) report.arenas.push(piece);
      }
      if (left === null) return;
      left.kept++;
      if (left.items.length < LISTED_ITEMS) left.items.push(item);
      return;
    }
    if (handle === null) return orphan(zone, mark, value, left);
    if (Atomics.compareExchange(u8, mark, value, mine) !== value) return;
    const { dtor } = handle.definition;
    try {
      dtor?.(item, undefined, views);
    } catch {
      // The worker it belonged to is gone, and so is whoever could be told; the item is freed either way.
    }
    release(handle, item);
    if (left !== null) left.freed++;
  }

  /** Of a BUSY item: in an SMR zone it may be one that was freed and waits for readers (limbo.ts). */
  function mayBeRead(zone: number): boolean {
    return (i32[zone + ZONE_FLAGS] & FLAG_SMR) !== 0 && !core.smr.poll(core.smr.advance());
  }

  function orphan(zone: number, mark: number, value: number, left: Leftovers | null): void {
    const orphaned = MARK_ORPHAN | (value & MARK_BUSY);
    if (value !== orphaned) {
      if (Atomics.compareExchange(u8, mark, value, orphaned) !== value) return;
      if (left !== null) left.orphaned++;
    }
    // Also when it was one: whoever has the hooks and comes later is to be told.
    Atomics.store(i32, zone + ZONE_ORPHANS, 1);
  }

  /**
   * Makes a BUSY orphan this worker's. Under the keg's lock, and only if its slab is the keg's: a recoverer that gives a half-built
   * slab back to its keg marks what is in it first, and until it has linked the slab all of it may still be taken apart.
   * @returns false also when the lock was out of reach: then this worker is called again.
   */
  function claimOrphan(z: Zone, item: number, mark: number): boolean {
    if (!locks.acquire(z.keg + KEG_LOCK, patienceMs)) {
      Atomics.store(i32, z.zone + ZONE_ORPHANS, 1);
      Atomics.or(i32, z.line + LINE_REASONS, REASON_ORPHANS);
      return false;
    }
    try {
      if (!slabs.holds(z.keg, z.tag, item) || slabs.markOf(item, z.shift) !== mark) return false;
      const orphaned = MARK_ORPHAN | MARK_BUSY;
      return Atomics.compareExchange(u8, mark, orphaned, mySlot | MARK_BUSY) === orphaned;
    } finally {
      locks.release();
    }
  }

  /** Whether this thread has what it takes to make an item of the keg's anew. */
  function canRemake(keg: number): boolean {
    return (i32[keg + KEG_HOOKS] & HOOK_INIT) === 0 || (kegHandle(keg)?.init ?? null) !== null;
  }

  /** Makes an item that is BUSY in this worker's name anew, or leaves it as an orphan. */
  function remakeOrLeave(item: number, mark: number, keg: number, zone: number): boolean {
    if (remake(item, keg, zone, kegHandle(keg))) return true;
    Atomics.store(u8, mark, MARK_ORPHAN | MARK_BUSY);
    Atomics.store(i32, zone + ZONE_ORPHANS, 1);
    return false;
  }

  /**
   * Zeroes and initialises an item that is BUSY in this worker's name, and frees it into its slab: what a zoneInit would have
   * to make of it, it is not. @returns false when init refuses, or the lock was out of reach.
   */
  function remake(item: number, keg: number, zone: number, handle: KegHandle | null): boolean {
    if ((i32[keg + KEG_FLAGS] & FLAG_NOTOUCH) === 0) u8.fill(0, item, item + i32[keg + KEG_SIZE]);
    if (handle !== null && handle.init !== null && !initAnew(handle, item)) return false;
    const open = zoneHandle(zone);
    if (open !== null && open.gate === null) {
      release(open, item);
      return true;
    }
    const lone = { zone, keg, shift: i32[keg + KEG_SHIFT], checks: true, tag: i32[keg + KEG_TAG] };
    return caches.putBack(lone, item) === OK;
  }

  function initAnew(handle: KegHandle, item: number): boolean {
    handle.hide();
    handle.inHook++;
    intents.hooks++;
    try {
      return handle.init?.(item, views) !== false;
    } catch {
      return false;
    } finally {
      handle.inHook--;
      intents.hooks--;
      handle.show();
    }
  }

  function release(handle: Zone, item: number): void {
    if (!handle.settle(item)) core.unfinished.push({ zone: handle, item });
  }

  function finish(z: Zone): void {
    // Not 0 before all is done: if this worker dies on the way, others are called; and what is left meanwhile makes it 1 again.
    const seen = Atomics.load(i32, z.zone + ZONE_ORPHANS);
    if (seen === 0) return;
    // Negated: the name of slot 1's first tenant is 1.
    if (seen !== ~me) Atomics.compareExchange(i32, z.zone + ZONE_ORPHANS, seen, ~me);
    const wanted = (i32[z.zone + ZONE_FLAGS] & FLAG_FREE_ON_DEATH) !== 0;
    let from = heapStart;
    while (scan.next(MARK_ORPHAN, from, heapEnd, z.keg)) {
      const { item, mark, value, keg } = scan.found;
      const isOurs = items.zoneOf(keg, mark) === z.zone;
      from = item + 1;
      if (!isOurs) continue;
      if ((value & MARK_BUSY) === 0) {
        if (wanted) dispose(item, mark, value, keg, null);
      } else if (!canRemake(keg)) orphan(z.zone, mark, value, null);
      else if (mayBeRead(z.zone)) {
        orphan(z.zone, mark, value, null);
        // Looked for again at the next slow path.
        Atomics.or(i32, z.line + LINE_REASONS, REASON_ORPHANS);
      } else if (claimOrphan(z, item, mark)) remakeOrLeave(item, mark, keg, z.zone);
    }
    Atomics.compareExchange(i32, z.zone + ZONE_ORPHANS, ~me, 0);
  }

  function callAll(): void {
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone === 0 || Atomics.load(i32, zone + ZONE_ORPHANS) === 0) continue;
      closing.call(zone, REASON_ORPHANS);
      if (registry.isOpenBy(floor.slotWord, id)) Atomics.or(i32, records.lineOf(floor.slotWord, id) + LINE_REASONS, REASON_ORPHANS);
    }
  }

  function suspectAll(): void {
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone !== 0) Atomics.store(i32, zone + ZONE_ORPHANS, 1);
    }
  }

  return { dispose, finish, callAll, suspectAll };
}
