/**
 * Spans: the stretches of integers that an arena consists of.
 *
 * A span is added by hand or imported. Its marker leads its segments in the address list, and stands among the other markers in a
 * list of their own, in the order of the addresses: what concerns spans (overlap, containment, destruction) walks that list and
 * no segment. An imported span that is wholly free is one free segment as large as its marker; it is found so by one look.
 *
 * As everywhere in an arena: all stores are entries of the caller's transaction, under the arena's lock.
 */
import {
  ARENA_IMPORTED,
  ARENA_SPANS,
  ARENA_SPAN_FIRST,
  ARENA_SPAN_LAST,
  ARENA_TOTAL,
  ARENA_LAST,
  TAG_KIND,
  TAG_LINK_NEXT,
  TAG_LINK_PREV,
  TAG_NEXT,
  TAG_PREV,
  TAG_SEGMENT_FREE,
  TAG_SIZE,
  TAG_SPAN_IMPORTED,
  TAG_START,
} from "../memory/layout.ts";
import type { Ground, Segments } from "./segments.ts";

/** Answer of {@link Spans.placeFor}: the new span would overlap. */
export const OVERLAPS = -1;

export interface Spans {
  /** The marker that a span [start, start + size) comes to stand behind: a tag, 0 = at the front, OVERLAPS. Walks the markers. */
  placeFor(a: number, start: number, size: number): number;
  /** Adds a span, all of it free, behind the marker `after` (0 = at the front). Takes two tags. @returns the free segment. */
  insert(a: number, after: number, start: number, size: number, kind: number): number;
  /** Whether `tag` is a free segment that fills an imported span. @returns the span's marker, 0 = no. */
  wholeImport(tag: number): number;
  /** Takes a span out, whose one segment is free. */
  remove(a: number, marker: number): void;
  /** The marker of the span that holds all of [start, start + size); 0 = none. `steps` counts the markers looked at. */
  holding(a: number, start: number, size: number): number;
  /** Markers that the last `holding` looked at. */
  steps(): number;
}

export function createSpans(ground: Ground, segments: Segments): Spans {
  const { i32, f64 } = ground.cells;
  const { set, setNumber, add } = ground.journal;
  let looked = 0;

  function placeFor(a: number, start: number, size: number): number {
    let after = i32[a + ARENA_SPAN_LAST];
    // New spans mostly come behind the last, or before the first.
    if (after !== 0 && f64[(after + TAG_START) >> 1] > start) {
      after = 0;
      for (let next = i32[a + ARENA_SPAN_FIRST]; next !== 0 && f64[(next + TAG_START) >> 1] <= start; next = i32[next + TAG_LINK_NEXT]) {
        after = next;
      }
    }
    if (after !== 0 && f64[(after + TAG_START) >> 1] + f64[(after + TAG_SIZE) >> 1] > start) return OVERLAPS;
    const next = after === 0 ? i32[a + ARENA_SPAN_FIRST] : i32[after + TAG_LINK_NEXT];
    return next !== 0 && f64[(next + TAG_START) >> 1] < start + size ? OVERLAPS : after;
  }

  function insert(a: number, after: number, start: number, size: number, kind: number): number {
    const next = after === 0 ? i32[a + ARENA_SPAN_FIRST] : i32[after + TAG_LINK_NEXT];
    const marker = segments.takeTag(a);
    const free = segments.takeTag(a);
    f64[(marker + TAG_START) >> 1] = start;
    f64[(marker + TAG_SIZE) >> 1] = size;
    i32[marker + TAG_KIND] = kind;
    f64[(free + TAG_START) >> 1] = start;
    f64[(free + TAG_SIZE) >> 1] = size;
    i32[free + TAG_KIND] = TAG_SEGMENT_FREE;
    segments.linkAfter(a, marker, after === 0 ? 0 : next === 0 ? i32[a + ARENA_LAST] : i32[next + TAG_PREV]);
    segments.linkAfter(a, free, marker);
    segments.insertFree(a, free);
    // Journalled although the tag is new: in an unused tag LINK_NEXT threads the list of free ones.
    set(marker + TAG_LINK_PREV, after);
    set(marker + TAG_LINK_NEXT, next);
    set(after === 0 ? a + ARENA_SPAN_FIRST : after + TAG_LINK_NEXT, marker);
    set(next === 0 ? a + ARENA_SPAN_LAST : next + TAG_LINK_PREV, marker);
    add(a + ARENA_SPANS, 1);
    count(a, kind, size);
    return free;
  }

  function count(a: number, kind: number, size: number): void {
    setNumber(a + ARENA_TOTAL, f64[(a + ARENA_TOTAL) >> 1] + size);
    if (kind === TAG_SPAN_IMPORTED) setNumber(a + ARENA_IMPORTED, f64[(a + ARENA_IMPORTED) >> 1] + size);
  }

  function wholeImport(tag: number): number {
    const marker = i32[tag + TAG_PREV];
    if (marker === 0 || i32[marker + TAG_KIND] !== TAG_SPAN_IMPORTED || i32[tag + TAG_KIND] !== TAG_SEGMENT_FREE) return 0;
    return f64[(marker + TAG_SIZE) >> 1] === f64[(tag + TAG_SIZE) >> 1] ? marker : 0;
  }

  function remove(a: number, marker: number): void {
    const free = i32[marker + TAG_NEXT];
    const after = i32[marker + TAG_LINK_PREV];
    const next = i32[marker + TAG_LINK_NEXT];
    segments.removeFree(a, free);
    segments.unlink(a, free);
    segments.unlink(a, marker);
    set(after === 0 ? a + ARENA_SPAN_FIRST : after + TAG_LINK_NEXT, next);
    set(next === 0 ? a + ARENA_SPAN_LAST : next + TAG_LINK_PREV, after);
    add(a + ARENA_SPANS, -1);
    count(a, i32[marker + TAG_KIND], -f64[(marker + TAG_SIZE) >> 1]);
    segments.giveTag(a, free);
    segments.giveTag(a, marker);
  }

  function holding(a: number, start: number, size: number): number {
    looked = 0;
    for (let marker = i32[a + ARENA_SPAN_FIRST]; marker !== 0; marker = i32[marker + TAG_LINK_NEXT]) {
      looked++;
      const from = f64[(marker + TAG_START) >> 1];
      if (from > start) return 0;
      if (start < from + f64[(marker + TAG_SIZE) >> 1]) return start + size <= from + f64[(marker + TAG_SIZE) >> 1] ? marker : 0;
    }
    return 0;
  }

  return { placeFor, insert, wholeImport, remove, holding, steps: () => looked };
}
