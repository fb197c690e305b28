/**
 * Giving: how an arena takes integers back. One transaction frees the segment; whoever waits is called; an imported span that has
 * become wholly free goes back to its source, with no lock held on the way.
 */
import {
  ARENA_SPAN_FIRST,
  ARENA_WAITERS,
  ARENA_WAIT_SEQ,
  TAG_LINK_NEXT,
  TAG_NEXT,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_CACHE,
  TAG_SHADOW,
  TAG_SIZE,
  TAG_KIND,
  TAG_START,
} from "../memory/layout.ts";
import type { SpanInHand } from "./backing.ts";
import { busy, destroyed, refused } from "./complaints.ts";
import { FREED, FREE_UNKNOWN } from "./engine.ts";
import type { ArenaHandle } from "./handle.ts";

/** Answer of a free beside those of the engine: a lock could not be had. */
const GIVE_BUSY = -1;

export function give(h: ArenaHandle, start: number, size: number, kind: number): void {
  const outcome = tryGive(h, start, size, kind, 0, 0);
  if (outcome === FREED) return;
  throw outcome === GIVE_BUSY ? busy(h, "free") : refused(h, outcome, start, size);
}

/**
 * Takes the run back that the page at byte address `shadow` stands for. Repeatable: nothing, if it stands for none (any more), or
 * the arena has ended.
 * @returns false when a lock was out of reach.
 */
export function giveShadow(h: ArenaHandle, size: number, shadow: number): boolean {
  const start = h.backing.engine().ground.cells.f64[shadow >> 3];
  return tryGive(h, start, size, TAG_SEGMENT_CACHE, 0, shadow) !== GIVE_BUSY;
}

/** Takes a span back from another arena, out of `frame`; if this is not its home (any more), only that. @returns false when the lock was out of reach. */
export function giveSpan(h: ArenaHandle, start: number, size: number, frame: number): boolean {
  return tryGive(h, start, size, TAG_SEGMENT_BUSY, frame, 0) !== GIVE_BUSY;
}

/** Frees a segment, emptying the frame that held it; the span it leaves empty goes back. */
function tryGive(h: ArenaHandle, start: number, size: number, kind: number, frame: number, shadow: number): number {
  const { backing } = h;
  const { a } = backing;
  backing.begin(true);
  if (!backing.enter(true)) return GIVE_BUSY;
  let outcome: number;
  let span: SpanInHand | null = null;
  let wake = false;
  try {
    const engine = backing.engine();
    const alive = backing.isAlive();
    if (frame !== 0 && !(alive && backing.isHomeOf(frame))) {
      // Its home has ended, and its integers with it: the record is another's, whose they are not.
      backing.unhold(frame);
      backing.commit();
      return FREE_UNKNOWN;
    }
    if (!alive) {
      if (shadow === 0) throw destroyed(h);
      return FREE_UNKNOWN;
    }
    if (shadow !== 0 && !isShadowOf(h, start, shadow)) return FREE_UNKNOWN;
    outcome = engine.give(a, start, size, kind, backing.guarded && frame === 0);
    if (outcome === FREED) wake = callWaiters(h);
    if (frame !== 0) backing.unhold(frame);
    backing.commit();
    if (outcome === FREED && engine.emptied() !== 0 && h.porter !== null && h.porter.canRelease) span = lift(h, engine.emptied());
  } finally {
    backing.leave();
  }
  if (wake) backing.wake();
  if (span !== null) h.porter?.giveBack(span);
  return outcome;
}

/** Whether the run at `start` is the one that the page stands for: what the page says by itself may be long out of date. */
function isShadowOf(h: ArenaHandle, start: number, shadow: number): boolean {
  const { segments, ground } = h.backing.engine();
  const { i32 } = ground.cells;
  const tag = segments.lookup(h.backing.a, start);
  return tag !== 0 && i32[tag + TAG_KIND] === TAG_SEGMENT_CACHE && i32[tag + TAG_SHADOW] === shadow;
}

/** Calls whoever waits: something has come free above the arena. */
export function stir(h: ArenaHandle): void {
  const { backing } = h;
  if (!backing.enter(true)) return;
  let wake = false;
  try {
    if (backing.isAlive()) wake = callWaiters(h);
    backing.commit();
  } finally {
    backing.leave();
  }
  if (wake) backing.wake();
}

/** Part of a transaction that makes something free: whoever waits is to be woken. */
export function callWaiters(h: ArenaHandle): boolean {
  const { a } = h.backing;
  const { ground } = h.backing.engine();
  const { i32 } = ground.cells;
  if (i32[a + ARENA_WAITERS] === 0) return false;
  ground.journal.set(a + ARENA_WAITERS, 0);
  ground.journal.add(a + ARENA_WAIT_SEQ, 1);
  return true;
}

/** Under the lock, in a transaction of its own: takes the wholly free imported span at `marker` in hand. */
export function lift(h: ArenaHandle, marker: number): SpanInHand | null {
  const { a } = h.backing;
  const { spans, ground } = h.backing.engine();
  const { f64 } = ground.cells;
  const span = h.porter?.lift(f64[(marker + TAG_START) >> 1], f64[(marker + TAG_SIZE) >> 1]) ?? null;
  if (span === null) return null;
  spans.remove(a, marker);
  h.backing.commit();
  return span;
}

/** Gives back what the quantum caches hold, and imported spans that are wholly free. */
export function reap(h: ArenaHandle): void {
  const { backing } = h;
  backing.begin(true);
  h.cache?.drain();
  for (;;) {
    if (!backing.enter(true)) throw busy(h, "reap");
    let span: SpanInHand | null = null;
    try {
      if (!backing.isAlive()) throw destroyed(h);
      const { spans, ground } = backing.engine();
      const { i32 } = ground.cells;
      let marker = i32[backing.a + ARENA_SPAN_FIRST];
      while (marker !== 0 && spans.wholeImport(i32[marker + TAG_NEXT]) === 0) marker = i32[marker + TAG_LINK_NEXT];
      if (marker !== 0 && h.porter !== null && h.porter.canRelease) span = lift(h, marker);
    } finally {
      backing.leave();
    }
    if (span === null) return;
    h.porter?.giveBack(span);
  }
}
