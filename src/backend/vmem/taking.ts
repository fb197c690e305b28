/**
 * Taking: how an arena serves an allocation that no quantum cache has served.
 *
 * The steps, of which the first that has it ends it: free segments; what the caches give back; a span from the source; what the
 * reclaim callback frees. No lock is held between the steps and none while a function of the user's runs. An allocation that may
 * not wait takes every lock below it by one try: in imports, in the pages for tags, in whatever was left to be finished.
 */
import type { UmaError } from "../memory/errors.ts";
import {
  ARENA_FAILS,
  ARENA_IMPORT_MIN,
  ARENA_LIMIT,
  ARENA_POPULATE_FAILS,
  ARENA_POPULATE_WAITS,
  ARENA_SPAN_FIRST,
  ARENA_TOTAL,
  ARENA_WAITERS,
  ARENA_WAIT_SEQ,
  TAG_LINK_NEXT,
  TAG_SHADOW,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_CACHE,
  TAG_SIZE,
  TAG_SPAN_IMPORTED,
} from "../memory/layout.ts";
import { PROVIDED, PROVIDE_BUSY, type Porter, type SpanInHand } from "./backing.ts";
import { destroyed, failed, spanError } from "./complaints.ts";
import { NONE, WANTS_NOTHING, WANTS_TAGS, busyKind } from "./engine.ts";
import type { ArenaHandle } from "./handle.ts";
import {
  type Constraints,
  type FitOptions,
  MOST_END,
  POLICY_INSTANT,
  type Request,
  emptyRequest,
  fillConstrained,
  fillPlain,
  place,
} from "./request.ts";
import { OVERLAPS } from "./spans.ts";

/** Answer beside NONE: a lock could not be had. */
export const BUSY = -2;

/** An allocation without constraints. @returns its start, NONE or BUSY. */
export function takePlain(h: ArenaHandle, size: number, options: FitOptions | undefined, mayWait: boolean): number {
  h.backing.begin(mayWait);
  fillPlain(h.scratch, size, h.quantum, options, h.name);
  return takeBegun(h, h.scratch, busyKind(false), mayWait);
}

/** As {@link takePlain}, or an error that says why not. */
export function takeOrThrow(h: ArenaHandle, size: number, options: FitOptions | undefined): number {
  const start = takePlain(h, size, options, true);
  if (start < 0) throw failed(h, size);
  return start;
}

/** A constrained allocation. @returns its start, NONE or BUSY. */
export function takeConstrained(h: ArenaHandle, size: number, constraints: Constraints | undefined, mayWait: boolean): number {
  h.backing.begin(mayWait);
  fillConstrained(h.scratch, size, h.quantum, constraints, h.name);
  return takeBegun(h, h.scratch, busyKind(true), mayWait);
}

/**
 * All steps of an allocation below the quantum caches, once what was left behind is completed: hooks may run in that, and use this
 * handle and its one request. @returns the start, NONE or BUSY.
 */
function takeBegun(h: ArenaHandle, request: Request, kind: number, mayWait: boolean): number {
  let start = tryTake(h, request, kind, mayWait);
  if (start < 0) start = takeLong(h, request, kind, mayWait, start, false);
  else h.lastFailure = "NONE";
  return start;
}

/** As {@link takeBegun}, of a request of its own; a failure is remembered, so that the next free wakes whoever waits (see `seenSeq` and `hopeless`). */
export function takeRegistered(h: ArenaHandle, request: Request, kind: number, mayWait: boolean): number {
  h.backing.begin(mayWait);
  const start = tryTake(h, request, kind, mayWait);
  return start < 0 ? takeLong(h, request, kind, mayWait, start, true) : start;
}

function takeLong(h: ArenaHandle, request: Request, kind: number, mayWait: boolean, first: number, register: boolean): number {
  const { backing } = h;
  let start = first;
  let asked = false;
  if (start === NONE && h.lastFailure === "NOSPACE") {
    if (!mayWait) backing.hurry(1);
    try {
      start = takeElsewhere(h, request, kind, mayWait);
    } finally {
      if (!mayWait) backing.hurry(-1);
    }
    if (start === NONE && register) {
      const { lastFailure } = h;
      start = tryTake(h, request, kind, mayWait, true);
      asked = start === NONE && h.lastFailure === "NOSPACE";
      if (start === NONE) h.lastFailure = lastFailure;
    }
  }
  if (register) {
    h.hasAsked = asked;
    if (!asked) napUnasked(h);
  }
  if (start === BUSY) h.lastFailure = "BUSY";
  if (start < 0) h.count(ARENA_FAILS);
  else h.lastFailure = "NONE";
  return start;
}

/** The steps beyond the free segments there are. */
function takeElsewhere(h: ArenaHandle, request: Request, kind: number, mayWait: boolean): number {
  // From here on functions of the user's may run, which may use this handle: the request is copied.
  const r = { ...request };
  let start = NONE;
  if (h.cache !== null) {
    const drained = h.cache.drain();
    // What other threads have given back to the cache meanwhile, and what it did not look for.
    if (isCacheable(r, kind)) start = h.cache.alloc(r.size, mayWait);
    if (start >= 0) return start;
    if (drained) start = tryTake(h, r, kind, mayWait);
  }
  if (start === NONE) start = importFor(h, r, kind, mayWait);
  if (start === NONE && h.reclaim !== null) {
    const { lastFailure } = h;
    h.reclaim();
    h.lastFailure = lastFailure;
    start = tryTake(h, r, kind, mayWait);
    if (start === NONE) start = importFor(h, r, kind, mayWait);
  }
  return start;
}

/** Whether a quantum cache may serve the request. */
function isCacheable(r: Request, kind: number): boolean {
  return kind === TAG_SEGMENT_BUSY && r.frame === 0 && r.plain && r.policy === POLICY_INSTANT && !r.end;
}

/** Takes from the free segments there are. With `register` a failure asks for a wake-up. */
function tryTake(h: ArenaHandle, r: Request, kind: number, mayWait: boolean, register = false): number {
  const { backing } = h;
  const { a } = backing;
  for (let tries = 0; ; tries++) {
    if (!backing.enter(mayWait)) return BUSY;
    let want: number;
    try {
      if (!backing.isAlive()) throw destroyed(h);
      const engine = backing.engine();
      want = engine.wants(a, backing.commit);
      // What could not be provided may not be needed: a carve takes two tags at most.
      if (want === WANTS_NOTHING || (tries > 0 && engine.segments.hasTags(a, 2))) {
        const start = engine.take(a, r, kind, ownerFor(h, r));
        if (start >= 0) {
          if (r.frame !== 0 || r.shadow !== 0) note(h, r, start);
          backing.commit();
          return start;
        }
        h.lastFailure = "NOSPACE";
        if (register) ask(h, r);
        return start;
      }
    } finally {
      backing.leave();
    }
    const provided = provide(h, want, mayWait);
    if (provided === PROVIDE_BUSY) return BUSY;
    if (provided !== PROVIDED && tries > 0) {
      h.lastFailure = "TAGS";
      return NONE;
    }
  }
}

/** Whose the result is: what is on its way, or stands for a cache's run, has its owner elsewhere. */
function ownerFor(h: ArenaHandle, r: Request): number {
  return r.frame === 0 && r.shadow === 0 ? h.backing.owner : 0;
}

/** Part of the transaction: the result stands where the request says, before it is nobody's. */
function note(h: ArenaHandle, r: Request, start: number): void {
  const { backing } = h;
  if (r.frame !== 0) backing.hold(r.frame, start, r.size);
  if (r.shadow === 0) return;
  const { ground, segments } = backing.engine();
  // The page first, as it counts only once the tag names it.
  ground.cells.f64[r.shadow >> 3] = start;
  ground.journal.set(segments.lookup(backing.a, start) + TAG_SHADOW, r.shadow);
}

export function provide(h: ArenaHandle, want: number, mayWait: boolean): number {
  if (!mayWait) h.backing.hurry(1);
  try {
    const provided = h.backing.provide(want, mayWait);
    h.count(provided === PROVIDED ? ARENA_POPULATE_WAITS : ARENA_POPULATE_FAILS);
    return provided;
  } finally {
    if (!mayWait) h.backing.hurry(-1);
  }
}

/** Nobody was asked for a wake-up: whoever waits all the same does so on the sequence as it stands, and nothing is known of its chances. */
function napUnasked(h: ArenaHandle): void {
  h.seenSeq = h.backing.engine().ground.cells.i32[h.backing.a + ARENA_WAIT_SEQ];
  h.hopeless = false;
}

/** Under the lock: asks for a wake-up, and finds out whether any could help. */
function ask(h: ArenaHandle, r: Request): void {
  const { a } = h.backing;
  const { i32, f64 } = h.backing.engine().ground.cells;
  i32[a + ARENA_WAITERS] = 1;
  h.seenSeq = i32[a + ARENA_WAIT_SEQ];
  let largest = 0;
  for (let marker = i32[a + ARENA_SPAN_FIRST]; marker !== 0; marker = i32[marker + TAG_LINK_NEXT]) {
    largest = Math.max(largest, f64[(marker + TAG_SIZE) >> 1]);
  }
  const limit = h.number(ARENA_LIMIT);
  const canImport = h.porter !== null && (limit === 0 || r.size <= limit);
  h.hopeless = !canImport && h.reclaim === null && largest < r.size;
}

/**
 * A run for the quantum caches: without policy, reclaim or wait for a free.
 * @param shadow - byte address of the page that stands for the run: it receives the start, and the run's tag the address; 0 = none.
 * @returns the start, NONE or BUSY.
 */
export function takeRun(h: ArenaHandle, size: number, align: number, mayWait: boolean, shadow = 0): number {
  const r = emptyRequest();
  fillConstrained(r, size, h.quantum, { align }, h.name);
  r.shadow = shadow;
  h.backing.begin(mayWait);
  const start = tryTake(h, r, TAG_SEGMENT_CACHE, mayWait);
  return start === NONE && h.lastFailure === "NOSPACE" ? importFor(h, r, TAG_SEGMENT_CACHE, mayWait) : start;
}

/** Takes a span for another arena into `frame`. @returns its start, NONE or BUSY. */
export function takeSpan(h: ArenaHandle, size: number, mayWait: boolean, frame: number): number {
  const r = emptyRequest();
  fillPlain(r, size, h.quantum, undefined, h.name);
  r.frame = frame;
  h.backing.begin(mayWait);
  return takeBegun(h, r, busyKind(false), mayWait);
}

function importFor(h: ArenaHandle, r: Request, kind: number, mayWait: boolean): number {
  const { porter, quantum } = h;
  if (porter === null || (!r.plain && (r.nocross !== 0 || r.min !== 0 || r.max !== MOST_END))) return NONE;
  const align = r.plain ? quantum : r.align;
  const phase = r.plain ? 0 : r.phase;
  const unit = Math.max(quantum, porter.unit);
  const slack = porter.aligned || (phase === 0 && align <= unit) ? 0 : align - quantum;
  const least = Math.ceil((r.size + slack) / unit) * unit;
  const wanted = withinLimit(h, least, Math.ceil(Math.max(r.size + slack, h.number(ARENA_IMPORT_MIN)) / unit) * unit);
  if (wanted === 0) {
    h.lastFailure = "LIMIT";
    return NONE;
  }
  const span = porter.fetch(wanted, align, phase, mayWait);
  if (span === null) return porter.wasBusy() ? BUSY : NONE;
  if (span.start % quantum !== 0 || span.size % quantum !== 0 || span.size < r.size || span.start + span.size > MOST_END) {
    porter.giveBack(span);
    throw spanError(
      h,
      `the import function gave [${span.start}, +${span.size}) for ${wanted}: no multiple of the quantum, or too small`,
      span.start,
    );
  }
  return landAndTake(h, porter, span, wanted, r, kind, mayWait);
}

/** Size of an import that the limit allows: `most`, else `least`, else 0. */
function withinLimit(h: ArenaHandle, least: number, most: number): number {
  const limit = h.number(ARENA_LIMIT);
  if (limit === 0) return most;
  const room = limit - h.number(ARENA_TOTAL);
  return most <= room ? most : least <= room ? least : 0;
}

/** @param wanted - integers that were asked for: what is given beyond them does not count for the limit. */
function landAndTake(h: ArenaHandle, porter: Porter, span: SpanInHand, wanted: number, r: Request, kind: number, mayWait: boolean): number {
  const { backing } = h;
  const { a } = backing;
  let start = NONE;
  for (;;) {
    if (!backing.enter(mayWait)) {
      porter.putOff(span);
      return BUSY;
    }
    let want: number;
    let overlaps = false;
    let tooMuch = false;
    let ended: UmaError | null = null;
    try {
      const engine = backing.engine();
      const alive = backing.isAlive();
      // The tags of an arena that has ended are another's.
      want = alive ? engine.wants(a, backing.commit) : WANTS_NOTHING;
      if (!alive) {
        ended = destroyed(h);
      } else if (porter.canRelease && withinLimit(h, wanted, wanted) === 0) {
        // Others have imported meanwhile. What cannot go back comes in all the same, rather than be lost.
        tooMuch = true;
        want = WANTS_NOTHING;
      } else if (want !== WANTS_TAGS || engine.segments.hasTags(a, 4)) {
        const after = engine.spans.placeFor(a, span.start, span.size);
        overlaps = after === OVERLAPS;
        if (!overlaps) {
          const free = engine.spans.insert(a, after, span.start, span.size, TAG_SPAN_IMPORTED);
          porter.land(span);
          backing.commit();
          const owner = ownerFor(h, r);
          const at = place(r, span.start, span.size);
          if (at >= 0) {
            engine.segments.carve(a, free, at, r.size, kind, owner);
            start = at;
          } else {
            start = engine.take(a, r, kind, owner);
          }
          if (start >= 0) note(h, r, start);
          backing.commit();
        }
        want = WANTS_NOTHING;
      }
    } finally {
      backing.leave();
    }
    if (overlaps || ended !== null) {
      porter.giveBack(span);
      throw ended ?? spanError(h, `the imported span [${span.start}, +${span.size}) overlaps one that it has`, span.start);
    }
    if (tooMuch) {
      porter.giveBack(span);
      h.lastFailure = "LIMIT";
      return NONE;
    }
    if (want === WANTS_NOTHING) break;
    if (provide(h, want, mayWait) !== PROVIDED) {
      porter.putOff(span);
      h.lastFailure = "TAGS";
      return NONE;
    }
  }
  porter.landed(span);
  return start;
}
