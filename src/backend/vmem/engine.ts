/**
 * The engine of an arena: its policies over its tags, for any number of arenas whose control blocks lie in one ground.
 *
 * It knows neither locks nor threads, neither where tags come from nor where spans do: whoever calls it holds the arena's lock
 * (where there is one), has seen to it that tags are at hand ({@link Engine.wants}), and commits or undoes the transaction.
 * The same engine runs in the shared memory, and in the private buffer of a local arena.
 */
import {
  ARENA_FREE_LISTS,
  ARENA_IN_USE,
  ARENA_ROTOR,
  ARENA_ROTOR_AT,
  ARENA_TOTAL,
  TAG_KIND,
  TAG_LINK_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_XBUSY,
  TAG_SIZE,
} from "../memory/layout.ts";
import { createFits, type Fits } from "./fits.ts";
import { POLICY_NEXT, type Request } from "./request.ts";
import { createSegments, type Ground, type Segments } from "./segments.ts";
import { createSpans, type Spans } from "./spans.ts";

/** No integer of an arena: the answer of an allocation that is none. */
export const NONE = -1;

/** What an arena wants before it can serve: nothing, tags, or a table for its hash. */
export const WANTS_NOTHING = 0;
export const WANTS_TAGS = 1;
export const WANTS_TABLE = 2;

/** How a free can fail. */
export const FREED = 0;
export const FREE_UNKNOWN = 1;
export const FREE_WRONG_SIZE = 2;
export const FREE_WRONG_KIND = 3;

/** Tags that an operation may need at once: a span (two) and a segment cut from its middle (two), and as many to spare. */
export const TAG_RESERVE = 8;
/** Buckets of the hash split for one insertion at most: one is enough to keep pace, two to catch up. */
const SPLITS = 2;
/** Members of the top list that are looked at for the largest free segment. */
const LARGEST_LOOKS = 32;

export interface Engine {
  readonly ground: Ground;
  readonly segments: Segments;
  readonly spans: Spans;
  readonly fits: Fits;
  /** What must be provided before anything is taken; lets the hash keep pace meanwhile, in transactions of its own. */
  wants(a: number, commit: () => void): number;
  /** Takes what is requested. @returns its start, NONE. */
  take(a: number, r: Request, kind: number, owner: number): number;
  /**
   * Frees what begins at `start`.
   * @param guarded - refuses what nobody owns.
   * @returns FREED, or why not; nothing has changed then.
   */
  give(a: number, start: number, size: number, kind: number, guarded: boolean): number;
  /** Marker of the imported span that the last `give` has left wholly free; 0 = it has not. */
  emptied(): number;
  /** Largest free segment: exact when its list has few members, otherwise a lower bound; without the lock a hint. */
  largestFree(a: number): number;
  inUse(a: number): number;
  total(a: number): number;
}

export function createEngine(ground: Ground): Engine {
  const { i32, f64 } = ground.cells;
  const { set, setNumber } = ground.journal;
  const segments = createSegments(ground);
  const spans = createSpans(ground, segments);
  const fits = createFits(ground, segments);
  let emptiedMarker = 0;

  function wants(a: number, commit: () => void): number {
    if (!segments.hasTags(a, TAG_RESERVE)) return WANTS_TAGS;
    for (let n = 0; n < SPLITS && segments.hash.isDense(a); n++) {
      if (segments.hash.missingTable(a) >= 0) return WANTS_TABLE;
      segments.hash.splitBucket(a);
      commit();
    }
    return WANTS_NOTHING;
  }

  function take(a: number, r: Request, kind: number, owner: number): number {
    const tag = fits.find(a, r);
    if (tag === 0) return NONE;
    const start = r.start;
    const busy = segments.carve(a, tag, start, r.size, kind, owner);
    if (r.policy === POLICY_NEXT) {
      set(a + ARENA_ROTOR, busy);
      setNumber(a + ARENA_ROTOR_AT, start + r.size);
    }
    return start;
  }

  function give(a: number, start: number, size: number, kind: number, guarded: boolean): number {
    emptiedMarker = 0;
    const tag = segments.lookup(a, start);
    if (tag === 0 || (guarded && i32[tag + TAG_OWNER] === 0)) return FREE_UNKNOWN;
    if (i32[tag + TAG_KIND] !== kind) return FREE_WRONG_KIND;
    if (f64[(tag + TAG_SIZE) >> 1] !== size) return FREE_WRONG_SIZE;
    emptiedMarker = spans.wholeImport(segments.release(a, tag));
    return FREED;
  }

  function largestFree(a: number): number {
    let list = 52;
    while (list >= 0 && i32[a + ARENA_FREE_LISTS + list] === 0) list--;
    if (list < 0) return 0;
    const least = 2 ** list;
    let largest = least;
    let looks = 0;
    for (let tag = i32[a + ARENA_FREE_LISTS + list]; tag > 0 && looks < LARGEST_LOOKS; tag = i32[tag + TAG_LINK_NEXT]) {
      looks++;
      // Read without the lock, a tag may be another by now: a size that is not of this list is none.
      const size = f64[(tag + TAG_SIZE) >> 1];
      if (size > largest && size < 2 * least) largest = size;
    }
    return largest;
  }

  return {
    ground,
    segments,
    spans,
    fits,
    wants,
    take,
    give,
    emptied: () => emptiedMarker,
    largestFree,
    inUse: (a) => f64[(a + ARENA_IN_USE) >> 1],
    total: (a) => f64[(a + ARENA_TOTAL) >> 1],
  };
}

export function busyKind(xalloc: boolean): number {
  return xalloc ? TAG_SEGMENT_XBUSY : TAG_SEGMENT_BUSY;
}
