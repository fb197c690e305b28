import { describe, expect, test } from "vitest";
import {
  ARENA_FAILS,
  ARENA_HASH_ROUND,
  ARENA_LOCK,
  ARENA_OWN,
  ARENA_SEGMENTS,
  PAGE_BYTES,
  SLOT_JOURNAL_COUNT,
  TAG_OWNER,
} from "../../../../src/backend/memory/layout.ts";
import { createHeap, HEAP_BUSY, type Heap, NO_PAGES } from "../../../../src/backend/vmem/heap.ts";
import { verifyArena } from "../../../../src/backend/vmem/verify.ts";
import { type GroundOptions, layGround, whileHeld } from "../../../fixtures/floors.ts";
import { randomFrom, seedFor } from "../../../fixtures/seeds.ts";

function makeHeap(options: GroundOptions = {}) {
  const ground = layGround({ bytes: 1 << 20, ...options });
  const floor = ground.tenant();
  const heap = createHeap(floor);
  heap.init();
  const { i32, f64 } = floor.cells;
  const arena = { word: (word: number) => i32[heap.arena + word] as number, number: (word: number) => f64[(heap.arena + word) >> 1] };
  const sound = (): void => {
    const problems: string[] = [];
    verifyArena(floor, heap.segments, heap.arena, "heap", (problem) => problems.push(problem));
    expect(problems).toEqual([]);
    expect(i32[floor.slotWord + SLOT_JOURNAL_COUNT]).toBe(0);
  };
  return { ...ground, floor, heap, i32, arena, sound };
}

/** Takes blocks of `pages` until there are no more. */
function exhaust(heap: Heap, pages: number): number[] {
  const taken: number[] = [];
  for (let address = heap.alloc(pages, 0, 0); address !== NO_PAGES; address = heap.alloc(pages, 0, 0)) taken.push(address);
  return taken;
}

describe("allocating pages", () => {
  test("gives page-aligned blocks inside the heap that never overlap", () => {
    const { heap, geometry, sound } = makeHeap();
    const used = new Set<number>();
    for (const pages of [1, 2, 3, 5, 8, 13, 1, 1]) {
      const address = heap.alloc(pages, 0, 0);
      expect(address % PAGE_BYTES).toBe(0);
      expect(address).toBeGreaterThanOrEqual(geometry.heapStart);
      expect(address + pages * PAGE_BYTES).toBeLessThanOrEqual(geometry.heapEnd);
      for (let page = 0; page < pages; page++) {
        expect(used.has(address + page * PAGE_BYTES)).toBe(false);
        used.add(address + page * PAGE_BYTES);
      }
      expect(heap.sizeOf(address)).toBe(pages);
    }
    expect(heap.counts().inUse).toBe(34);
    sound();
  });

  test("writes the address into the caller's word in the same transaction, and clears it when it is given back", () => {
    const { heap, i32, floor } = makeHeap();
    const word = floor.slotWord + 300;
    const address = heap.alloc(2, 0, word);
    expect(i32[word]).toBe(address);
    expect(heap.free(address, word)).toBe(true);
    expect(i32[word]).toBe(0);
  });

  test("splits off the rest, and what is given back joins its free neighbours on both sides", () => {
    const { heap, arena, sound } = makeHeap();
    const before = arena.word(ARENA_SEGMENTS);
    const [a, b, c] = [heap.alloc(4, 0, 0), heap.alloc(4, 0, 0), heap.alloc(4, 0, 0)];
    expect([b - a, c - b]).toEqual([4 * PAGE_BYTES, 4 * PAGE_BYTES]);
    expect(arena.word(ARENA_SEGMENTS)).toBe(before + 3);
    heap.free(a, 0);
    sound();
    heap.free(c, 0);
    sound();
    expect(arena.word(ARENA_SEGMENTS)).toBe(before + 2);
    heap.free(b, 0);
    sound();
    expect(arena.word(ARENA_SEGMENTS)).toBe(before);
    expect(heap.counts().inUse).toBe(0);
  });

  test("finds a block in its own list when all longer lists are empty", () => {
    const { heap, sound } = makeHeap();
    const total = heap.counts().total;
    const almost = heap.alloc(total - 7, 0, 0);
    expect(almost).toBeGreaterThan(0);
    const seven = heap.alloc(7, 0, 0);
    expect(seven).toBeGreaterThan(0);
    heap.free(seven, 0);
    expect(heap.alloc(6, 0, 0)).toBe(seven);
    sound();
  });

  test("ends in NO_PAGES, counted, when nothing fits; and everything can be had again afterwards", () => {
    const { heap, arena, sound } = makeHeap();
    const fails = arena.number(ARENA_FAILS);
    const all = exhaust(heap, 1);
    expect(arena.number(ARENA_FAILS)).toBe(fails + 1);
    expect(heap.counts().free).toBe(0);
    expect(heap.alloc(1, 0, 0)).toBe(NO_PAGES);
    sound();
    for (const address of all) expect(heap.free(address, 0)).toBe(true);
    expect(heap.counts().inUse).toBe(arena.word(ARENA_OWN));
    sound();
    expect(exhaust(heap, 1).length).toBe(all.length);
  });

  test("refuses a block larger than the heap", () => {
    const { heap, sound } = makeHeap();
    expect(heap.alloc(heap.counts().total + 1, 0, 0)).toBe(NO_PAGES);
    expect(heap.alloc(1 << 18, 0, 0)).toBe(NO_PAGES);
    sound();
  });

  test("keeps the most that was ever in use", () => {
    const { heap } = makeHeap();
    const block = heap.alloc(20, 0, 0);
    heap.free(block, 0);
    heap.alloc(3, 0, 0);
    expect(heap.counts()).toMatchObject({ inUse: 3, peak: 20 });
  });
});

describe("the arena feeds itself", () => {
  test("takes pages of tags, and tables of its hash one after another, and loses none of what it holds meanwhile", () => {
    const { heap, arena, sound } = makeHeap({ bytes: 16 << 20 });
    const rounds = new Set<number>();
    const taken: number[] = [];
    for (let address = heap.alloc(1, 0, 0); address !== NO_PAGES; address = heap.alloc(1, 0, 0)) {
      taken.push(address);
      rounds.add(arena.word(ARENA_HASH_ROUND));
    }
    expect(taken.length).toBeGreaterThan(3000);
    expect([...rounds]).toEqual(expect.arrayContaining([64, 128, 256, 512, 1024]));
    expect(arena.word(ARENA_OWN)).toBeGreaterThan(40);
    sound();
    for (const address of taken) expect(heap.sizeOf(address)).toBe(1);
    const middle = taken.filter((_, n) => n % 2 === 1);
    for (const address of middle) heap.free(address, 0);
    sound();
    expect(heap.alloc(2, 0, 0)).toBe(NO_PAGES);
    for (const address of taken.filter((_, n) => n % 2 === 0)) heap.free(address, 0);
    sound();
    expect(heap.counts().inUse).toBe(arena.word(ARENA_OWN));
  });

  test("stays sound when there is no page left for tags or tables", () => {
    // One length after another, so that the tags run out at every distance from the end.
    for (let pages = 0; pages < 90; pages++) {
      const { heap, sound } = makeHeap({ bytes: 524_288 + pages * PAGE_BYTES });
      const all = exhaust(heap, 1);
      sound();
      // From here on every split needs tags that only freed blocks can have given.
      for (let n = 0; n < all.length; n += 2) heap.free(all[n] as number, 0);
      sound();
      expect(exhaust(heap, 1).length).toBe(Math.ceil(all.length / 2));
      sound();
    }
  });
});

describe("what belongs to whom", () => {
  test("a block carries its owner's name, which changes only from the owner it was said to have", () => {
    const { heap, i32, floor, sound } = makeHeap();
    const address = heap.alloc(2, floor.me, 0);
    const tag = heap.segments.lookup(heap.arena, address);
    expect(i32[tag + TAG_OWNER]).toBe(floor.me);
    expect(heap.setOwner(address, 12345, 7)).toBe(false);
    expect(heap.setOwner(address, floor.me, 7)).toBe(true);
    expect(i32[tag + TAG_OWNER]).toBe(7);
    expect(heap.setOwner(address + PAGE_BYTES, 7, 8)).toBe(false);
    heap.free(address, 0);
    sound();
  });

  test("an address at which no block begins has no size, and freeing it changes nothing", () => {
    const { heap, sound } = makeHeap();
    const address = heap.alloc(4, 0, 0);
    expect(heap.sizeOf(address + PAGE_BYTES)).toBe(0);
    expect(heap.free(address + PAGE_BYTES, 0)).toBe(true);
    expect(heap.sizeOf(address)).toBe(4);
    expect(heap.counts().inUse).toBe(4);
    sound();
  });
});

test("while another worker holds the arena's lock, every operation answers that, and changes nothing", () => {
  const { heap, tenant, floor, i32, sound } = makeHeap();
  const address = heap.alloc(2, floor.me, 0);
  const word = floor.slotWord + 300;
  i32[word] = 99;
  whileHeld(tenant(), heap.arena + ARENA_LOCK, () => {
    expect(heap.alloc(1, 0, word)).toBe(HEAP_BUSY);
    expect(heap.free(address, word)).toBe(false);
    expect(heap.sizeOf(address)).toBe(HEAP_BUSY);
    expect(heap.setOwner(address, floor.me, 0)).toBe(false);
    expect(i32[word]).toBe(99);
  });
  expect(heap.counts().inUse).toBe(2);
  sound();
});

test("thousands of random allocations and frees leave an arena in which every invariant holds", () => {
  const random = randomFrom(seedFor("heap"));
  const { heap, arena, geometry, sound } = makeHeap({ bytes: 8 << 20 });
  const held = new Map<number, number>();
  const pageOwner = new Int32Array((geometry.heapEnd >>> 12) + 1);
  for (let step = 1; step <= 20_000; step++) {
    const grow = random.below(2000) < (step % 4000 < 2000 ? 1200 : 800);
    if (grow) {
      const pages = random.below(10) === 0 ? 1 + random.below(200) : 1 + random.below(6);
      const address = heap.alloc(pages, 0, 0);
      if (address === NO_PAGES) continue;
      for (let page = 0; page < pages; page++) {
        const at = (address >>> 12) + page;
        if (pageOwner[at] !== 0) expect.unreachable(`page ${at} was given twice`);
        pageOwner[at] = step;
      }
      held.set(address, pages);
    } else if (held.size > 0) {
      const address = random.pick([...held.keys()].slice(0, 64));
      pageOwner.fill(0, address >>> 12, (address >>> 12) + (held.get(address) as number));
      held.delete(address);
      expect(heap.free(address, 0)).toBe(true);
    }
    if (step % 2500 === 0) sound();
  }
  const pages = [...held.values()].reduce((sum, n) => sum + n, 0);
  expect(heap.counts().inUse).toBe(pages + arena.word(ARENA_OWN));
  for (const [address, size] of held) expect(heap.sizeOf(address)).toBe(size);
  for (const address of held.keys()) heap.free(address, 0);
  sound();
  expect(heap.counts().inUse).toBe(arena.word(ARENA_OWN));
});
