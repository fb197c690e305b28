/**
 * Fits: how a free segment is chosen.
 *
 *  - *instant*: the head of the first free list whose every member is large enough: constant time. A constrained request looks
 *    there for size + align; what other constraints it has are tried on the members of the lists, from its own size up.
 *  - *best*: the smallest free segment that fits, by looking through the lists from the request's own size up: exact.
 *  - *first*: the lowest address that fits (with `end`: the highest), by walking the segments: exact, linear.
 *  - *next*: the lowest address that fits behind the last allocation by next fit, wrapping round at the end: exact, linear when
 *    the arena is nearly full, one step when it is not.
 *
 * Every policy finds a place if there is one. The caller holds the arena's lock.
 */
import * as layout from "../memory/layout.ts";
import { POLICY_BEST, POLICY_FIRST, POLICY_NEXT, type Request, place } from "./request.ts";
import { type Ground, type Segments, listOf, sureListOf } from "./segments.ts";

const {
  ARENA_FIRST,
  ARENA_FREE_LISTS,
  ARENA_LAST,
  ARENA_ROTOR,
  ARENA_ROTOR_AT,
  ARENA_SEARCHES,
  TAG_KIND,
  TAG_LINK_NEXT,
  TAG_NEXT,
  TAG_PREV,
  TAG_SEGMENT_FREE,
  TAG_SIZE,
  TAG_START,
} = layout;

export interface Fits {
  /** A free segment that the request fits in, `r.start` being where; 0 = there is none. */
  find(a: number, r: Request): number;
}

export function createFits(ground: Ground, segments: Segments): Fits {
  const { i32, f64 } = ground.cells;

  function find(a: number, r: Request): number {
    if (r.policy === POLICY_BEST) return findBest(a, r);
    if (r.policy === POLICY_FIRST) return r.end ? findLast(a, r) : findFirst(a, r);
    if (r.policy === POLICY_NEXT) return findNext(a, r);
    if (!r.plain) return findConstrained(a, r);
    const tag = segments.findInstant(a, r.size);
    if (tag !== 0) r.start = place(r, f64[(tag + TAG_START) >> 1], f64[(tag + TAG_SIZE) >> 1]);
    return tag;
  }

  /** Places the request in `tag` if it can. */
  function fits(a: number, r: Request, tag: number): boolean {
    f64[(a + ARENA_SEARCHES) >> 1]++;
    const start = place(r, f64[(tag + TAG_START) >> 1], f64[(tag + TAG_SIZE) >> 1]);
    if (start < 0) return false;
    r.start = start;
    return true;
  }

  /** Whether `tag` is worth a look; one that is not is a step all the same. */
  function isFree(a: number, tag: number): boolean {
    if (i32[tag + TAG_KIND] === TAG_SEGMENT_FREE) return true;
    f64[(a + ARENA_SEARCHES) >> 1]++;
    return false;
  }

  function findConstrained(a: number, r: Request): number {
    // Any segment of size + align holds an aligned start; most heads of such lists meet the other constraints as well.
    const sure = segments.firstList(a, sureListOf(r.size + r.align));
    if (sure >= 0) {
      const head = i32[a + ARENA_FREE_LISTS + sure];
      if (fits(a, r, head)) return head;
    }
    for (let list = segments.firstList(a, listOf(r.size)); list >= 0; list = segments.firstList(a, list + 1)) {
      for (let tag = i32[a + ARENA_FREE_LISTS + list]; tag !== 0; tag = i32[tag + TAG_LINK_NEXT]) if (fits(a, r, tag)) return tag;
    }
    return 0;
  }

  function findBest(a: number, r: Request): number {
    for (let list = segments.firstList(a, listOf(r.size)); list >= 0; list = segments.firstList(a, list + 1)) {
      let best = 0;
      let least = Infinity;
      let start = 0;
      for (let tag = i32[a + ARENA_FREE_LISTS + list]; tag !== 0; tag = i32[tag + TAG_LINK_NEXT]) {
        const size = f64[(tag + TAG_SIZE) >> 1];
        if (size >= least || !fits(a, r, tag)) continue;
        best = tag;
        least = size;
        start = r.start;
        if (least === r.size) break;
      }
      if (best === 0) continue;
      r.start = start;
      return best;
    }
    return 0;
  }

  function findFirst(a: number, r: Request): number {
    for (let tag = i32[a + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
      if (isFree(a, tag) && fits(a, r, tag)) return tag;
    }
    return 0;
  }

  function findLast(a: number, r: Request): number {
    for (let tag = i32[a + ARENA_LAST]; tag !== 0; tag = i32[tag + TAG_PREV]) {
      if (isFree(a, tag) && fits(a, r, tag)) return tag;
    }
    return 0;
  }

  function findNext(a: number, r: Request): number {
    const at = f64[(a + ARENA_ROTOR_AT) >> 1];
    let rotor = i32[a + ARENA_ROTOR];
    // A free segment that something was cut from the front of begins further up now.
    while (rotor !== 0 && f64[(rotor + TAG_START) >> 1] > at) rotor = i32[rotor + TAG_PREV];
    const first = rotor === 0 ? i32[a + ARENA_FIRST] : rotor;
    for (let tag = first; tag !== 0; tag = i32[tag + TAG_NEXT]) {
      if (isFree(a, tag) && fitsBehind(a, r, tag, at)) return tag;
    }
    // Round to where it began, the part before it of the segment there included.
    for (let tag = i32[a + ARENA_FIRST]; tag !== 0 && f64[(tag + TAG_START) >> 1] < at; tag = i32[tag + TAG_NEXT]) {
      if (isFree(a, tag) && fits(a, r, tag)) return tag;
    }
    return 0;
  }

  /** As `fits`, in the part of the segment that begins at `at`. */
  function fitsBehind(a: number, r: Request, tag: number, at: number): boolean {
    const start = f64[(tag + TAG_START) >> 1];
    const end = start + f64[(tag + TAG_SIZE) >> 1];
    if (start >= at) return fits(a, r, tag);
    if (end <= at) return false;
    f64[(a + ARENA_SEARCHES) >> 1]++;
    const found = place(r, at, end - at);
    if (found < 0) return false;
    r.start = found;
    return true;
  }

  return { find };
}
