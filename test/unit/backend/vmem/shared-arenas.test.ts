import { describe, expect, test } from "vitest";
import { ARENA_FIRST, ARENA_LOCK, TAG_NEXT } from "../../../../src/backend/memory/layout.ts";
import type { SharedArenaOptions } from "../../../../src/backend/vmem/arenas.ts";
import type { ArenaHandle } from "../../../../src/backend/vmem/handle.ts";
import { Uma } from "../../../../src/index.ts";
import { codeOf } from "../../../fixtures/codes.ts";
import { rivalOf } from "../../../fixtures/floors.ts";
import { seedFor } from "../../../fixtures/seeds.ts";
import { startWorker } from "../../../fixtures/workers.ts";

const MIB = 2 ** 20;

describe("arenas of a memory", () => {
  test("are found by name, and opened as they were made", () => {
    using uma = Uma.create({ bytes: MIB });
    const made = uma.arenas.create("rows", { quantum: 8, span: { start: 0, size: 64 } });
    expect(uma.arenas.open("rows")).toBe(made);
    expect(uma.arenas.create("rows", { quantum: 8 })).toBe(made);
    expect(uma.arenas.list()).toEqual(["rows"]);
    expect(codeOf(() => uma.arenas.create("rows", { quantum: 16 }))).toBe("ERR_VMEM_MISMATCH");
    expect(codeOf(() => uma.arenas.create("rows", { quantum: 8, identifiers: true }))).toBe("ERR_VMEM_MISMATCH");
    expect(codeOf(() => uma.arenas.open("columns"))).toBe("ERR_VMEM_NO_ARENA");
    expect(codeOf(() => uma.arenas.create("heap"))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => uma.arenas.create("x".repeat(65)))).toBe("ERR_UMA_OPTION");
  });

  test("give their record to the next one when they end, and nothing of their own to it", () => {
    using uma = Uma.create({ bytes: MIB });
    const first = uma.arenas.create("first", { span: { start: 0, size: 1000 } });
    for (let n = 0; n < 300; n++) first.alloc(1, { policy: "next" });
    const { inUse } = uma.core.heap.counts();
    first.destroy({ force: true });
    const second = uma.arenas.create("second", { span: { start: 5, size: 10 } });
    expect(uma.core.heap.counts().inUse).toBe(inUse);
    expect(second.stats()).toMatchObject({ alloc: 0, mem_inuse: 0, mem_total: 10 });
    expect(first.isDestroyed()).toBe(true);
    expect(codeOf(() => first.size("free") + first.alloc(1))).toBe("ERR_VMEM_DESTROYED");
    expect(second.alloc(10)).toBe(5);
    expect(uma.verify().problems).toEqual([]);
  });

  test("import from the heap, which is an arena like the others", () => {
    using uma = Uma.create({ bytes: MIB });
    const { heap } = uma.arenas;
    const before = heap.size("alloc");
    const bytes = uma.arenas.create("bytes", { quantum: 32, source: heap });
    const grown = heap.size("alloc");
    const start = bytes.alloc(100);
    expect(heap.size("alloc")).toBe(grown + 4096);
    expect(heap.contains(start, 128)).toBe(true);
    bytes.free(start, 100);
    expect(heap.size("alloc")).toBe(grown);
    expect(before).toBeLessThan(grown);
    const pages = heap.alloc(8192);
    heap.free(pages, 8192);
    expect(uma.verify().problems).toEqual([]);
  });

  test("the heap's handle frees nothing that is the allocator's, takes no spans and does not end", () => {
    using uma = Uma.create({ bytes: MIB });
    const { heap } = uma.arenas;
    uma.arenas.create("some", { source: heap }).alloc(1);
    const own: { start: number; size: number }[] = [];
    heap.walk((segment) => void own.push(segment), { which: "alloc" });
    expect(own.length).toBeGreaterThan(0);
    for (const { start, size } of own) expect(codeOf(() => heap.free(start, size))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => heap.add(2 ** 40, 4096))).toBe("ERR_VMEM_SPAN");
    expect(codeOf(() => heap.destroy({ force: true }))).toBe("ERR_VMEM_CHILDREN");
  });

  test("import from arenas of their own memory only", () => {
    using uma = Uma.create({ bytes: MIB });
    using other = Uma.create({ bytes: MIB });
    expect(codeOf(() => uma.arenas.create("a", { source: other.arenas.heap }))).toBe("ERR_UMA_OPTION");
    expect(uma.arenas.list()).toEqual([]);
  });

  test("tell a lock that is out of reach from running out, and change nothing then", () => {
    using uma = Uma.create({ bytes: MIB, patience: 0 });
    const arena = uma.arenas.create("ids", { span: { start: 0, size: 10 } });
    const start = arena.alloc(1);
    const rival = rivalOf(uma);
    const { a } = (arena as ArenaHandle).backing;
    expect(rival.locks.acquire(a + ARENA_LOCK, 0)).toBe(true);
    expect(arena.tryAlloc(1)).toBe(-1);
    expect(arena.lastFailure).toBe("BUSY");
    expect(codeOf(() => arena.alloc(1))).toBe("ERR_VMEM_BUSY");
    expect(codeOf(() => arena.free(start, 1))).toBe("ERR_VMEM_BUSY");
    expect(codeOf(() => arena.add(100, 1))).toBe("ERR_VMEM_BUSY");
    expect(arena.size("alloc")).toBe(1);
    expect(arena.stats().mem_total).toBe(10);
    rival.locks.release();
    arena.free(start, 1);
  });

  test("tell that there is no memory for tags from running out, and go on when there is", () => {
    using uma = Uma.create({ bytes: MIB / 2 });
    const arena = uma.arenas.create("ids", { identifiers: true, span: { start: 0, size: 1000 } });
    const hoard: number[] = [];
    for (let page = uma.arenas.heap.tryAlloc(4096); page >= 0; page = uma.arenas.heap.tryAlloc(4096)) hoard.push(page);
    const ids: number[] = [];
    for (let id = arena.tryAlloc(1); id >= 0; id = arena.tryAlloc(1)) ids.push(id);
    expect(arena.lastFailure).toBe("TAGS");
    expect(arena.size("free")).toBeGreaterThan(900);
    expect(codeOf(() => arena.alloc(1))).toBe("ERR_VMEM_NOTAGS");
    expect(codeOf(() => arena.add(5000, 10))).toBe("ERR_VMEM_NOTAGS");
    expect(arena.stats().populate_fail).toBeGreaterThan(0);
    // Neighbours that are joined leave their tags to others.
    for (const id of ids.slice(3, 7)) arena.free(id, 1);
    expect(arena.tryAlloc(1)).toBeGreaterThanOrEqual(0);
    for (const page of hoard) uma.arenas.heap.free(page, 4096);
    expect(arena.alloc(1)).toBeGreaterThanOrEqual(0);
    expect(uma.verify().problems).toEqual([]);
  });

  test("are looked at without their lock, and a re-entrant walk ends although a change never does", () => {
    using uma = Uma.create({ bytes: MIB, patience: 0 });
    const arena = uma.arenas.create("ids", { span: { start: 0, size: 10 } });
    arena.alloc(3, { policy: "first" });
    const rival = rivalOf(uma);
    const { a } = (arena as ArenaHandle).backing;
    rival.locks.acquire(a + ARENA_LOCK, 0);
    const { i32 } = rival.cells;
    const seen: number[] = [];
    arena.walk(({ start }) => void seen.push(start));
    expect(seen).toEqual([0, 3]);
    expect(arena.whatis(4)).toMatchObject({ start: 3, size: 7 });
    expect([...arena.dump()].length).toBe(5);
    // In the middle of a change: the list is cut.
    rival.journal.set(i32[i32[a + ARENA_FIRST] + TAG_NEXT] + TAG_NEXT, 0);
    seen.length = 0;
    arena.walk(({ start }) => void seen.push(start));
    expect(seen.length).toBeLessThan(2);
    rival.locks.release();
    seen.length = 0;
    arena.walk(({ start }) => void seen.push(start));
    expect(seen).toEqual([0, 3]);
  });

  test("what a worker that died had allocated is reported, and can be freed by anybody", () => {
    using uma = Uma.create({ bytes: MIB });
    const arena = uma.arenas.create("ids", { span: { start: 100, size: 10 } });
    const mine = arena.alloc(2, { policy: "first" });
    const rival = rivalOf(uma);
    const tag = (arena as ArenaHandle).backing.engine().segments.lookup((arena as ArenaHandle).backing.a, mine);
    rival.cells.i32[tag + 9] = rival.me;
    const report = uma.reap(rival.slot);
    expect(report?.arenas).toEqual([{ arena: "ids", start: 100, size: 2 }]);
    arena.free(mine, 2);
    expect(uma.verify().problems).toEqual([]);
  });

  test.each([1, 2, 3, 4, 5, 6])("that is destroyed while it is asked for is made anew (at look %d)", (look) => {
    using uma = Uma.create({ bytes: MIB });
    const span = { start: 0, size: 1600 };
    const first = uma.arenas.create("a", { quantum: 16, span });
    let looks = 0;
    const options = {
      quantum: 16,
      span,
      get source(): undefined {
        if (++looks === look) first.destroy();
        return undefined;
      },
    };
    const again = uma.arenas.create("a", options as unknown as SharedArenaOptions);
    if (looks < look) first.destroy();
    else expect(again.alloc(16)).toBeGreaterThanOrEqual(0);
    expect(uma.arenas.list()).toEqual(looks < look ? [] : ["a"]);
    expect(uma.verify().problems).toEqual([]);
  });

  test("serve four workers at once: nothing is given to two, and every invariant holds in the end", async () => {
    using uma = Uma.create({ bytes: 4 * MIB, workers: 8, patience: 2000 });
    const seed = seedFor("arenas, four workers");
    const pages = uma.arenas.create("pages", { quantum: 4096, source: uma.arenas.heap, importMin: 16384 });
    uma.arenas.create("leaf", { quantum: 16, source: pages });
    uma.arenas.create("ids", { span: { start: 0, size: 200 }, identifiers: true });
    uma.arenas.create("small", { span: { start: 0, size: 1100 }, identifiers: true, qcacheMax: 4 });
    const owners = new Int32Array(new SharedArrayBuffer((uma.buffer.byteLength / 16 + 1400) * 4));
    const workers = [1, 2, 3, 4].map((n) =>
      startWorker("arena-worker.ts", { ticket: uma.ticket(), owners, seed: seed + n, operations: 3000, me: n }),
    );
    for (const worker of workers) {
      expect(await worker.next()).toEqual({ problems: [] });
      expect(await worker.ended).toBe(0);
    }
    for (const name of uma.arenas.list()) uma.arenas.open(name).reap();
    for (const name of uma.arenas.list()) expect(uma.arenas.open(name).size("alloc")).toBe(0);
    expect(pages.size("total")).toBe(0);
    expect(uma.verify().problems).toEqual([]);
  });

  test("a waiting worker is woken by another's free", async () => {
    using uma = Uma.create({ bytes: MIB, workers: 4, patience: 2000 });
    const arena = uma.arenas.create("ids", { span: { start: 0, size: 1 }, identifiers: true });
    const id = arena.alloc(1);
    const waiter = startWorker("arena-worker.ts", { ticket: uma.ticket(), waitFor: "ids" });
    expect(await waiter.next()).toBe("waiting");
    while (arena.stats().wait === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    arena.free(id, 1);
    expect(await waiter.next()).toBe(0);
    await waiter.ended;
    expect(arena.size("alloc")).toBe(0);
  });
});
