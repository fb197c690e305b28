import { describe, expect, test, vi } from "vitest";
import {
  ARENA_LOCK,
  ARENA_QCACHE_SIZES,
  INTENT_EXTENT,
  INTENT_FLAGS,
  INTENT_KEG,
  INTENT_PAGES,
  INTENT_SLAB,
  SB_CONTROL_LOCK,
  SB_HEAP_ARENA,
  SB_POOL_LOCK,
} from "../../../src/backend/memory/layout.ts";
import { SLAB_RUN } from "../../../src/backend/supplier/page-supplier.ts";
import { runQuanta } from "../../../src/backend/supplier/run-pages.ts";
import type { Arena, ArenaOptions } from "../../../src/backend/vmem/arena.ts";
import type { ArenaHandle } from "../../../src/backend/vmem/handle.ts";
import type { QuantumCache } from "../../../src/backend/vmem/quantum-cache.ts";
import { takeRun } from "../../../src/backend/vmem/taking.ts";
import { Uma, defineZone } from "../../../src/index.ts";
import { planOf } from "../../../src/uma/quantum-caches.ts";
import { codeOf } from "../../fixtures/codes.ts";
import { rivalOf, whileHeld } from "../../fixtures/floors.ts";
import { randomFrom, seedFor } from "../../fixtures/seeds.ts";
import { startWorker } from "../../fixtures/workers.ts";
import { secondWorker } from "../../fixtures/zones.ts";

const MIB = 2 ** 20;

function makeUma(): Uma {
  return Uma.create({ bytes: 2 * MIB, workers: 8 });
}

/** Everything back in the arena, and every invariant true. */
function expectEmpty(uma: Uma, arena: Arena): void {
  arena.reap();
  expect(arena.size("alloc")).toBe(0);
  expect(uma.verify().problems).toEqual([]);
}

describe("quantum caches of a shared arena", () => {
  test.each<[string, ArenaOptions]>([
    ["identifiers", { identifiers: true, qcacheMax: 4, span: { start: 0, size: 4096 } }],
    ["integers far up, by eights", { quantum: 8, qcacheMax: 64, span: { start: 2 ** 50, size: 2 ** 20 } }],
    ["what need not be memory, by pages", { quantum: 4096, qcacheMax: 65536, span: { start: 0, size: 2 ** 24 } }],
  ])("serve small sizes of %s from runs, and give the runs back when asked", (_what, options) => {
    using uma = makeUma();
    const arena = uma.arenas.create("a", options);
    const { quantum } = arena;
    const taken = [1, 2, 1, 1, 3, 1, 4, 2].map((n) => ({ start: arena.alloc(n * quantum), size: n * quantum }));
    const units = new Set(taken.flatMap(({ start, size }) => Array.from({ length: size / quantum }, (_, k) => start + k * quantum)));
    expect(units.size).toBe(15);
    for (const { start, size } of taken) expect([start % quantum, arena.contains(start, size)]).toEqual([0, true]);
    expect(arena.stats().alloc).toBe(4);
    expect(arena.size("alloc")).toBe(4 * runQuanta(quantum) * quantum);
    const large = arena.alloc(17 * quantum);
    expect(arena.stats().alloc).toBe(5);
    arena.free(large, 17 * quantum);
    for (const { start, size } of taken) arena.free(start, size - (quantum === 1 ? 0 : 1));
    expectEmpty(uma, arena);
    expect(arena.destroy().size).toBe(0);
    expect(uma.verify().problems).toEqual([]);
  });

  test.each([1, 4096])("cut a run into pieces of any size up to sixteen quanta, with a quantum of %i", (quantum) => {
    using uma = makeUma();
    const run = runQuanta(quantum) * quantum;
    const arena = uma.arenas.create("a", { quantum, qcacheMax: 16 * quantum, span: { start: run, size: 16 * run } });
    for (let n = 1; n <= 16; n++) {
      const { pieces } = planOf(n, run / quantum);
      // What is lost is little more than what no whole piece fits in.
      expect((pieces * n * quantum) / run).toBeGreaterThan(0.8);
      const starts = Array.from({ length: pieces }, () => arena.alloc(n * quantum));
      expect(arena.size("alloc")).toBe(run);
      starts.sort((p, q) => p - q);
      for (const [k, start] of starts.entries()) expect(start).toBe((starts[0] as number) + k * n * quantum);
      expect((starts[0] as number) % run).toBe(0);
      for (const start of starts) arena.free(start, n * quantum);
      expectEmpty(uma, arena);
    }
  });

  test("refuse a second free, a wrong size, a place inside a piece and xfree, and change nothing", () => {
    using uma = makeUma();
    const arena = uma.arenas.create("a", { qcacheMax: 4, span: { start: 256, size: 1024 } });
    const start = arena.alloc(3);
    const other = arena.alloc(2);
    expect(codeOf(() => arena.free(start, 2))).toBe("ERR_VMEM_SIZE");
    expect(codeOf(() => arena.free(other, 3))).toBe("ERR_VMEM_SIZE");
    expect(codeOf(() => arena.free(start + 1, 3))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => arena.free(start + 0.5, 3))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => arena.free(start + 252, 3))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => arena.free(start + 3, 3))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => arena.free(start + 3, 2))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => arena.xfree(start, 3))).not.toBe("");
    expect(codeOf(() => arena.free(-1, 1))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => arena.free(Number.NaN, 1))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => arena.free(start, 0))).toBe("ERR_VMEM_OPTION");
    expect(codeOf(() => arena.alloc(0))).toBe("ERR_VMEM_OPTION");
    expect(codeOf(() => arena.alloc(-1))).toBe("ERR_VMEM_OPTION");
    expect(codeOf(() => arena.alloc(Number.NaN))).toBe("ERR_VMEM_OPTION");
    arena.free(start, 3);
    expect(codeOf(() => arena.free(start, 3))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => arena.free(start, 2))).toBe("ERR_VMEM_UNKNOWN");
    arena.free(other, 2);
    expectEmpty(uma, arena);
    expect(codeOf(() => arena.free(start, 3))).toBe("ERR_VMEM_UNKNOWN");
  });

  test("are passed by when a policy is asked for, and free finds out by itself", () => {
    using uma = makeUma();
    const arena = uma.arenas.create("a", { qcacheMax: 2, span: { start: 0, size: 1024 } });
    const cached = arena.alloc(1);
    const lowest = arena.alloc(1, { policy: "first" });
    const aligned = arena.xalloc(1, { align: 2 });
    expect(Math.floor(lowest / 256)).not.toBe(Math.floor(cached / 256));
    arena.free(lowest, 1);
    arena.xfree(aligned, 1);
    arena.free(cached, 1);
    expectEmpty(uma, arena);
  });

  test("hold nothing back: every last integer can be allocated, in pieces and as a whole", () => {
    using uma = makeUma();
    const arena = uma.arenas.create("a", { qcacheMax: 8, span: { start: 3, size: 1000 } });
    const ones: number[] = [];
    for (let start = arena.tryAlloc(1); start >= 0; start = arena.tryAlloc(1)) ones.push(start);
    expect(new Set(ones).size).toBe(1000);
    expect(arena.lastFailure).toBe("NOSPACE");
    for (const start of ones) arena.free(start, 1);
    // Whatever of it lies in the caches comes out again, one by one and all at once.
    for (let n = 0; n < 1000; n++) arena.alloc(1);
    expect(arena.tryAlloc(1)).toBe(-1);
    for (const start of ones) arena.free(start, 1);
    expect(arena.alloc(1000)).toBe(3);
    arena.free(3, 1000);
    expectEmpty(uma, arena);
  });

  test("serve a size again that was given back while its cache was at rest", () => {
    using uma = makeUma();
    const arena = uma.arenas.create("a", { qcacheMax: 2, span: { start: 0, size: 256 } });
    const ones = Array.from({ length: 256 }, () => arena.alloc(1));
    expect(arena.tryAlloc(1)).toBe(-1);
    arena.free(ones[7] as number, 1);
    expect(arena.tryAlloc(1)).toBe(ones[7]);
    for (const start of ones) arena.free(start, 1);
    expectEmpty(uma, arena);
  });

  test("count what leaks, not what they hold", () => {
    using uma = makeUma();
    const arena = uma.arenas.create("a", { qcacheMax: 2, span: { start: 0, size: 1024 } });
    arena.alloc(2);
    arena.free(arena.alloc(1), 1);
    expect(codeOf(() => arena.destroy())).toBe("ERR_VMEM_LEAK");
    expect(arena.isDestroyed()).toBe(false);
    expect(arena.destroy({ force: true }).size).toBe(2);
    expect(codeOf(() => arena.alloc(1))).toBe("ERR_VMEM_DESTROYED");
    expect(codeOf(() => arena.free(0, 1))).toBe("ERR_VMEM_DESTROYED");
    expect(uma.verify().problems).toEqual([]);
  });

  test("of an arena made anew under the same name know nothing of the first", () => {
    using uma = makeUma();
    const options = { qcacheMax: 2, span: { start: 0, size: 1024 } };
    const first = uma.arenas.create("a", options);
    const start = first.alloc(1);
    first.destroy({ force: true });
    const second = uma.arenas.create("a", options);
    expect(codeOf(() => second.free(start, 1))).toBe("ERR_VMEM_UNKNOWN");
    const other = second.alloc(1);
    second.free(other, 1);
    expectEmpty(uma, second);
  });

  test("import runs, and their spans go home when the runs do", () => {
    using uma = makeUma();
    const pages = uma.arenas.create("pages", { quantum: 4096, source: uma.arenas.heap });
    const arena = uma.arenas.create("a", { quantum: 16, qcacheMax: 64, source: pages });
    const before = pages.size("total");
    const starts = Array.from({ length: 300 }, () => arena.alloc(16));
    expect(pages.size("total")).toBeGreaterThan(before);
    for (const start of starts) arena.free(start, 16);
    expectEmpty(uma, arena);
    expect([arena.size("total"), pages.size("total")]).toEqual([0, 0]);
  });

  test("leave an import function to the arena that it imports for", () => {
    using uma = makeUma();
    let depth = 0;
    let spans = 0;
    const arena: Arena = uma.arenas.create("a", {
      qcacheMax: 1,
      import: (size) => {
        // The arena's own caches are out of reach here: it imports once more.
        if (depth++ === 0) arena.free(arena.alloc(1), 1);
        depth--;
        return { start: spans++ * 1024, size: Math.ceil(size / 1024) * 1024 };
      },
    });
    const start = arena.alloc(1);
    arena.free(start, 1);
    expectEmpty(uma, arena);
  });

  test("leave requests to the arena when there is no memory for their pages", () => {
    using uma = Uma.create({ bytes: MIB / 2 });
    const arena = uma.arenas.create("a", { identifiers: true, qcacheMax: 1, span: { start: 0, size: 40 } });
    expect(arena.alloc(1)).toBeGreaterThanOrEqual(0);
    const hoard: number[] = [];
    for (let page = uma.arenas.heap.tryAlloc(4096); page >= 0; page = uma.arenas.heap.tryAlloc(4096)) hoard.push(page);
    const ids = Array.from({ length: 39 }, () => arena.alloc(1));
    expect(codeOf(() => arena.alloc(1))).toBe("ERR_VMEM_NOID");
    for (const page of hoard) uma.arenas.heap.free(page, 4096);
    expect(new Set(ids).size).toBe(39);
  });

  test("running out of identifiers is told as that, and reaps identifier caches alone", () => {
    using uma = makeUma();
    const items = uma.open(defineZone("items", { size: 64 }));
    items.prealloc(100);
    for (const item of Array.from({ length: 300 }, () => items.alloc())) items.free(item);
    const { slabs, free } = items.stats();
    const arena = uma.arenas.create("ids", { identifiers: true, qcacheMax: 2, span: { start: 0, size: 512 } });
    const ids = Array.from({ length: 512 }, () => arena.alloc(1));
    expect(codeOf(() => arena.alloc(1))).toBe("ERR_VMEM_NOID");
    expect([arena.tryAlloc(1), arena.lastFailure]).toEqual([-1, "NOSPACE"]);
    for (const id of ids) arena.free(id, 1);
    // All of it lies in caches of single identifiers: they give it up for pairs.
    for (let n = 0; n < 256; n++) arena.alloc(2);
    expect([items.stats().slabs, items.stats().free]).toEqual([slabs, free]);
  });

  test.each([
    ["the arena's", (a: number) => a + ARENA_LOCK],
    ["the heap's", (_a: number, sb: number) => sb + SB_HEAP_ARENA],
    ["the pools'", (_a: number, sb: number) => sb + SB_POOL_LOCK],
  ])("never block what may not wait: %s lock is held by a worker that does not let it go", (_whose, lock) => {
    // Whoever waited would do so for longer than a test may last.
    using uma = Uma.create({ bytes: 2 * MIB, workers: 8, patience: 60_000 });
    const rival = rivalOf(uma);
    const source = uma.arenas.create("source", { span: { start: 0, size: 2 ** 20 } });
    const arena = uma.arenas.create("a", { qcacheMax: 2, source, span: { start: 2 ** 21, size: 300 } });
    const { a } = (arena as ArenaHandle).backing;
    const got = whileHeld(rival, lock(a, uma.core.floor.cells.base), () => {
      const taken: { start: number; size: number }[] = [];
      for (let n = 0; n < 2000; n++) {
        const size = 1 + (n % 5);
        const start = n % 7 === 0 ? arena.tryXalloc(size, { align: 4 }) : arena.tryAlloc(size);
        if (start >= 0 && n % 7 !== 0) taken.push({ start, size });
      }
      return taken;
    });
    for (const { start, size } of got) arena.free(start, size);
    arena.free(arena.alloc(2), 2);
    expect(uma.verify().problems).toEqual([]);
  });

  test("give out nothing twice through random allocations and frees of all sizes", () => {
    using uma = makeUma();
    const random = randomFrom(seedFor("shared quantum caches"));
    const arena = uma.arenas.create("a", { qcacheMax: 6, span: { start: 1000, size: 6000 } });
    const taken = new Uint8Array(8000);
    const held: { start: number; size: number }[] = [];
    for (let n = 0; n < 20_000; n++) {
      if (held.length > 0 && random.below(100) < ((n & 1024) === 0 ? 40 : 60)) {
        const [{ start, size }] = held.splice(random.below(held.length), 1) as [{ start: number; size: number }];
        arena.free(start, size);
        taken.fill(0, start, start + size);
        continue;
      }
      const size = 1 + random.below(8);
      const start = arena.tryAlloc(size, random.below(5) === 0 ? { policy: "first" } : undefined);
      if (start < 0) continue;
      if (!taken.subarray(start, start + size).every((mark) => mark === 0)) throw new Error(`operation ${n}: ${start} was given twice`);
      taken.fill(1, start, start + size);
      held.push({ start, size });
    }
    for (const { start, size } of held) arena.free(start, size);
    expectEmpty(uma, arena);
  });

  test("call whoever waits: a piece that is freed into a cache is a piece that is free", async () => {
    using uma = makeUma();
    const arena = uma.arenas.create("a", { qcacheMax: 2, span: { start: 0, size: 256 } });
    const ones = Array.from({ length: 256 }, () => arena.alloc(1));
    const waiting = arena.allocAsync(1, { timeout: 20_000 });
    arena.free(ones[9] as number, 1);
    expect(await waiting).toBe(ones[9]);
    const all = arena.allocAsync(256, { timeout: 20_000 });
    for (const start of ones) arena.free(start, 1);
    expect(await all).toBe(0);
    arena.free(0, 256);
    expectEmpty(uma, arena);
  });
});

describe("quantum caches and other workers", () => {
  test("what one frees into its cache reaches another that waits", async () => {
    using uma = Uma.create({ bytes: 2 * MIB, workers: 4, patience: 2000 });
    const arena = uma.arenas.create("ids", { identifiers: true, qcacheMax: 1, span: { start: 0, size: 256 } });
    const ticket = uma.ticket();
    const keeper = startWorker("arena-worker.ts", { ticket, take: { arena: "ids", sizes: [1, 1, 1] } });
    const recovered = uma.watch(keeper.worker, ticket);
    const [first] = await keeper.next<number[]>();
    const mine: number[] = [];
    // What the keeper has in its cache comes as well, once it has heard that it is wanted.
    while (mine.length < 253) {
      const id = arena.tryAlloc(1);
      if (id >= 0) mine.push(id);
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const waiter = startWorker("arena-worker.ts", { ticket: uma.ticket(), waitFor: "ids" });
    expect(await waiter.next()).toBe("waiting");
    while (arena.stats().wait === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    keeper.worker.postMessage([first, 1]);
    expect(await keeper.next()).toBe("freed");
    expect(await waiter.next()).toBeGreaterThanOrEqual(0);
    await waiter.ended;
    await keeper.kill();
    expect((await recovered)?.arenas).toHaveLength(2);
  });

  test("what a worker that died had out of them is reported piece by piece, and can be freed by anybody", async () => {
    using uma = Uma.create({ bytes: 2 * MIB, workers: 4, patience: 2000 });
    const arena = uma.arenas.create("a", { quantum: 8, qcacheMax: 32, span: { start: 8192, size: 65536 } });
    const ticket = uma.ticket();
    const sizes = [8, 16, 8, 32, 100];
    const keeper = startWorker("arena-worker.ts", { ticket, take: { arena: "a", sizes } });
    const recovered = uma.watch(keeper.worker, ticket);
    const starts = await keeper.next<number[]>();
    const mine = arena.alloc(16);
    await keeper.kill();
    const report = await recovered;
    const order = (p: { start: number }, q: { start: number }): number => p.start - q.start;
    const expected = starts.map((start, k) => ({ arena: "a", start, size: Math.ceil((sizes[k] as number) / 8) * 8 }));
    expect(Array.from(report?.arenas ?? []).sort(order)).toEqual(expected.sort(order));
    expect(report?.zones).toEqual([]);
    for (const { start, size } of report?.arenas ?? []) arena.free(start, size);
    for (const { start, size } of report?.arenas ?? []) expect(codeOf(() => arena.free(start, size))).toBe("ERR_VMEM_UNKNOWN");
    arena.free(mine, 16);
    expectEmpty(uma, arena);
  });

  test("an arena can be destroyed while others have it cached: they learn of it, and its pages come home", async () => {
    using uma = Uma.create({ bytes: 2 * MIB, workers: 4, patience: 2000 });
    const inUse = uma.core.heap.counts().inUse;
    const arena = uma.arenas.create("a", { qcacheMax: 2, span: { start: 0, size: 4096 } });
    const ticket = uma.ticket();
    const keeper = startWorker("arena-worker.ts", { ticket, take: { arena: "a", sizes: [1, 2] } });
    const recovered = uma.watch(keeper.worker, ticket);
    await keeper.next();
    expect(arena.destroy({ force: true }).size).toBe(3);
    await keeper.kill();
    expect((await recovered)?.done).toBe(true);
    expect(uma.stats().zones.filter(({ name }) => name.startsWith("vmem"))).toEqual([]);
    expect(uma.verify().problems).toEqual([]);
    // The record and its tags stay for the next arena, pools and zone records for theirs.
    expect(uma.core.heap.counts().inUse - inUse).toBeLessThan(12);
  });

  test("a piece of an arena that was destroyed is no leftover, least of all of one made anew under its name", async () => {
    using uma = makeUma();
    const options = { qcacheMax: 4, span: { start: 0, size: 4096 } };
    const first = uma.arenas.create("a", options);
    const dead = await secondWorker(uma);
    const piece = dead.arenas.open("a").alloc(2);
    first.destroy({ force: true });
    const second = uma.arenas.create("a", options);
    const mine = Array.from({ length: 128 }, () => second.alloc(2));
    expect(mine).toContain(piece);
    expect(uma.reap(dead.slot)).toMatchObject({ done: true, arenas: [], zones: [] });
    expect(uma.verify().problems).toEqual([]);
  });

  test.each([false, true])("a worker that dies while its run is on the way loses nothing (run taken: %s)", (taken) => {
    using uma = makeUma();
    const arena = uma.arenas.create("a", { qcacheMax: 1, span: { start: 0, size: 4096 } }) as ArenaHandle;
    arena.free(arena.alloc(1), 1);
    arena.reap();
    const rival = rivalOf(uma);
    const { i32, f64 } = rival.cells;
    const keg = uma.core.open.find((zone) => zone?.name.startsWith("vmem"))?.keg ?? 0;
    const frame = rival.intents.push(INTENT_SLAB);
    i32[frame + INTENT_KEG] = keg;
    i32[frame + INTENT_PAGES] = 1;
    i32[frame + INTENT_FLAGS] = SLAB_RUN;
    const page = uma.core.heap.alloc(1, 0, frame + INTENT_EXTENT);
    f64[page >> 3] = 0;
    if (taken) expect(takeRun(arena, 256, 256, true, page)).toBeGreaterThanOrEqual(0);
    expect(uma.reap(rival.slot)?.done).toBe(true);
    expect(arena.size("alloc")).toBe(0);
    expect(uma.verify().problems).toEqual([]);
  });

  test("verify sees a run that no page stands for", () => {
    using uma = makeUma();
    const arena = uma.arenas.create("a", { qcacheMax: 1, span: { start: 0, size: 4096 } }) as ArenaHandle;
    const page = uma.arenas.heap.alloc(4096);
    takeRun(arena, 256, 256, true, page);
    expect(uma.verify().problems.join()).toMatch(/no page stands for the run/);
  });

  const zonesOf = (uma: Uma): string[] =>
    uma
      .stats()
      .zones.map(({ name }) => name)
      .filter((name) => name.startsWith("vmem"));
  const smallArena: ArenaOptions = { qcacheMax: 2, span: { start: 0, size: 4096 } };

  test("an arena does not end before every zone of its caches can be had, also those that this thread has not opened", async () => {
    using uma = Uma.create({ bytes: 2 * MIB, workers: 8, patience: 0 });
    const arena = uma.arenas.create("a", smallArena) as ArenaHandle;
    const other = await secondWorker(uma);
    const theirs = other.arenas.open("a");
    theirs.free(theirs.alloc(2), 2);
    expect(other.detach().done).toBe(true);
    const rival = rivalOf(uma);
    const beginEnd = arena.backing.beginEnd.bind(arena.backing);
    // Forgets what the drain has opened, as if that had found no lock either.
    (arena.cache as unknown as { shelves: null[] }).shelves.fill(null);
    vi.spyOn(arena.cache as QuantumCache, "drain").mockReturnValue(false);
    vi.spyOn(arena.cache as QuantumCache, "held").mockReturnValue(0);
    vi.spyOn(arena.cache as QuantumCache, "outstanding").mockReturnValue(0);
    vi.spyOn(arena.backing, "beginEnd").mockImplementation((mayEnd) => {
      const begun = beginEnd(mayEnd);
      rival.locks.acquire(uma.core.floor.cells.base + SB_CONTROL_LOCK, 0);
      return begun;
    });
    expect(codeOf(() => arena.destroy({ force: true }))).toBe("ERR_VMEM_BUSY");
    rival.locks.release();
    arena.destroy();
    expect(zonesOf(uma)).toEqual([]);
    expect(uma.verify().problems).toEqual([]);
  });

  test("no zone is made for an arena that ends while its cache is opened", async () => {
    using uma = Uma.create({ bytes: 2 * MIB, workers: 8, patience: 0 });
    const arena = uma.arenas.create("a", smallArena);
    using other = await secondWorker(uma);
    const theirs = other.arenas.open("a");
    const { locks, cells } = other.core.floor;
    const acquire = locks.acquire.bind(locks);
    vi.spyOn(locks, "acquire").mockImplementation((lock, patience) => {
      if (lock === cells.base + SB_CONTROL_LOCK && uma.arenas.list().length > 0) arena.destroy();
      return acquire(lock, patience);
    });
    expect(() => theirs.alloc(1)).toThrow(/was destroyed/);
    expect(zonesOf(uma)).toEqual([]);
    expect(uma.verify().problems).toEqual([]);
  });

  test("a worker that dies where it has made a zone for a cache leaves one that the arena's end finds", async () => {
    using uma = Uma.create({ bytes: 2 * MIB, workers: 8, patience: 0 });
    const arena = uma.arenas.create("a", smallArena) as ArenaHandle;
    const other = await secondWorker(uma);
    const theirs = other.arenas.open("a");
    const or = Atomics.or.bind(Atomics) as (array: Int32Array, index: number, bits: number) => number;
    const kills = (array: Int32Array, index: number, bits: number): number => {
      if (index === arena.backing.a + ARENA_QCACHE_SIZES) throw new Error("killed");
      return or(array, index, bits);
    };
    const spy = vi.spyOn(Atomics, "or").mockImplementation(kills as unknown as typeof Atomics.or);
    expect(() => theirs.alloc(1)).toThrow("killed");
    spy.mockRestore();
    expect(uma.reap(other.slot)?.done).toBe(true);
    arena.destroy();
    expect(zonesOf(uma)).toEqual([]);
    expect(uma.verify().problems).toEqual([]);
  });
});
