/**
 * Looking at an arena. What holds the lock: `contains` for as long as there are spans, and the consistent snapshot for as long as
 * there are segments. Everything else reads beside whoever is at work.
 */
import { optionError } from "../memory/errors.ts";
import {
  ARENA_CONTAINS,
  ARENA_CONTAINS_SEARCHES,
  ARENA_FIRST,
  ARENA_SPAN_FIRST,
  TAG_KIND,
  TAG_LINK_NEXT,
  TAG_NEXT,
  TAG_SEGMENT_CACHE,
  TAG_SIZE,
  TAG_SPAN,
  TAG_SPAN_IMPORTED,
  TAG_START,
} from "../memory/layout.ts";
import type { SizeKind } from "./arena.ts";
import { busy, destroyed } from "./complaints.ts";
import type { ArenaHandle } from "./handle.ts";
import { type Segment, type WalkOptions, type Walked, createWalker, isShown, stateOfKind } from "./walk.ts";

export function contains(h: ArenaHandle, start: number, size: number): boolean {
  const { backing } = h;
  const { a } = backing;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(size) || start < 0 || size <= 0) return false;
  backing.begin(true);
  if (!backing.enter(true)) throw busy(h, "contains");
  try {
    if (!backing.isAlive()) throw destroyed(h);
    const { spans, ground } = backing.engine();
    const { f64 } = ground.cells;
    const marker = spans.holding(a, start, size);
    f64[(a + ARENA_CONTAINS) >> 1]++;
    f64[(a + ARENA_CONTAINS_SEARCHES) >> 1] += spans.steps();
    return marker !== 0;
  } finally {
    backing.leave();
  }
}

export function sizeOf(h: ArenaHandle, what: SizeKind): number {
  const { a } = h.backing;
  const engine = h.backing.engine();
  if (what === "alloc") return engine.inUse(a);
  if (what === "free") return engine.total(a) - engine.inUse(a);
  if (what === "total") return engine.total(a);
  if (what === "largest") return engine.largestFree(a);
  throw optionError("what", what, '"alloc", "free", "total" or "largest"', h.name);
}

export function whatis(h: ArenaHandle, at: number): Segment | null {
  if (!Number.isSafeInteger(at) || at < 0) return null;
  h.checkAlive();
  // From the beginning of its span: a walk that began at `at` would show the rest of a segment only.
  const walker = createWalker(walkedOf(h), spanStartBefore(h, at));
  while (walker.next()) {
    const { start, size, kind } = walker.found;
    if (start > at) return null;
    if (at < start + size) return { start, size, state: stateOfKind(kind) };
  }
  return null;
}

/** Start of the span that `at` lies in, or 0; without a lock. */
function spanStartBefore(h: ArenaHandle, at: number): number {
  const { i32, f64 } = h.backing.engine().ground.cells;
  for (let marker = i32[h.backing.a + ARENA_SPAN_FIRST]; marker > 0; marker = i32[marker + TAG_LINK_NEXT]) {
    const start = f64[(marker + TAG_START) >> 1];
    const kind = i32[marker + TAG_KIND];
    if (kind !== TAG_SPAN && kind !== TAG_SPAN_IMPORTED) break;
    if (start <= at && at < start + f64[(marker + TAG_SIZE) >> 1]) return start;
  }
  return 0;
}

export function walk(h: ArenaHandle, visit: (segment: Segment) => boolean | void, options: WalkOptions): void {
  h.checkAlive();
  if (options.snapshot === true) {
    for (const segment of snapshot(h, options.which)) if (visit(segment) === false) return;
    return;
  }
  const walker = createWalker(walkedOf(h), 0);
  while (walker.next()) {
    const { start, size, kind } = walker.found;
    if (isShown(kind, options.which) && visit({ start, size, state: stateOfKind(kind) }) === false) return;
  }
}

/** All segments as they stand together: the only look that holds the lock for as long as there are segments. */
export function snapshot(h: ArenaHandle, which: WalkOptions["which"]): Segment[] {
  const { backing } = h;
  backing.begin(true);
  if (!backing.enter(true)) throw busy(h, "walk");
  let copies: number[];
  try {
    if (!backing.isAlive()) throw destroyed(h);
    copies = copySegments(h, which);
  } finally {
    backing.leave();
  }
  return segmentsOf(copies);
}

/** Under the lock: start, size and kind of each segment. */
export function copySegments(h: ArenaHandle, which: WalkOptions["which"]): number[] {
  const { i32, f64 } = h.backing.engine().ground.cells;
  const copies: number[] = [];
  for (let tag = i32[h.backing.a + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
    const kind = i32[tag + TAG_KIND];
    if (kind <= TAG_SEGMENT_CACHE && isShown(kind, which)) copies.push(f64[(tag + TAG_START) >> 1], f64[(tag + TAG_SIZE) >> 1], kind);
  }
  return copies;
}

export function segmentsOf(copies: readonly number[]): Segment[] {
  const segments: Segment[] = [];
  for (let n = 0; n < copies.length; n += 3) {
    segments.push({ start: copies[n] as number, size: copies[n + 1] as number, state: stateOfKind(copies[n + 2] as number) });
  }
  return segments;
}

/** What a walker of this arena needs. */
export function walkedOf(h: ArenaHandle): Walked {
  const { backing } = h;
  return {
    a: backing.a,
    engine: () => backing.engine(),
    isAlive: () => backing.isAlive(),
    synchronise: () => {
      if (backing.enter(true)) backing.leave();
    },
  };
}
