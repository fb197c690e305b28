/**
 * What is done about arenas when a worker has died: spans that it had in its hands go home, an arena that it was taking apart is
 * taken apart, and what it had allocated is made nobody's and reported. Each step can be repeated.
 */
import type { Floor } from "../memory/floor.ts";
import {
  ARENA_SPAN_FIRST,
  ARENA_STATE,
  ARENA_STATE_LIVE,
  MARK_ORPHAN,
  SPAN_ARENA,
  SPAN_HELD,
  SPAN_SIZE,
  SPAN_SOURCE,
  SPAN_START,
  TAG_OWNER,
  TAG_SEGMENT_FREE,
  TAG_SPAN_IMPORTED,
} from "../memory/layout.ts";
import type { ArenaRecords } from "./arena-records.ts";
import { PROVIDED } from "./backing.ts";
import { dismantle } from "./ending.ts";
import { type Engine, WANTS_TAGS } from "./engine.ts";
import { giveSpan } from "./giving.ts";
import type { ArenaHandle } from "./handle.ts";
import { walkedOf } from "./looking.ts";
import { SOURCE_USER } from "./shared-porter.ts";
import { OVERLAPS } from "./spans.ts";
import { createWalker } from "./walk.ts";

/** What a dead worker had allocated in an arena: kept, and nobody's now. */
export interface ArenaLeftover {
  readonly arena: string;
  readonly start: number;
  readonly size: number;
}

export interface ArenaRecovery {
  /** Completes the frame of a span in flight. @returns false when a lock was out of reach. */
  finishFrame(frame: number): boolean;
  /** Deals with what a dead worker left in arenas. @returns null when a lock was out of reach. */
  recover(name: number): ArenaLeftover[] | null;
}

/** What recovery needs of those who know all handles. */
export interface RecoveryServices {
  readonly at: (a: number) => ArenaHandle;
  /** Runs `work` without looking for frames to complete meanwhile. */
  quietly<T>(work: () => T): T;
}

export function createArenaRecovery(floor: Floor, records: ArenaRecords, engine: Engine, services: RecoveryServices): ArenaRecovery {
  const { i32, f64 } = floor.cells;
  const { set, commit } = floor.journal;
  const { at } = services;

  function finishFrame(frame: number): boolean {
    if (i32[frame + SPAN_HELD] !== 0 && !services.quietly(() => sendHome(frame))) return false;
    f64[(frame + SPAN_START) >> 1] = 0;
    f64[(frame + SPAN_SIZE) >> 1] = 0;
    return true;
  }

  function sendHome(frame: number): boolean {
    const start = f64[(frame + SPAN_START) >> 1];
    const size = f64[(frame + SPAN_SIZE) >> 1];
    const source = i32[frame + SPAN_SOURCE];
    if (source > 0) return giveSpan(at(source), start, size, frame);
    // A user's span: back into the arena, whose threads have the functions. If its release was called, it is gone.
    if (source === SOURCE_USER) return putBack(i32[frame + SPAN_ARENA], start, size, frame);
    i32[frame + SPAN_HELD] = 0;
    return true;
  }

  /** If the arena has ended, nobody here has the functions that it came from: it is lost to them, as if they had been killed with it. */
  function putBack(a: number, start: number, size: number, frame: number): boolean {
    const { backing } = at(a);
    for (;;) {
      if (!backing.enter(true)) return false;
      let want: number;
      try {
        if (!backing.isAlive() || !backing.isHomeOf(frame)) {
          set(frame + SPAN_HELD, 0);
          commit();
          return true;
        }
        want = engine.wants(a, commit);
        if (want !== WANTS_TAGS) {
          const after = engine.spans.placeFor(a, start, size);
          if (after !== OVERLAPS) engine.spans.insert(a, after, start, size, TAG_SPAN_IMPORTED);
          set(frame + SPAN_HELD, 0);
          commit();
          return true;
        }
      } finally {
        backing.leave();
      }
      if (backing.provide(want, true) !== PROVIDED) return false;
    }
  }

  function recover(name: number): ArenaLeftover[] | null {
    const left: ArenaLeftover[] = [];
    // A list of its own: whoever ends an arena meanwhile takes its record to the free ones, and a walk along with it.
    const found = records.collect(name);
    if (found === null) return null;
    for (const { a, ends } of found) {
      if (ends ? !finish(a, name) : !sweep(a, name, left)) return null;
    }
    return left;
  }

  /** Takes apart what the dead worker was taking apart. @returns false when a lock was out of reach. */
  function finish(a: number, name: number): boolean {
    const handle = at(a);
    try {
      dismantle(handle, name);
      handle.backing.end(name);
      return true;
    } catch {
      return false;
    }
  }

  /** Finds what the dead worker had allocated without the lock, and makes it nobody's under it, one by one. */
  function sweep(a: number, name: number, left: ArenaLeftover[]): boolean {
    if (i32[a + ARENA_SPAN_FIRST] === 0 || i32[a + ARENA_STATE] !== ARENA_STATE_LIVE) return true;
    const handle = at(a);
    const { backing } = handle;
    // The lock once: whoever died in the middle of a change, and is not recovered yet, must be so first.
    if (!backing.enter(true)) return false;
    backing.leave();
    const walker = createWalker(walkedOf(handle), 0);
    while (walker.next()) {
      if (walker.found.kind === TAG_SEGMENT_FREE || walker.found.owner !== name) continue;
      const { start } = walker.found;
      if (!backing.enter(true)) return false;
      try {
        const tag = engine.segments.lookup(a, start);
        if (tag === 0 || i32[tag + TAG_OWNER] !== name) continue;
        set(tag + TAG_OWNER, MARK_ORPHAN);
        commit();
        left.push({ arena: records.nameAt(a), start, size: walker.found.size });
      } finally {
        backing.leave();
      }
    }
    return !walker.hasGaps();
  }

  return { finishFrame, recover };
}
