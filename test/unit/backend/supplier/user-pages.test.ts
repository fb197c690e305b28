import { describe, expect, test } from "vitest";
import { defineZone, type PageRequest, SLAB_BOOT, SLAB_KMEM, SLAB_MALLOC, SLAB_PRIV, type Uma, type Zone } from "../../../../src/index.ts";
import { INTENT_EXTENT, INTENT_FLAGS, PAGE_BYTES, SB_HEAP_ARENA } from "../../../../src/backend/memory/layout.ts";
import { createArenaPages } from "../../../../src/backend/supplier/arena-pages.ts";
import { createUserPages, FREEF_CALLED } from "../../../../src/backend/supplier/user-pages.ts";
import { codeOf, errorOf } from "../../../fixtures/codes.ts";
import { rivalOf, whileHeld } from "../../../fixtures/floors.ts";
import { countsOf, expectSound, give, makeUma, secondWorker, take } from "../../../fixtures/zones.ts";

interface Given {
  readonly address: number;
  readonly bytes: number;
  readonly flags: number;
  readonly zone: string;
}

/** A supplier of a user's, who takes its pages from the heap in its own name and keeps a record of everything. */
function makeSupplier(uma: Uma, flags = SLAB_KMEM | 0x40) {
  const requests: PageRequest[] = [];
  const given: Given[] = [];
  const live = new Set<number>();
  const allocPages = (request: PageRequest): number => {
    requests.push({ ...request });
    request.flags = flags;
    const address = uma.core.heap.alloc(request.bytes / PAGE_BYTES, uma.name, 0);
    if (address > 0) live.add(address);
    return Math.max(address, 0);
  };
  const freePages = (address: number, bytes: number, seen: number, zone: string): void => {
    given.push({ address, bytes, flags: seen, zone });
    if (!live.delete(address)) throw new Error("pages were given back twice, or never came from here");
    uma.core.heap.free(address, 0);
  };
  return { requests, given, live, allocPages, freePages };
}

describe("a supplier of the user's", () => {
  test("is asked for whole pages in the zone's name, and gets back what it gave with the flags it set", () => {
    const uma = makeUma();
    const supplier = makeSupplier(uma, SLAB_BOOT | SLAB_MALLOC);
    const zone = uma.open(defineZone("own", { size: 3000, ...supplier }));
    const items = take(zone, 10);
    expect(supplier.requests.length).toBe(zone.stats().slabs);
    for (const request of supplier.requests) {
      expect(request).toMatchObject({ zone: "own", flags: 0 });
      expect(request.bytes % PAGE_BYTES).toBe(0);
    }
    for (const item of items) expect([...supplier.live].some((page) => item >= page && item < page + 16 * PAGE_BYTES)).toBe(true);
    give(zone, items);
    const { slabs } = zone.reclaim();
    expect(supplier.given.length).toBe(slabs);
    for (const back of supplier.given) expect(back).toMatchObject({ zone: "own", flags: SLAB_BOOT | SLAB_MALLOC | SLAB_PRIV });
    expect(supplier.live.size).toBe(0);
    expectSound(uma);
  });

  test("is called once for each slab, however often a zone grows and is reclaimed", () => {
    const uma = makeUma();
    const supplier = makeSupplier(uma);
    const zone = uma.open(defineZone("own", { size: 512, ...supplier }));
    for (let round = 0; round < 5; round++) {
      give(zone, take(zone, 100));
      zone.reclaim();
    }
    expect(supplier.given.length).toBe(supplier.requests.length);
    expect(supplier.live.size).toBe(0);
    expectSound(uma);
  });

  test("that has none leaves the zone empty: EMPTY, not an error", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("own", { size: 64, allocPages: () => 0, freePages: () => undefined }));
    expect(zone.tryAlloc()).toBe(0);
    expect(uma.lastFailure).toBe("EMPTY");
    expect(errorOf(() => zone.alloc())).toMatchObject({ code: "ERR_UMA_EMPTY", zone: "own" });
    expectSound(uma);
  });

  test.each([
    ["an address off the page grid", 8192 + 64],
    ["an address below the heap", PAGE_BYTES],
    ["an address beyond the memory", 2 ** 30],
    ["a negative address", -PAGE_BYTES],
    ["a fraction", 8192.5],
    ["NaN", Number.NaN],
    ["something that is no number", "8192" as unknown as number],
    ["an address beyond 2³²", 2 ** 40],
  ])("that returns %s is refused, and nothing was written there", (_what, address) => {
    const uma = makeUma();
    const zone = uma.open(defineZone("own", { size: 64, zinit: true, allocPages: () => address, freePages: () => undefined }));
    const before = uma.core.floor.cells.u8.slice(0, PAGE_BYTES * 3);
    const error = errorOf(() => zone.alloc());
    expect(error).toMatchObject({ code: "ERR_UMA_SUPPLIER", zone: "own" });
    expect(error.value).toBe(address);
    expect(codeOf(() => zone.tryAlloc())).toBe("ERR_UMA_SUPPLIER");
    expect(uma.core.floor.cells.u8.slice(PAGE_BYTES * 2, PAGE_BYTES * 3)).toEqual(before.slice(PAGE_BYTES * 2));
    expect(countsOf(zone)).toEqual({ used: 0, requests: 0, xdomain: 0, slabs: 0, pages: 0 });
    expectSound(uma);
  });

  test("that returns pages which reach beyond the memory is refused", () => {
    const uma = makeUma();
    const last = uma.core.floor.geometry.heapEnd - PAGE_BYTES;
    const zone = uma.open(defineZone("own", { size: 8000, allocPages: () => last, freePages: () => undefined }));
    expect(errorOf(() => zone.alloc())).toMatchObject({ code: "ERR_UMA_SUPPLIER", value: last });
    expectSound(uma);
  });

  test("that returns pages in which a zone has its slab already is refused: that zone keeps them", () => {
    const uma = makeUma();
    const other = uma.open(defineZone("other", { size: 64 }));
    const item = other.alloc();
    const page = item - (item % PAGE_BYTES);
    const zone = uma.open(defineZone("own", { size: 64, allocPages: () => page, freePages: () => undefined }));
    expect(errorOf(() => zone.alloc())).toMatchObject({ code: "ERR_UMA_SUPPLIER", zone: "own", value: page });
    other.free(item);
    expectSound(uma);
  });

  test("that throws is told to the caller as a typed error with its cause, and changes nothing", () => {
    const uma = makeUma();
    const cause = new Error("no more");
    const zone = uma.open(
      defineZone("own", {
        size: 64,
        allocPages: () => {
          throw cause;
        },
        freePages: () => undefined,
      }),
    );
    const error = errorOf(() => zone.tryAlloc());
    expect(error).toMatchObject({ code: "ERR_UMA_SUPPLIER", zone: "own", value: PAGE_BYTES });
    expect(error.cause).toBe(cause);
    expect(countsOf(zone)).toEqual({ used: 0, requests: 0, xdomain: 0, slabs: 0, pages: 0 });
    expectSound(uma);
  });

  test("that throws in freePages is told so once all is done; the pages count as given, and everything goes on", () => {
    const uma = makeUma();
    const supplier = makeSupplier(uma);
    let calls = 0;
    const zone = uma.open(
      defineZone("own", {
        size: 2048,
        allocPages: supplier.allocPages,
        freePages: (...back) => {
          calls++;
          supplier.freePages(...back);
          if (calls % 2 === 1) throw new Error("no");
        },
      }),
    );
    give(zone, take(zone, 20));
    const { slabs } = zone.stats();
    expect(slabs).toBeGreaterThan(3);
    expect(errorOf(() => zone.reclaim())).toMatchObject({ code: "ERR_UMA_SUPPLIER", zone: "own" });
    expect(calls).toBe(slabs);
    expect(zone.stats().slabs).toBe(0);
    expectSound(uma);
    const other = uma.open(defineZone("other", { size: 64 }));
    give(other, take(other, 3));
    expect(other.reclaim().slabs).toBe(1);
    zone.free(zone.alloc());
    expectSound(uma);
  });

  test("may not use its own zone: neither allocPages nor freePages", () => {
    const uma = makeUma();
    const supplier = makeSupplier(uma);
    const codes: string[] = [];
    const tryIt = (): void => {
      for (const work of [() => zone.alloc(), () => zone.tryAlloc(), () => zone.reclaim(), () => zone.close(), () => uma.detach()])
        codes.push(codeOf(work));
    };
    const zone: Zone = uma.open(
      defineZone("own", {
        size: 64,
        allocPages: (request) => {
          tryIt();
          return supplier.allocPages(request);
        },
        freePages: (...back) => {
          tryIt();
          supplier.freePages(...back);
        },
      }),
    );
    zone.free(zone.alloc());
    zone.reclaim();
    expect(codes).toEqual(Array.from({ length: 10 }, () => "ERR_UMA_HOOK_RECURSION"));
    expectSound(uma);
  });

  test("may use other zones", () => {
    const uma = makeUma();
    const supplier = makeSupplier(uma);
    const other = uma.open(defineZone("other", { size: 64 }));
    const notes: number[] = [];
    const zone = uma.open(
      defineZone("own", {
        size: 64,
        allocPages: (request) => {
          notes.push(other.alloc());
          return supplier.allocPages(request);
        },
        freePages: (...back) => {
          other.free(notes.pop() as number);
          supplier.freePages(...back);
        },
      }),
    );
    zone.free(zone.alloc());
    expect(notes.length).toBe(1);
    zone.reclaim();
    expect(notes).toEqual([]);
    expect(other.stats().used).toBe(0);
    expectSound(uma);
  });

  test("gets its pages back when the slab's init refuses, with fini run over what had been through init", () => {
    const uma = makeUma();
    const supplier = makeSupplier(uma);
    const log: string[] = [];
    const zone = uma.open(
      defineZone("own", {
        size: 1024,
        init: (item) => {
          log.push(`init ${item % PAGE_BYTES}`);
          return item % PAGE_BYTES < 2048;
        },
        fini: (item) => void log.push(`fini ${item % PAGE_BYTES}`),
        allocPages: supplier.allocPages,
        freePages: supplier.freePages,
      }),
    );
    expect(zone.tryAlloc()).toBe(0);
    expect(uma.lastFailure).toBe("REFUSED");
    expect(log).toEqual(["init 0", "init 1024", "init 2048", "fini 1024", "fini 0"]);
    expect([supplier.live.size, supplier.given.length]).toEqual([0, 1]);
    expectSound(uma);
  });
});

describe("setAllocf and setFreef", () => {
  test("replace the supplier of a zone before its first allocation", () => {
    const uma = makeUma();
    const supplier = makeSupplier(uma);
    const zone = uma.open(defineZone("set", { size: 64 }));
    zone.setAllocf(supplier.allocPages);
    zone.setFreef(supplier.freePages);
    zone.free(zone.alloc());
    zone.reclaim();
    expect([supplier.requests.length, supplier.given.length, supplier.live.size]).toEqual([1, 1, 0]);
    expectSound(uma);
  });

  test("are refused once there are items, with their number; and allowed again when all were given back", () => {
    const uma = makeUma();
    const supplier = makeSupplier(uma);
    const zone = uma.open(defineZone("late", { size: 64 }));
    const item = zone.alloc();
    const { used, free } = zone.stats();
    const value = used + free;
    expect(errorOf(() => zone.setAllocf(supplier.allocPages))).toMatchObject({ code: "ERR_UMA_TOO_LATE", zone: "late", value });
    expect(errorOf(() => zone.setFreef(supplier.freePages))).toMatchObject({ code: "ERR_UMA_TOO_LATE", zone: "late", value });
    zone.free(item);
    zone.reclaim();
    zone.setAllocf(supplier.allocPages);
    zone.setFreef(supplier.freePages);
    zone.free(zone.alloc());
    expect(supplier.requests.length).toBe(1);
    expectSound(uma);
  });

  test("want functions", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("set", { size: 64 }));
    expect(codeOf(() => zone.setAllocf(null as never))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => zone.setFreef(7 as never))).toBe("ERR_UMA_OPTION");
    zone.free(zone.alloc());
    expectSound(uma);
  });

  test("one alone: without an allocf there is nothing to be had, without a freef nobody is told", () => {
    const uma = makeUma();
    const supplier = makeSupplier(uma);
    const first = uma.open(defineZone("only freef", { size: 64 }));
    first.setFreef(supplier.freePages);
    expect(first.tryAlloc()).toBe(0);
    const second = uma.open(defineZone("only allocf", { size: 64 }));
    second.setAllocf(supplier.allocPages);
    second.free(second.alloc());
    expect(second.reclaim().slabs).toBe(1);
    expect(supplier.live.size).toBe(1);
    expectSound(uma);
  });

  test("a worker that has not got the functions leaves the pages to one that has, and brings its own", async () => {
    const uma = makeUma();
    const supplier = makeSupplier(uma);
    const definition = defineZone("shared", { size: 64 });
    const zone = uma.open(definition);
    zone.setAllocf(supplier.allocPages);
    zone.setFreef(supplier.freePages);
    const mine = zone.alloc();
    const other = await secondWorker(uma);
    const theirs = other.open(definition);
    const held = take(theirs, zone.stats().free + 10);
    expect(zone.stats().slabs).toBeGreaterThan(supplier.live.size);
    give(theirs, held);
    zone.free(mine);
    expect(theirs.reclaim().slabs).toBe(0);
    expectSound(uma);
    const inUse = uma.core.heap.counts().inUse;
    const { slabs } = zone.reclaim();
    expect(slabs).toBeGreaterThan(supplier.given.length);
    expect(supplier.live.size).toBe(0);
    expect(uma.core.heap.counts().inUse).toBeLessThan(inUse);
    expectSound(uma);
  });
});

describe("an intent frame's pages", () => {
  test("are the arena's in the frame, and are given back once", () => {
    const uma = makeUma();
    const { floor, heap } = uma.core;
    const { i32 } = floor.cells;
    const pages = createArenaPages(floor, heap, () => true);
    const frame = floor.intents.push(1);
    const address = pages.alloc("any", 3, frame, false);
    expect([i32[frame + INTENT_EXTENT], i32[frame + INTENT_FLAGS]]).toEqual([address, SLAB_KMEM]);
    expect(whileHeld(rivalOf(uma), floor.cells.base + SB_HEAP_ARENA, () => pages.free("any", frame))).toBe(false);
    expect(i32[frame + INTENT_EXTENT]).toBe(address);
    expect(pages.free("any", frame)).toBe(true);
    expect(i32[frame + INTENT_EXTENT]).toBe(0);
    expect(pages.free("any", frame)).toBe(true);
    floor.intents.pop(frame);
    expectSound(uma);
  });

  test("that a user's freef has been called for are dropped: whoever completes the frame does not call it again", () => {
    const uma = makeUma();
    const { floor } = uma.core;
    const { i32 } = floor.cells;
    let calls = 0;
    const pages = createUserPages(
      floor,
      () => floor.geometry.heapStart,
      () => void calls++,
    );
    const frame = floor.intents.push(1);
    pages.alloc("any", 1, frame, false);
    i32[frame + INTENT_FLAGS] = (i32[frame + INTENT_FLAGS] as number) | FREEF_CALLED;
    expect(pages.free("any", frame)).toBe(true);
    expect([calls, i32[frame + INTENT_EXTENT]]).toEqual([0, 0]);
    floor.intents.pop(frame);
  });
});
