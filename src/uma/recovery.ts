/**
 * Recovery: what is done when a worker has died, at whatever instant.
 *
 * Whoever holds the death certificate marks the slot DEAD and claims it; one recoverer works at a time, and a dead one is replaced.
 * Every step can be repeated, and leaves all invariants true:
 *
 *  1. *Journal and lock*: what the dead worker had not committed is undone, its lock let go.
 *  2. *Buckets*: those its cache lines name go to the depots; the marks of what lies in them are cleared (the bucket beats the mark).
 *  3. *Intents*: slabs half built or half dismantled are completed or put back, pages and buckets on their way go home.
 *  4. *Marks*: an item that is still marked with its name was outstanding. By the zone's policy it is kept and reported (ORPHAN,
 *     to be freed by whoever has it), or freed through dtor. An item that was BUSY was half built or half destroyed: it never sees
 *     dtor or fini again, but is zeroed and initialised anew. Where that takes hooks that this thread has not got, the item is left
 *     as ORPHAN and the workers that have the zone open are called.
 *  5. *Blocks* straight from the heap, *mapped areas*, and what it had in arenas, are reported and become nobody's; an area half
 *     built or half taken apart goes; an arena that it was taking apart is taken apart.
 *  6. *Openings* end (the last one of a dying zone takes it apart; those who still have it open are called again); the workers it had
 *     started are dead, too, unless its certificate speaks for it alone; the slot is free again, at the next generation.
 *
 * Steps answer BUSY when a lock is out of reach (its holder may be dead as well, its certificate still on the way): then the
 * claim is given up, and the recovery is simply run again later.
 */
import {
  ARENA_FIRST,
  ARENA_LOCK,
  BUCKET_EMPTY,
  BUCKET_MASK,
  INTENT_BUCKET,
  INTENT_KEG,
  INTENT_KIND,
  INTENT_NONE,
  INTENT_SPAN,
  INTENT_WORDS,
  INTENT_ZONE,
  KEG_ARENA,
  KEG_FLAGS,
  KEG_HOOKS,
  KEG_LOCK,
  KEG_MOST_ZONES,
  KEG_SHIFT,
  KEG_SIZE,
  KEG_TAG,
  KEG_ZONES,
  LINE_REASONS,
  MARK_BUSY,
  MARK_FREE,
  MARK_ORPHAN,
  NO_BUCKET,
  REASON_DYING,
  REASON_ORPHANS,
  SLOT_INTENTS,
  SLOT_INTENT_DEPTH,
  SLOT_RECOVERY_AT,
  SLOT_RECOVERY_PHASE,
  SLOT_SMR,
  TAG_KIND,
  TAG_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_BUSY,
  TAG_SIZE,
  TAG_START,
  ZONE_CLOSER,
  ZONE_FLAGS,
  ZONE_ID,
  ZONE_KEG,
  ZONE_ORPHANS,
  ZONE_STATE,
  ZONE_STATE_DYING,
} from "../backend/memory/layout.ts";
import type { ArenaLeftover } from "../backend/vmem/arenas.ts";
import { generationOf, slotOf } from "../backend/memory/names.ts";
import { BUCKET_WORDS_OF_LINE } from "./census.ts";
import type { Closing } from "./closing.ts";
import { type Core, finishUnfinished } from "./core.ts";
import { FLAG_FREE_ON_DEATH, FLAG_SMR, FLAG_NOTOUCH, FLAG_UNCHECKED } from "./definition.ts";
import { HOOK_INIT } from "./hooks.ts";
import type { KegHandle } from "./keg.ts";
import { createMarkScan } from "./marks.ts";
import { BUSY, OK, type Outcome } from "./outcome.ts";
import type { Records } from "./records.ts";
import type { Registry } from "./registry.ts";
import type { AreaLeftover } from "./vmalloc/areas.ts";
import type { Zone } from "./zone.ts";

/** What a dead worker left of one zone. */
export interface Leftovers {
  readonly zone: string;
  /** Items kept: outstanding, now without a live owner. The addresses of the first of them. */
  kept: number;
  readonly items: number[];
  /** Items freed through dtor. */
  freed: number;
  /** Half-built or half-destroyed items that were initialised anew. */
  remade: number;
  /** Items left for a worker that has the zone open. */
  orphaned: number;
}

/** The end of a worker. */
export interface RecoveryReport {
  readonly slot: number;
  readonly generation: number;
  /** False when a lock was out of reach: call again. */
  done: boolean;
  readonly zones: Leftovers[];
  /** Blocks straight from the arena: byte address and bytes. */
  readonly blocks: { readonly address: number; readonly bytes: number }[];
  /** Areas that it had mapped: kept, and nobody's now. */
  readonly areas: AreaLeftover[];
  /** What it had allocated in arenas: kept, and nobody's now. */
  readonly arenas: ArenaLeftover[];
  /** Workers that this one had started: dead, too. */
  readonly children: RecoveryReport[];
}

export interface Recovery {
  /**
   * Recovers the dead worker `name` (already certified), as far as it gets; called again, it goes on, in the same report.
   * @param until - stop the scan of marks at this time (`performance.now()`), to be called again.
   * @param ended - its thread has ended, and what it had started with it, although it may have left in order before; else only what
   * it has left behind is recovered.
   * @returns null when it is over, or this thread is at it further down its stack; not `done` while another is at it.
   */
  run(name: number, until?: number, ended?: boolean): RecoveryReport | null;
  /** Whether the last run was cut short by its time, not by a lock. */
  outOfTime(): boolean;
  /** Deals with what this worker still owns when it leaves in order; repeatable while the report is not done. */
  leave(): RecoveryReport;
  /** Finishes the orphans of a zone that this thread has open. */
  finishOrphans(z: Zone): void;
  /** Completes intent frames that this worker had to leave. */
  finishOwnFrames(): void;
}

/** Addresses that a report lists for each zone. */
const LISTED_ITEMS = 1000;
/** The scan of marks looks at the clock once in so many bytes of heap: a few tens of microseconds. */
const SCAN_SLICE_BYTES = 2 ** 20;

export function createRecovery(core: Core, records: Records, registry: Registry, closing: Closing): Recovery {
  const { floor, caches, gates, kegs, slabs, items, heap, arenas, views } = core;
  const { i32, u8, f64 } = floor.cells;
  const { slots, locks, intents, handing, patienceMs, me, slot: mySlot } = floor;
  const { set, commit } = floor.journal;
  const { heapStart, heapEnd } = floor.geometry;
  const scan = createMarkScan(floor, slabs);

  function emptyReport(name: number): RecoveryReport {
    return { slot: slotOf(name), generation: generationOf(name), done: false, zones: [], blocks: [], areas: [], arenas: [], children: [] };
  }

  /** Reports of recoveries that were cut short, and names of those that are under way: a hook may ask for the same one. */
  const begun = new Map<number, RecoveryReport>();
  const running = new Set<number>();

  /** When the scan of marks is to stop. */
  let deadline = Number.POSITIVE_INFINITY;
  let late = false;

  function run(name: number, until: number = Number.POSITIVE_INFINITY, ended = true): RecoveryReport | null {
    if (running.has(name)) return null;
    locks.mend();
    finishOwnFrames();
    running.add(name);
    // A hook that runs meanwhile may recover somebody else, without such a bound.
    const outer = deadline;
    deadline = until;
    late = false;
    const report = begun.get(name) ?? emptyReport(name);
    try {
      const course = recover(name, report, ended);
      if (course === "nothing") return null;
      if (course === "others") return report;
      if (report.done) begun.delete(name);
      else begun.set(name, report);
      return report;
    } catch (thrown) {
      // Whoever tries it next must be able to claim it, and goes on in the same report; what was half changed is undone before.
      locks.mend();
      if (slots.isDead(name)) {
        begun.set(name, report);
        slots.unclaim(name, me);
      }
      throw thrown;
    } finally {
      running.delete(name);
      deadline = outer;
    }
  }

  /**
   * @returns "nothing" when there is nothing to do (any more); "others" when another is at it: its recoverer, or one who waits for its
   * lock and undoes what it had open, and then lets go of it again. That may know less than this one: it is asked again.
   */
  function recover(name: number, report: RecoveryReport, ended: boolean): "nothing" | "others" | "told" {
    // A recoverer that died itself may have been in the middle of a transaction over what it was recovering.
    if (!locks.settle(slots.reaper(name))) return "others";
    if (!slots.claim(name, me)) {
      begun.delete(name);
      if (slots.isDead(name)) return "others";
      if (!ended) return "nothing";
      // It left in order before it died; the workers it had started died with it all the same.
      report.done = recoverChildren(name, report) === OK;
      return !report.done || report.children.length > 0 ? "told" : "nothing";
    }
    const at = slots.wordOf(slotOf(name));
    locks.salvage(name);
    certifyDescendants();
    if (
      sweepLines(at, slotOf(name)) !== OK ||
      sweepWaits(at) !== OK ||
      finishFrames(at) !== OK ||
      // Whoever is just giving it something has done so before the marks are gone through, or never will.
      handing.isUnderWay(name) ||
      sweepMarks(at, name, report) !== OK ||
      sweepBlocks(name, report) !== OK ||
      sweepAreas(name, report) !== OK ||
      sweepArenas(name, report) !== OK ||
      endOpenings(at, name) !== OK ||
      recoverChildren(name, report) !== OK
    ) {
      slots.unclaim(name, me);
      return "told";
    }
    callForOrphans();
    // Its section has ended with it.
    Atomics.store(i32, at + SLOT_SMR, 0);
    i32[at + SLOT_RECOVERY_PHASE] = 0;
    i32[at + SLOT_RECOVERY_AT] = 0;
    report.done = true;
    // What it had taken of limits may be there again, and a wake-up may have died with it.
    for (let id = registry.highest(); id > 0; id--) if (registry.recordOf(id) !== 0) core.queue.wakeAll(registry.recordOf(id));
    slots.retire(name);
    return "told";
  }

  /** Calls the workers that have a zone open in which items were left for one of them. */
  function callForOrphans(): void {
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone === 0 || Atomics.load(i32, zone + ZONE_ORPHANS) === 0) continue;
      closing.call(zone, REASON_ORPHANS);
      if (registry.isOpenBy(floor.slotWord, id)) Atomics.or(i32, records.lineOf(floor.slotWord, id) + LINE_REASONS, REASON_ORPHANS);
    }
  }

  function sweepLines(at: number, deadSlot: number): Outcome {
    for (let id = registry.highest(); id > 0; id--) {
      if (!registry.isOpenBy(at, id)) continue;
      const zone = registry.recordOf(id);
      const line = records.lineOf(at, id);
      if (zone === 0 || line === 0) continue;
      const keg = i32[zone + ZONE_KEG];
      if ((i32[keg + KEG_FLAGS] & FLAG_UNCHECKED) === 0) clearBucketMarks(line, keg, deadSlot);
      if (caches.drainLine(zone, keg, line) !== OK) return BUSY;
    }
    return OK;
  }

  /** The queues it stood in go on without it. */
  function sweepWaits(at: number): Outcome {
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone === 0 || !core.queue.isWaiting(at, id)) continue;
      if (!core.queue.leave(at, zone)) return BUSY;
      core.queue.pass(zone);
    }
    return OK;
  }

  /** What lies in the dead worker's buckets is free, whatever its mark says. */
  function clearBucketMarks(line: number, keg: number, deadSlot: number): void {
    const shift = i32[keg + KEG_SHIFT];
    for (const word of BUCKET_WORDS_OF_LINE) {
      const position = i32[line + word];
      if (position <= NO_BUCKET) continue;
      for (let at = (position & ~BUCKET_MASK) + BUCKET_EMPTY + 1; at <= position; at++) {
        const mark = slabs.markOf(i32[at], shift);
        const value = Atomics.load(u8, mark);
        if ((value & ~MARK_BUSY) === deadSlot) Atomics.compareExchange(u8, mark, value, MARK_FREE);
      }
    }
  }

  function finishFrames(at: number): Outcome {
    for (let depth = i32[at + SLOT_INTENT_DEPTH]; depth > 0; depth--) {
      const frame = at + SLOT_INTENTS + (depth - 1) * INTENT_WORDS;
      if (i32[frame + INTENT_KIND] === INTENT_SPAN) {
        if (!arenas.finishFrame(frame)) return BUSY;
      } else if (i32[frame + INTENT_KIND] === INTENT_BUCKET) {
        const zone = i32[frame + INTENT_ZONE];
        if (gates.finish(frame, zone === 0 ? null : zoneHandle(zone), at !== floor.slotWord) !== OK) return BUSY;
      } else if (kegs.finishFrame(frame, handleOf(i32[frame + INTENT_KEG]), false) !== OK) {
        return BUSY;
      }
      i32[frame + INTENT_KIND] = INTENT_NONE;
      // Hooks that ran meanwhile may have left frames of their own above it.
      if (i32[at + SLOT_INTENT_DEPTH] === depth) i32[at + SLOT_INTENT_DEPTH] = depth - 1;
    }
    return OK;
  }

  let finishing = false;
  function finishOwnFrames(): void {
    // The hooks that run on the way may come here again.
    if (finishing || !floor.intents.abandoned()) return;
    finishing = true;
    try {
      finishFrames(floor.slotWord);
    } finally {
      finishing = false;
    }
  }

  /** A zone of the keg's as this thread has it open, or null. */
  function handleOf(keg: number): KegHandle | null {
    if (keg === 0) return null;
    for (let n = 0; n < KEG_MOST_ZONES; n++) {
      const zone = i32[keg + KEG_ZONES + n];
      const z = zone === 0 ? null : zoneHandle(zone);
      if (z !== null && z.tag === i32[keg + KEG_TAG]) return z;
    }
    // Or as this thread had it open: what it is taking apart has its hooks and its pages' supplier.
    for (const { zone, handle } of core.closings) {
      if (handle !== null && i32[zone + ZONE_KEG] === keg && handle.tag === i32[keg + KEG_TAG]) return handle;
    }
    return null;
  }

  /** The zone as this thread has it open, or null. */
  function zoneHandle(zone: number): Zone | null {
    const z = core.open[i32[zone + ZONE_ID]];
    return z !== undefined && !z.closed && z.zone === zone ? z : null;
  }

  function sweepMarks(at: number, name: number, report: RecoveryReport): Outcome {
    const deadSlot = slotOf(name);
    const scanner = i32[at + SLOT_RECOVERY_PHASE];
    // One that died while it was leaving has gone past what it could not finish: that is BUSY in its own name.
    let from = scanner === 0 || scanner === name ? heapStart : i32[at + SLOT_RECOVERY_AT] >>> 0;
    // Whoever scanned before may have died between leaving an orphan and saying so.
    if (scanner !== 0 && scanner !== me) suspectOrphans();
    i32[at + SLOT_RECOVERY_AT] = from;
    i32[at + SLOT_RECOVERY_PHASE] = me;
    while (from < heapEnd) {
      const to = Math.min(from + SCAN_SLICE_BYTES, heapEnd);
      while (scan.next(deadSlot, from, to, 0)) {
        const { item, mark, value, keg } = scan.found;
        dispose(item, mark, value, keg, report);
        from = item + 1;
        i32[at + SLOT_RECOVERY_AT] = from;
      }
      from = to;
      i32[at + SLOT_RECOVERY_AT] = from;
      // After a slice, so that each run gets on.
      if (from < heapEnd && performance.now() >= deadline) {
        late = true;
        return BUSY;
      }
    }
    return OK;
  }

  /** Has all zones looked through for orphans by those who have them open. */
  function suspectOrphans(): void {
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone !== 0) Atomics.store(i32, zone + ZONE_ORPHANS, 1);
    }
  }

  /** Deals with one item that nobody owns any more, by its zone's policy. */
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
    return (i32[keg + KEG_HOOKS] & HOOK_INIT) === 0 || (handleOf(keg)?.init ?? null) !== null;
  }

  /** Makes an item that is BUSY in this worker's name anew, or leaves it as an orphan. */
  function remakeOrLeave(item: number, mark: number, keg: number, zone: number): boolean {
    if (remake(item, keg, zone, handleOf(keg))) return true;
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

  function leftoversOf(report: RecoveryReport, zone: string): Leftovers {
    let left = report.zones.find((z) => z.zone === zone);
    if (left === undefined) {
      left = { zone, kept: 0, items: [], freed: 0, remade: 0, orphaned: 0 };
      report.zones.push(left);
    }
    return left;
  }

  /** Blocks straight from the arena: the owner's name is replaced, a few a transaction. */
  function sweepBlocks(name: number, report: RecoveryReport): Outcome {
    if (!locks.acquire(heap.arena + ARENA_LOCK, patienceMs)) return BUSY;
    try {
      for (let tag = i32[heap.arena + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
        if (i32[tag + TAG_KIND] !== TAG_SEGMENT_BUSY || i32[tag + TAG_OWNER] !== name) continue;
        set(tag + TAG_OWNER, MARK_ORPHAN);
        commit();
        report.blocks.push({ address: f64[(tag + TAG_START) >> 1], bytes: f64[(tag + TAG_SIZE) >> 1] });
      }
    } finally {
      locks.release();
    }
    return OK;
  }

  /** Mapped areas: those half built or half taken apart go, the others are kept. */
  function sweepAreas(name: number, report: RecoveryReport): Outcome {
    const left = core.areas.recover(name);
    if (left === null) return BUSY;
    report.areas.push(...left);
    return OK;
  }

  function sweepArenas(name: number, report: RecoveryReport): Outcome {
    const left = arenas.recover(name);
    if (left === null) return BUSY;
    report.arenas.push(...left);
    return OK;
  }

  function endOpenings(at: number, name: number): Outcome {
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone === 0) continue;
      if (registry.isOpenBy(at, id) && !closing.endOpening(at, zone, zoneHandle(zone))) return BUSY;
      if (i32[zone + ZONE_STATE] !== ZONE_STATE_DYING) continue;
      if (i32[zone + ZONE_CLOSER] === name) {
        if (!closing.takeOver(name, zone)) return BUSY;
      } else {
        // Who marked it may have died before everybody was called.
        closing.callAll(zone, REASON_DYING);
      }
    }
    return OK;
  }

  /**
   * The workers that a dead worker had started died with it (Node ends nested workers before their parent's exit), and theirs
   * with them. Said before any lock is waited for: one of them may hold it. Of all the dead, not of one: the recoverer of another may
   * have died before it had said so. Not of those whose certificate speaks for them alone.
   */
  function certifyDescendants(): void {
    for (let slot = 1; slot <= slots.count; slot++) {
      const name = slots.tenant(slot);
      if (slots.hasEnded(name)) certifyChildren(name);
    }
  }

  function certifyChildren(name: number): void {
    for (let slot = 1; slot <= slots.count; slot++) {
      const child = slots.childAt(slot, name);
      // Whoever recovers lives, whoever its ticket is from.
      if (child !== 0 && child !== name && child !== me && slots.certify(child)) certifyChildren(child);
    }
  }

  function recoverChildren(name: number, report: RecoveryReport): Outcome {
    // What it has started lives, as it does itself, or may: then nobody takes up its tickets any more, and that is all that is known.
    const byLock = slots.wasFoundByLock(name);
    if (!byLock && slots.standsAlone(name)) return OK;
    for (let slot = 1; slot <= slots.count; slot++) {
      const child = slots.childAt(slot, name);
      if (child === 0 || child === name || child === me) continue;
      // Said also of one that is dead: it may have certified itself.
      if (!(byLock ? slots.withdraw(child) : slots.certify(child)) && !slots.isDead(child)) continue;
      const inner = run(child, deadline, !byLock);
      if (inner === null || !inner.done) return BUSY;
      report.children.push(inner);
    }
    return OK;
  }

  function leave(): RecoveryReport {
    const report = begun.get(me) ?? emptyReport(me);
    begun.set(me, report);
    // What waits to be put back is BUSY in this worker's name, or its own: it must not be taken for half destroyed, or for kept.
    finishUnfinished(core);
    if (!core.endLateFrees(null) || core.unfinished.length > 0) return report;
    handing.setLeaving(true);
    if (handing.isUnderWay(me)) return report;
    const at = slots.wordOf(mySlot);
    i32[at + SLOT_RECOVERY_PHASE] = 0;
    sweepMarks(at, me, report);
    i32[at + SLOT_RECOVERY_PHASE] = 0;
    finishUnfinished(core);
    report.done =
      sweepBlocks(me, report) === OK && sweepAreas(me, report) === OK && sweepArenas(me, report) === OK && core.unfinished.length === 0;
    callForOrphans();
    return report;
  }

  function finishOrphans(z: Zone): void {
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

  return { run, outOfTime: () => late, leave, finishOrphans, finishOwnFrames };
}
