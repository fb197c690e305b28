/**
 * The invariants of an arena, checked by walking it. The caller sees to it that nobody changes it meanwhile.
 *
 * The walk believes nothing: links may lead anywhere or round in circles, so each is followed only into the views, and each tag
 * visited once.
 */
import {
  ARENA_BITMAP,
  ARENA_BITMAP_HIGH,
  ARENA_FIRST,
  ARENA_FREE_LISTS,
  ARENA_FREE_LIST_COUNT,
  ARENA_HASH_ROUND,
  ARENA_HASH_SPLIT,
  ARENA_IMPORTED,
  ARENA_IN_USE,
  ARENA_LAST,
  ARENA_ROTOR,
  ARENA_SEGMENTS,
  ARENA_SPANS,
  ARENA_SPAN_FIRST,
  ARENA_SPAN_LAST,
  ARENA_TAG_FREE,
  ARENA_TAGS,
  ARENA_TOTAL,
  TAG_KIND,
  TAG_LINK_NEXT,
  TAG_LINK_PREV,
  TAG_NEXT,
  TAG_PREV,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_CACHE,
  TAG_SEGMENT_FREE,
  TAG_SEGMENT_XBUSY,
  TAG_SIZE,
  TAG_SPAN,
  TAG_SPAN_IMPORTED,
  TAG_START,
  TAG_WORDS,
} from "../memory/layout.ts";
import { HASH_FIRST, HASH_MOST, hashOf } from "./hash.ts";
import { type Ground, listOf, type Segments } from "./segments.ts";

/** Checks the arena at word `a`: tiling, coalescing, free lists, bitmap, hash and counters. Problems go to `report`. */
export function verifyArena(ground: Ground, segments: Segments, a: number, name: string, report: (problem: string) => void): void {
  const { i32, f64 } = ground.cells;
  const say = (problem: string): void => report(`arena ${name}: ${problem}`);
  const isTag = (tag: number): boolean => tag > 0 && tag + TAG_WORDS <= i32.length;
  const chains = chained(ground, segments, a, say);
  const seen = new Set<number>();
  const free = new Set<number>();
  let busy = 0;
  let inUse = 0;
  let total = 0;
  let previous = 0;
  let expected = -1;
  let spanEnd = -1;
  let marker = 0;
  let spans = 0;
  let imported = 0;
  let rotorSeen = i32[a + ARENA_ROTOR] === 0;
  for (let tag = i32[a + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
    if (!isTag(tag)) return say(`the address list leads to ${tag}, which is no tag`);
    if (seen.has(tag)) return say("the address list is a circle");
    seen.add(tag);
    const start = f64[(tag + TAG_START) >> 1];
    const size = f64[(tag + TAG_SIZE) >> 1];
    const kind = i32[tag + TAG_KIND];
    if (i32[tag + TAG_PREV] !== previous) say(`tag ${tag} does not point back to ${previous}`);
    if (tag === i32[a + ARENA_ROTOR]) rotorSeen = true;
    if (kind === TAG_SPAN || kind === TAG_SPAN_IMPORTED) {
      spans++;
      if (kind === TAG_SPAN_IMPORTED) imported += size;
      if (start < spanEnd) say(`the span at ${start} begins before the end of the one before it, ${spanEnd}`);
      if (i32[tag + TAG_LINK_PREV] !== marker) say(`the marker of the span at ${start} does not point back`);
      if (i32[marker === 0 ? a + ARENA_SPAN_FIRST : marker + TAG_LINK_NEXT] !== tag) say(`the list of markers misses the span at ${start}`);
      marker = tag;
      if (expected !== spanEnd) say(`the span before ${start} ends at ${expected}, not at ${spanEnd}`);
      total += size;
      expected = start;
      spanEnd = start + size;
    } else if (kind === TAG_SEGMENT_FREE || kind === TAG_SEGMENT_BUSY || kind === TAG_SEGMENT_XBUSY || kind === TAG_SEGMENT_CACHE) {
      if (start !== expected) say(`segment ${start} begins where ${expected} was expected`);
      if (size === 0) say(`segment ${start} is empty`);
      expected = start + size;
      if (kind === TAG_SEGMENT_FREE) {
        if (previous !== 0 && i32[previous + TAG_KIND] === TAG_SEGMENT_FREE) say(`free neighbours at ${start} were not joined`);
        free.add(tag);
      } else {
        busy++;
        inUse += size;
        if (!chains.has(tag)) say(`allocated segment ${start} is not found by the hash`);
      }
    } else {
      say(`tag ${tag} in the address list has kind ${kind}`);
    }
    previous = tag;
  }
  if (expected !== spanEnd) say(`the last span ends at ${expected}, not at ${spanEnd}`);
  if (i32[a + ARENA_LAST] !== previous) say("LAST is not the last tag");
  if (i32[a + ARENA_SPAN_LAST] !== marker) say("SPAN_LAST is not the last marker");
  if (!rotorSeen) say("the rotor is no tag of the address list");
  const same = (what: string, counted: number, kept: number): void => {
    if (counted !== kept) say(`${what}: counted ${counted}, kept ${kept}`);
  };
  same("integers in use", inUse, f64[(a + ARENA_IN_USE) >> 1]);
  same("integers in all", total, f64[(a + ARENA_TOTAL) >> 1]);
  same("integers imported", imported, f64[(a + ARENA_IMPORTED) >> 1]);
  same("spans", spans, i32[a + ARENA_SPANS]);
  same("tags in the address list", seen.size, i32[a + ARENA_SEGMENTS]);
  same("entries in the hash's chains", chains.size, busy);
  verifyFreeLists(ground, a, free, say);
  const spare = new Set<number>();
  for (let tag = i32[a + ARENA_TAG_FREE]; isTag(tag) && !spare.has(tag); tag = i32[tag + TAG_LINK_NEXT]) {
    if (seen.has(tag)) say(`tag ${tag} is in use and in the list of free tags`);
    spare.add(tag);
  }
  same("tags", spare.size + seen.size, i32[a + ARENA_TAGS]);
}

/** All tags in the hash's chains; each must stand in the bucket of its start. */
function chained(ground: Ground, segments: Segments, a: number, say: (problem: string) => void): Set<number> {
  const { i32, f64 } = ground.cells;
  const found = new Set<number>();
  const round = i32[a + ARENA_HASH_ROUND];
  const split = i32[a + ARENA_HASH_SPLIT];
  if (round < HASH_FIRST || round > HASH_MOST || (round & (round - 1)) !== 0 || split < 0 || split >= round) {
    say(`the hash is in round ${round}, at bucket ${split}`);
    return found;
  }
  for (let bucket = round + split - 1; bucket >= 0; bucket--) {
    for (let tag = i32[segments.hash.bucketWord(a, bucket)]; tag !== 0; tag = i32[tag + TAG_LINK_NEXT]) {
      if (!(tag > 0 && tag + TAG_WORDS <= i32.length) || found.has(tag)) {
        say(`the chain of bucket ${bucket} is a circle, or leads astray`);
        break;
      }
      found.add(tag);
      const hash = hashOf(f64[(tag + TAG_START) >> 1]);
      const own = (hash & (round - 1)) < split ? hash & (2 * round - 1) : hash & (round - 1);
      if (own !== bucket) say(`the segment ${f64[(tag + TAG_START) >> 1]} stands in bucket ${bucket} of the hash, not in ${own}`);
    }
  }
  return found;
}

function verifyFreeLists(ground: Ground, a: number, free: Set<number>, say: (problem: string) => void): void {
  const { i32, f64 } = ground.cells;
  const listed = new Set<number>();
  for (let list = 0; list < ARENA_FREE_LIST_COUNT; list++) {
    const head = i32[a + ARENA_FREE_LISTS + list];
    const bits = i32[a + (list < 32 ? ARENA_BITMAP : ARENA_BITMAP_HIGH)];
    if ((head !== 0) !== (((bits >>> (list & 31)) & 1) === 1)) say(`bitmap and list ${list} disagree`);
    let previous = 0;
    for (let tag = head; tag !== 0; tag = i32[tag + TAG_LINK_NEXT]) {
      if (!(tag > 0 && tag + TAG_WORDS <= i32.length)) return say(`list ${list} leads to ${tag}, which is no tag`);
      if (listed.has(tag)) return say(`list ${list} is a circle, or shares a tag`);
      listed.add(tag);
      if (!free.has(tag)) say(`list ${list} holds a segment that is not free`);
      const size = f64[(tag + TAG_SIZE) >> 1];
      if (listOf(size) !== list) say(`a segment of ${size} stands in list ${list}`);
      if (i32[tag + TAG_LINK_PREV] !== previous) say(`list ${list}: tag ${tag} does not point back`);
      previous = tag;
    }
  }
  if (listed.size !== free.size) say(`${free.size} free segments, ${listed.size} in the lists`);
}
