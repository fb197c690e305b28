import { describe, expect, test } from "vitest";
import {
  ARENA_BITMAP,
  ARENA_FIRST,
  ARENA_FREE_LISTS,
  ARENA_HASH_ROUND,
  ARENA_HASH_SPLIT,
  ARENA_HASH_TABLES,
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
  PAGE_BYTES,
  TAG_KIND,
  TAG_LINK_NEXT,
  TAG_LINK_PREV,
  TAG_NEXT,
  TAG_PREV,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_FREE,
  TAG_SIZE,
  TAG_SPAN_IMPORTED,
  TAG_START,
} from "../../../../src/backend/memory/layout.ts";
import { createHeap } from "../../../../src/backend/vmem/heap.ts";
import { listOf } from "../../../../src/backend/vmem/segments.ts";
import { verifyArena } from "../../../../src/backend/vmem/verify.ts";
import { layGround } from "../../../fixtures/floors.ts";

/** An arena with allocated and free segments of several sizes, spare tags, and hash chains longer than one. */
function makeArena() {
  const floor = layGround({ bytes: 4 << 20 }).tenant();
  const heap = createHeap(floor);
  heap.init();
  const blocks = Array.from({ length: 300 }, (_, n) => heap.alloc(1 + (n % 3), 0, 0));
  blocks.filter((_, n) => n % 5 === 0).forEach((address) => heap.free(address, 0));
  blocks.filter((_, n) => n % 5 === 1 && n > 150).forEach((address) => heap.free(address, 0));
  const { i32, f64 } = floor.cells;
  const a = heap.arena;
  const tags: number[] = [];
  for (let tag = i32[a + ARENA_FIRST] as number; tag !== 0; tag = i32[tag + TAG_NEXT] as number) tags.push(tag);
  const ofKind = (kind: number): number[] => tags.filter((tag) => i32[tag + TAG_KIND] === kind);
  const problems = (): string[] => {
    const found: string[] = [];
    verifyArena(floor, heap.segments, a, "heap", (problem) => found.push(problem));
    return found;
  };
  return { heap, i32, f64, a, tags, busy: ofKind(TAG_SEGMENT_BUSY), free: ofKind(TAG_SEGMENT_FREE), marker: tags[0] as number, problems };
}

type Arena = ReturnType<typeof makeArena>;

/** A free segment that its list holds behind another one. */
function inList({ i32, free }: Arena): number {
  return free.find((tag) => i32[tag + TAG_LINK_PREV] !== 0) as number;
}

/** An allocated segment that its chain holds before another one. */
function inChain({ i32, busy }: Arena): number {
  return busy.find((tag) => i32[tag + TAG_LINK_NEXT] !== 0) as number;
}

const DAMAGE: [string, (arena: Arena) => void, RegExp][] = [
  ["a segment that begins elsewhere", ({ f64, busy }) => void (f64[((busy[3] as number) + TAG_START) >> 1] += PAGE_BYTES), /was expected/],
  ["a segment of another size", ({ f64, busy }) => void (f64[((busy[3] as number) + TAG_SIZE) >> 1] += PAGE_BYTES), /was expected/],
  ["an empty segment", ({ f64, free }) => void (f64[((free[0] as number) + TAG_SIZE) >> 1] = 0), /is empty/],
  ["a segment of no kind", ({ i32, busy }) => void (i32[(busy[3] as number) + TAG_KIND] = 0), /has kind 0/],
  ["an allocated segment that says it is free", ({ i32, busy }) => void (i32[(busy[3] as number) + TAG_KIND] = 1), /in the lists/],
  ["a free segment that says it is allocated", ({ i32, free }) => void (i32[(free[1] as number) + TAG_KIND] = 2), /hash/],
  ["two free neighbours", ({ i32, tags }) => void (i32[(tags[2] as number) + TAG_KIND] = TAG_SEGMENT_FREE), /were not joined|in the lists/],
  ["a back link that leads elsewhere", ({ i32, busy }) => void (i32[(busy[3] as number) + TAG_PREV] = 0), /does not point back/],
  [
    "an address list that is a circle",
    ({ i32, busy }) => void (i32[(busy[9] as number) + TAG_NEXT] = busy[2] as number),
    /the address list is a circle/,
  ],
  ["an address list that leads out of the memory", ({ i32, busy }) => void (i32[(busy[9] as number) + TAG_NEXT] = 1 << 29), /no tag/],
  ["an address list that leads below 0", ({ i32, busy }) => void (i32[(busy[9] as number) + TAG_NEXT] = -64), /no tag/],
  ["an address list that ends early", ({ i32, busy }) => void (i32[(busy[9] as number) + TAG_NEXT] = 0), /LAST is not the last tag/],
  ["a LAST that is not the last", ({ i32, a, busy }) => void (i32[a + ARENA_LAST] = busy[0] as number), /LAST is not the last tag/],
  ["a span of another size", ({ f64, marker }) => void (f64[(marker + TAG_SIZE) >> 1] += PAGE_BYTES), /the last span ends at/],
  ["a span that begins below the one before it", ({ f64, marker }) => void (f64[(marker + TAG_START) >> 1] = -2), /begins before the end/],
  ["a span that says it was imported", ({ i32, marker }) => void (i32[marker + TAG_KIND] = TAG_SPAN_IMPORTED), /imported: counted/],
  ["a marker that does not point back", ({ i32, marker }) => void (i32[marker + TAG_LINK_PREV] = 8), /does not point back/],
  ["a list of markers that misses one", ({ i32, a }) => void (i32[a + ARENA_SPAN_FIRST] = 0), /list of markers misses/],
  ["a SPAN_LAST that is not the last marker", ({ i32, a }) => void (i32[a + ARENA_SPAN_LAST] = 0), /SPAN_LAST/],
  ["a rotor that is no tag", ({ i32, a }) => void (i32[a + ARENA_ROTOR] = 24), /rotor/],
  ["a bitmap that knows of no free segment", ({ i32, a }) => void (i32[a + ARENA_BITMAP] = 0), /bitmap and list/],
  ["a bitmap that knows of too many lists", ({ i32, a }) => void (i32[a + ARENA_BITMAP] = -1), /bitmap and list/],
  [
    "a free list that was cut",
    ({ i32, f64, a, free }) => void (i32[a + ARENA_FREE_LISTS + listOf(f64[((free[0] as number) + TAG_SIZE) >> 1] as number)] = 0),
    /in the lists/,
  ],
  ["a free list that does not point back", (arena) => void (arena.i32[inList(arena) + TAG_LINK_PREV] = 0), /does not point back/],
  [
    "a free list that is a circle",
    (arena) => {
      const tag = inList(arena);
      arena.i32[tag + TAG_LINK_NEXT] = arena.i32[tag + TAG_LINK_PREV] as number;
    },
    /is a circle, or shares/,
  ],
  ["a free list that leads out of the memory", (arena) => void (arena.i32[inList(arena) + TAG_LINK_NEXT] = 1 << 30), /no tag/],
  [
    "a free list with an allocated segment in it",
    (arena) => void (arena.i32[inList(arena) + TAG_LINK_NEXT] = arena.busy[4] as number),
    /not free/,
  ],
  [
    "a free segment in the list of another size",
    ({ f64, free }) => void (f64[((free[0] as number) + TAG_SIZE) >> 1] = 2 ** 40),
    /stands in list/,
  ],
  ["a hash chain that was cut", (arena) => void (arena.i32[inChain(arena) + TAG_LINK_NEXT] = 0), /not found by the hash/],
  [
    "a hash chain that is a circle",
    (arena) => {
      const tag = inChain(arena);
      arena.i32[(arena.i32[tag + TAG_LINK_NEXT] as number) + TAG_LINK_NEXT] = tag;
    },
    /is a circle/,
  ],
  ["a hash chain that leads out of the memory", (arena) => void (arena.i32[inChain(arena) + TAG_LINK_NEXT] = 1 << 30), /leads astray/],
  [
    "a bucket of the hash that was emptied",
    ({ i32, a }) => i32.fill(0, i32[a + ARENA_HASH_TABLES] as number, (i32[a + ARENA_HASH_TABLES] as number) + 8),
    /not found by the hash/,
  ],
  ["a hash in a round that cannot be", ({ i32, a }) => void (i32[a + ARENA_HASH_ROUND] = 100), /round 100/],
  ["a hash that splits beyond its round", ({ i32, a }) => void (i32[a + ARENA_HASH_SPLIT] = 1 << 20), /at bucket/],
  ["a hash that forgot its last splits", ({ i32, a }) => void (i32[a + ARENA_HASH_SPLIT] = 0), /not found by the hash/],
  ["a list of free tags that was cut", ({ i32, a }) => void (i32[a + ARENA_TAG_FREE] = 0), /tags: counted/],
  [
    "a list of free tags that is a circle",
    ({ i32, a }) => void (i32[(i32[a + ARENA_TAG_FREE] as number) + TAG_LINK_NEXT] = i32[a + ARENA_TAG_FREE] as number),
    /tags: counted/,
  ],
  ["a tag that is in use and free", ({ i32, a, busy }) => void (i32[a + ARENA_TAG_FREE] = busy[0] as number), /in use and in the list/],
  ...(
    [
      ["the tags", ARENA_SEGMENTS],
      ["the free tags", ARENA_TAGS],
      ["the spans", ARENA_SPANS],
    ] as const
  ).map(([what, word]): [string, (arena: Arena) => void, RegExp] => [
    `a wrong count of ${what}`,
    ({ i32, a }) => i32[a + word]++,
    /counted \d+, kept \d+/,
  ]),
  ...(
    [
      ["in use", ARENA_IN_USE],
      ["in all", ARENA_TOTAL],
      ["imported", ARENA_IMPORTED],
    ] as const
  ).map(([what, word]): [string, (arena: Arena) => void, RegExp] => [
    `a wrong number of integers ${what}`,
    ({ f64, a }) => f64[(a + word) >> 1]++,
    /counted \d+, kept \d+/,
  ]),
];

describe("verifyArena", () => {
  test("finds nothing wrong in an arena that nobody damaged, and changes nothing in it", () => {
    const arena = makeArena();
    const before = arena.i32.slice();
    expect(arena.problems()).toEqual([]);
    expect(arena.i32.every((word, n) => word === before[n])).toBe(true);
    expect([arena.busy.length > 100, arena.free.length > 30]).toEqual([true, true]);
  });

  test.each(DAMAGE)("sees %s", (_what, damage, complaint) => {
    const arena = makeArena();
    damage(arena);
    expect(arena.problems().join("\n")).toMatch(complaint);
  });
});
