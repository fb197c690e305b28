/**
 * Carries spans between an arena in the shared memory and its source: another such arena, the heap, or functions of the user's.
 *
 * A span in flight stands in an intent frame of this worker from the transaction that took it to the one that gives it on, so a
 * dead worker's span is found and sent home. Between two arenas nothing can be lost or doubled. What is lost inside a user's
 * functions is not promised; a release function is called at most once for each span.
 */
import type { Floor } from "../memory/floor.ts";
import { INTENT_FRAMES, INTENT_SPAN, SPAN_ARENA, SPAN_HELD, SPAN_SIZE, SPAN_SOURCE, SPAN_START } from "../memory/layout.ts";
import type { ImportFunction, ReleaseFunction } from "./arena.ts";
import type { Porter, SpanInHand } from "./backing.ts";
import { giveSpan } from "./giving.ts";
import type { ArenaHandle } from "./handle.ts";
import { checkSpan } from "./local.ts";
import { BUSY, takeSpan } from "./taking.ts";

/** SPAN_SOURCE of a span from functions of the user's; and when its release has been called. */
export const SOURCE_USER = -1;
export const SOURCE_RELEASED = -2;

/** Opens a frame for a span of the arena at word `a`; 0 = the frames are all in use. */
function openFrame(floor: Floor, a: number, source: number): number {
  if (floor.intents.depth() >= INTENT_FRAMES) return 0;
  const { i32 } = floor.cells;
  const frame = floor.intents.push(INTENT_SPAN);
  i32[frame + SPAN_ARENA] = a;
  i32[frame + SPAN_SOURCE] = source;
  return frame;
}

/** Closes a frame that holds nothing. */
function closeFrame(floor: Floor, frame: number): void {
  const { f64 } = floor.cells;
  f64[(frame + SPAN_START) >> 1] = 0;
  f64[(frame + SPAN_SIZE) >> 1] = 0;
  floor.intents.pop(frame);
}

/** Runs what uses other arenas, or the user's functions, while a frame is open: they must not take it for a forgotten one. */
function withFrame<T>(floor: Floor, work: () => T): T {
  floor.intents.hooks++;
  try {
    return work();
  } finally {
    floor.intents.hooks--;
  }
}

/** Spans from another arena of the same memory. */
export function createArenaPorter(floor: Floor, arena: ArenaHandle, source: ArenaHandle): Porter {
  const { i32 } = floor.cells;
  const { a } = arena.backing;
  let busy = false;

  function fetch(size: number, _align: number, _phase: number, mayWait: boolean): SpanInHand | null {
    busy = false;
    const frame = openFrame(floor, a, source.backing.a);
    if (frame === 0) return null;
    try {
      const start = withFrame(floor, () => takeSpan(source, size, mayWait, frame));
      busy = start === BUSY;
      return start >= 0 ? { start, size, frame } : null;
    } finally {
      if (i32[frame + SPAN_HELD] === 0) closeFrame(floor, frame);
    }
  }

  function giveBack({ start, size, frame }: SpanInHand): void {
    // Out of reach, the frame stays: the span goes home at the next slow path.
    if (withFrame(floor, () => giveSpan(source, start, size, frame))) closeFrame(floor, frame);
  }

  return {
    unit: source.quantum,
    aligned: false,
    canRelease: true,
    fetch,
    wasBusy: () => busy,
    land: ({ frame }) => arena.backing.unhold(frame),
    landed: ({ frame }) => closeFrame(floor, frame),
    lift: (start, size) => lift(floor, arena, source.backing.a, source, start, size),
    giveBack,
    putOff: giveBack,
  };
}

/** @param home - the arena that the span goes to if this worker dies with it. */
function lift(floor: Floor, arena: ArenaHandle, source: number, home: ArenaHandle, start: number, size: number): SpanInHand | null {
  const frame = openFrame(floor, arena.backing.a, source);
  if (frame === 0) return null;
  home.backing.hold(frame, start, size);
  return { start, size, frame };
}

/** Spans from functions of the user's. */
export function createUserPorter(
  floor: Floor,
  arena: ArenaHandle,
  take: ImportFunction,
  give: ReleaseFunction | undefined,
  aligned: boolean,
): Porter {
  const { i32 } = floor.cells;
  const { a } = arena.backing;

  function fetch(size: number, align: number, phase: number, mayWait: boolean): SpanInHand | null {
    const frame = openFrame(floor, a, SOURCE_USER);
    if (frame === 0) return null;
    let held = false;
    try {
      const given = withFrame(floor, () => take(size, { arena: arena.name, align, phase, mayWait }));
      const span = typeof given === "number" ? { start: given, size } : { start: given.start, size: given.size };
      if (!checkSpan(arena.name, span)) return null;
      const { f64 } = floor.cells;
      f64[(frame + SPAN_START) >> 1] = span.start;
      f64[(frame + SPAN_SIZE) >> 1] = span.size;
      i32[frame + SPAN_HELD] = arena.backing.home;
      held = true;
      return { ...span, frame };
    } finally {
      if (!held) closeFrame(floor, frame);
    }
  }

  function giveBack({ start, size, frame }: SpanInHand): void {
    i32[frame + SPAN_SOURCE] = SOURCE_RELEASED;
    try {
      withFrame(floor, () => give?.(start, size));
    } finally {
      i32[frame + SPAN_HELD] = 0;
      closeFrame(floor, frame);
    }
  }

  return {
    unit: arena.quantum,
    aligned,
    canRelease: give !== undefined,
    fetch,
    wasBusy: () => false,
    land: ({ frame }) => arena.backing.unhold(frame),
    landed: ({ frame }) => closeFrame(floor, frame),
    lift: (start, size) => lift(floor, arena, SOURCE_USER, arena, start, size),
    giveBack,
    putOff: give === undefined ? () => undefined : giveBack,
  };
}
