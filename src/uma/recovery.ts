/**
 * Recovery: what is done when a worker has died, at whatever instant.
 *
 * Whoever holds the death certificate marks the slot DEAD and claims it; one recoverer works at a time, and a dead one is replaced.
 * Every step can be repeated, and leaves all invariants true:
 *
 *  1. *Journal and lock*: what the dead worker had not committed is undone, its lock let go.
 *  2. *Buckets*: those its cache lines name go to the depots; the marks of what lies in them are cleared (the bucket beats the mark).
 *  3. *Intents*: slabs half built or half dismantled are completed or put back, pages and buckets on their way go home.
 *  4. *Marks*: an item that is still marked with its name was outstanding, or half built, or half destroyed. What becomes of it is in
 *     orphans.ts.
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
  KEG_FLAGS,
  KEG_SHIFT,
  MARK_BUSY,
  MARK_FREE,
  MARK_ORPHAN,
  NO_BUCKET,
  REASON_DYING,
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
  ZONE_KEG,
  ZONE_STATE,
  ZONE_STATE_DYING,
} from "../backend/memory/layout.ts";
import { slotOf } from "../backend/memory/names.ts";
import { BUCKET_WORDS_OF_LINE } from "./census.ts";
import type { Closing } from "./closing.ts";
import { type Core, finishUnfinished } from "./core.ts";
import { FLAG_UNCHECKED } from "./definition.ts";
import type { Handles } from "./handles.ts";
import { createMarkScan } from "./marks.ts";
import type { Orphans } from "./orphans.ts";
import { BUSY, OK, type Outcome } from "./outcome.ts";
import type { Records } from "./records.ts";
import { type RecoveryReport, emptyReport } from "./recovery-report.ts";
import type { Registry } from "./registry.ts";

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
  /** Completes intent frames that this worker had to leave. */
  finishOwnFrames(): void;
}

/** The scan of marks looks at the clock once in so many bytes of heap: a few tens of microseconds. */
const SCAN_SLICE_BYTES = 2 ** 20;

export function createRecovery(
  core: Core,
  records: Records,
  registry: Registry,
  closing: Closing,
  handles: Handles,
  orphans: Orphans,
): Recovery {
  const { floor, caches, gates, kegs, slabs, heap, arenas } = core;
  const { i32, u8, f64 } = floor.cells;
  const { slots, locks, handing, patienceMs, me, slot: mySlot } = floor;
  const { set, commit } = floor.journal;
  const { heapStart, heapEnd } = floor.geometry;
  const { kegHandle, zoneHandle } = handles;
  const scan = createMarkScan(floor, slabs);

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
    orphans.callAll();
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
      } else if (kegs.finishFrame(frame, kegHandle(i32[frame + INTENT_KEG]), false) !== OK) {
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

  function sweepMarks(at: number, name: number, report: RecoveryReport): Outcome {
    const deadSlot = slotOf(name);
    const scanner = i32[at + SLOT_RECOVERY_PHASE];
    // One that died while it was leaving has gone past what it could not finish: that is BUSY in its own name.
    let from = scanner === 0 || scanner === name ? heapStart : i32[at + SLOT_RECOVERY_AT] >>> 0;
    // Whoever scanned before may have died between leaving an orphan and saying so.
    if (scanner !== 0 && scanner !== me) orphans.suspectAll();
    i32[at + SLOT_RECOVERY_AT] = from;
    i32[at + SLOT_RECOVERY_PHASE] = me;
    while (from < heapEnd) {
      const to = Math.min(from + SCAN_SLICE_BYTES, heapEnd);
      while (scan.next(deadSlot, from, to, 0)) {
        const { item, mark, value, keg } = scan.found;
        orphans.dispose(item, mark, value, keg, report);
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
    return core.areas.recover(name, report.areas) ? OK : BUSY;
  }

  function sweepArenas(name: number, report: RecoveryReport): Outcome {
    return arenas.recover(name, report.arenas) ? OK : BUSY;
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
    orphans.callAll();
    return report;
  }

  return { run, outOfTime: () => late, leave, finishOwnFrames };
}
