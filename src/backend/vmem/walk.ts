/**
 * Walking an arena while others allocate.
 *
 * The walker reads tags without the arena's lock. That is safe because a tag is a tag for ever, and checked because a read can
 * come in the middle of a change: what counts is the tiling. Behind a segment that ends at c comes the one that begins at c, or
 * the end of the span. If what is found does not go on where the walker stands, the tag it came from has gone: it goes back
 * along its trail to the last tag that is still there, or to the list of the spans, and forward again over what it has shown.
 * After some vain tries it waits for the lock once (and lets it go at once): then no change is under way.
 *
 * So nothing is shown twice, ascending order is kept, and what stands still while the walk passes is shown as it is.
 */
import {
  ARENA_SPAN_FIRST,
  TAG_KIND,
  TAG_LINK_NEXT,
  TAG_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_CACHE,
  TAG_SEGMENT_FREE,
  TAG_SIZE,
  TAG_SPAN,
  TAG_SPAN_IMPORTED,
  TAG_START,
} from "../memory/layout.ts";
import type { Engine } from "./engine.ts";

/** A stretch of an arena's integers. */
export interface Segment {
  readonly start: number;
  readonly size: number;
  /** "alloc" and "xalloc" after the call that took it; "cache": in the hands of the quantum caches; "free". */
  readonly state: "free" | "alloc" | "xalloc" | "cache";
}

export interface WalkOptions {
  /** Which segments are shown. Default "all". */
  readonly which?: "all" | "alloc" | "free";
  /** A consistent copy, taken under the lock, instead of a re-entrant walk. */
  readonly snapshot?: boolean;
}

/** What a walk needs of its arena. */
export interface Walked {
  readonly a: number;
  engine(): Engine;
  /** Whether the arena is still the one the walk began in. */
  isAlive(): boolean;
  /** Waits until no change is under way. */
  synchronise(): void;
}

/** Tags that the walker can go back to. */
const TRAIL = 64;
/** Vain tries before it waits for the lock. */
const PATIENT_TRIES = 4;
/** Vain tries at one place before it goes on behind it. */
const MOST_TRIES = 64;

export interface Walker {
  /** Goes to the next segment from where it stands. @returns false at the end. */
  next(): boolean;
  /** Whether it had to leave something out: a change was under way all the time, as when a worker dies in the middle of one. */
  hasGaps(): boolean;
  /** What `next` found. */
  readonly found: { start: number; size: number; kind: number; owner: number };
}

/** @param from - integer to begin at. */
export function createWalker(walked: Walked, from: number): Walker {
  const { a } = walked;
  const found = { start: 0.5, size: 0.5, kind: 0, owner: 0 };
  const trail: number[] = [];
  let cursor = from;
  /** The tag to look at next; 0 = look for the span that goes on. */
  let at = 0;
  /** End of the span the walker is in; it is through with it when the cursor is there. */
  let spanEnd = from;
  let tries = 0;
  let gaps = false;

  function next(): boolean {
    while (walked.isAlive()) {
      if (at === 0 && !enterSpan()) return false;
      const step = at === 0 ? ASTRAY : look();
      if (step === SHOW) {
        tries = 0;
        return true;
      }
      if (step === ASTRAY) goBack();
    }
    return false;
  }

  /** Finds the first span that ends behind the cursor. @returns false when there is none. */
  function enterSpan(): boolean {
    const { i32, f64 } = walked.engine().ground.cells;
    for (let marker = i32[a + ARENA_SPAN_FIRST]; marker > 0; marker = i32[marker + TAG_LINK_NEXT]) {
      const start = f64[(marker + TAG_START) >> 1];
      const size = f64[(marker + TAG_SIZE) >> 1];
      const kind = Atomics.load(i32, marker + TAG_KIND);
      // A marker that is none any more: the list of the spans is being changed.
      if (kind !== TAG_SPAN && kind !== TAG_SPAN_IMPORTED) return true;
      if (start + size <= cursor) continue;
      cursor = Math.max(cursor, start);
      spanEnd = start + size;
      trail.length = 0;
      trail.push(marker);
      at = i32[marker + TAG_NEXT];
      return true;
    }
    return false;
  }

  /** Looks at the tag `at`, and goes on from it if it is what it should be. */
  function look(): number {
    const { i32, f64 } = walked.engine().ground.cells;
    const kind = Atomics.load(i32, at + TAG_KIND);
    const start = f64[(at + TAG_START) >> 1];
    const size = f64[(at + TAG_SIZE) >> 1];
    const owner = i32[at + TAG_OWNER];
    const following = i32[at + TAG_NEXT];
    if (kind < TAG_SEGMENT_FREE || kind > TAG_SEGMENT_CACHE) return ASTRAY;
    const end = start + size;
    // A free segment keeps its tag when something is cut from its front, or joined to it: start and size go one after the other.
    if (Atomics.load(i32, at + TAG_KIND) !== kind || f64[(at + TAG_SIZE) >> 1] !== size || f64[(at + TAG_START) >> 1] !== start)
      return ASTRAY;
    if (start > cursor || end > spanEnd) return ASTRAY;
    // What follows must be there, unless this is the end of the span.
    if (end !== spanEnd && following === 0) return ASTRAY;
    if (trail.push(at) > TRAIL) trail.shift();
    at = end === spanEnd ? 0 : following;
    if (end <= cursor) return SKIP;
    // What was joined to something shown already: the rest of it, if it is free; an allocation has begun behind the walker.
    const rest = cursor;
    cursor = end;
    if (start < rest && kind !== TAG_SEGMENT_FREE) return SKIP;
    found.start = Math.max(start, rest);
    found.size = end - found.start;
    found.kind = kind;
    found.owner = owner;
    return SHOW;
  }

  function goBack(): void {
    const { i32, f64 } = walked.engine().ground.cells;
    tries++;
    if (tries > PATIENT_TRIES) walked.synchronise();
    if (tries > MOST_TRIES) {
      // This very place is being changed all the time: leave the span's rest out, rather than never come back.
      gaps = true;
      cursor = spanEnd > cursor ? spanEnd : Infinity;
      at = 0;
      tries = 0;
      return;
    }
    for (let tag = trail.pop(); tag !== undefined; tag = trail.pop()) {
      const kind = i32[tag + TAG_KIND];
      const start = f64[(tag + TAG_START) >> 1];
      if (kind < TAG_SEGMENT_FREE || kind > TAG_SEGMENT_CACHE || start > cursor || start + f64[(tag + TAG_SIZE) >> 1] > spanEnd) continue;
      at = tag;
      return;
    }
    at = 0;
  }

  return { next, hasGaps: () => gaps, found };
}

const SHOW = 0;
const SKIP = 1;
const ASTRAY = 2;

export function stateOfKind(kind: number): Segment["state"] {
  if (kind === TAG_SEGMENT_FREE) return "free";
  return kind === TAG_SEGMENT_BUSY ? "alloc" : kind === TAG_SEGMENT_CACHE ? "cache" : "xalloc";
}

/** Whether a walk shows segments of `kind`. */
export function isShown(kind: number, which: WalkOptions["which"]): boolean {
  return which === undefined || which === "all" || (which === "free") === (kind === TAG_SEGMENT_FREE);
}
