/**
 * What is done about arenas when a worker has died: spans that it had in its hands go home, an arena that it was taking apart is
 * taken apart, and what it had allocated is made nobody's and reported. Each step can be repeated.
 */
import type { Floor } from "../memory/floor.ts";
import {
  ARENA_FIRST,
  ARENA_SPAN_FIRST,
  ARENA_STATE,
  ARENA_STATE_LIVE,
  MARK_ORPHAN,
  SPAN_ARENA,
  SPAN_HELD,
  SPAN_SIZE,
  SPAN_SOURCE,
  SPAN_START,
  TAG_KIND,
  TAG_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_CACHE,
  TAG_SIZE,
  TAG_SPAN_IMPORTED,
  TAG_START,
} from "../memory/layout.ts";
import type { ArenaRecords } from "./arena-records.ts";
import { PROVIDED } from "./backing.ts";
import { dismantle } from "./ending.ts";
import { type Engine, WANTS_NOTHING, WANTS_TAGS } from "./engine.ts";
import { callWaiters, giveSpan } from "./giving.ts";
import type { ArenaHandle } from "./handle.ts";
import { SOURCE_USER } from "./shared-porter.ts";
import { OVERLAPS } from "./spans.ts";

/** Allocated segments that a sweep looks at before it lets the lock go for once. */
const PIECE = 4096;

/** What a dead worker had allocated in an arena: kept, and nobody's now. */
export interface ArenaLeftover {
  readonly arena: string;
  readonly start: number;
  readonly size: number;
}

export interface ArenaRecovery {
  /** Completes the frame of a span in flight. @returns false when a lock was out of reach. */
  finishFrame(frame: number): boolean;
  /**
   * Deals with what a dead worker left in arenas.
   * @param left - gets what it had allocated; also what was found before a lock was out of reach, which the next try does not find again.
   * @returns false when a lock was out of reach.
   */
  recover(name: number, left: ArenaLeftover[]): boolean;
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
    const handle = at(a);
    const { backing } = handle;
    for (let tries = 0; ; tries++) {
      if (!backing.enter(true)) return false;
      let want: number;
      let wake = false;
      try {
        if (!backing.isAlive() || !backing.isHomeOf(frame)) {
          set(frame + SPAN_HELD, 0);
          commit();
          return true;
        }
        want = engine.wants(a, commit);
        // What could not be provided may not be needed: a span takes two tags.
        if (want !== WANTS_TAGS || (tries > 0 && engine.segments.hasTags(a, 2))) {
          want = WANTS_NOTHING;
          const after = engine.spans.placeFor(a, start, size);
          if (after !== OVERLAPS) {
            engine.spans.insert(a, after, start, size, TAG_SPAN_IMPORTED);
            wake = callWaiters(handle);
          }
          set(frame + SPAN_HELD, 0);
          commit();
        }
      } finally {
        backing.leave();
      }
      if (wake) backing.wake();
      if (want === WANTS_NOTHING) return true;
      if (backing.provide(want, true) !== PROVIDED && tries > 0) return false;
    }
  }

  function recover(name: number, left: ArenaLeftover[]): boolean {
    // A list of its own: whoever ends an arena meanwhile takes its record to the free ones, and a walk along with it.
    const found = records.collect(name);
    if (found === null) return false;
    for (const { a, ends } of found) {
      if (ends ? !finish(a, name) : !sweep(a, name, left)) return false;
    }
    return true;
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

  /**
   * Makes what the dead worker had allocated nobody's, under the lock: without it, a free that is undone later would hide a segment.
   * The lock is let go every PIECE segments; what stood there then has been seen, and is gone on from by its start.
   */
  function sweep(a: number, name: number, left: ArenaLeftover[]): boolean {
    if (i32[a + ARENA_SPAN_FIRST] === 0 || i32[a + ARENA_STATE] !== ARENA_STATE_LIVE) return true;
    const { backing } = at(a);
    let seen = -1;
    for (let piece = PIECE; ; ) {
      if (!backing.enter(true)) return false;
      try {
        if (!backing.isAlive()) return true;
        const last = seen < 0 ? 0 : engine.segments.lookup(a, seen);
        // Freed meanwhile: from the beginning, and further this time.
        if (seen >= 0 && last === 0) piece *= 2;
        seen = sweepPiece(a, name, left, last === 0 ? i32[a + ARENA_FIRST] : i32[last + TAG_NEXT], piece);
      } finally {
        backing.leave();
      }
      if (seen < 0) return true;
    }
  }

  /** @returns start of the last of `count` allocated segments from `from` on; −1 when there are no more. */
  function sweepPiece(a: number, name: number, left: ArenaLeftover[], from: number, count: number): number {
    let n = 0;
    for (let tag = from; tag !== 0; tag = i32[tag + TAG_NEXT]) {
      const kind = i32[tag + TAG_KIND];
      if (kind < TAG_SEGMENT_BUSY || kind > TAG_SEGMENT_CACHE) continue;
      const start = f64[(tag + TAG_START) >> 1];
      if (i32[tag + TAG_OWNER] === name) {
        set(tag + TAG_OWNER, MARK_ORPHAN);
        commit();
        left.push({ arena: records.nameAt(a), start, size: f64[(tag + TAG_SIZE) >> 1] });
      }
      if (++n === count) return start;
    }
    return -1;
  }

  return { finishFrame, recover };
}
