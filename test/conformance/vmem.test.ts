/**
 * Tests of other vmem implementations, by their names, where they test more than single calls (those are in unit/backend/vmem):
 * gburd/libumem's vmem suite with the tests that it leaves empty (hash_rescale, fragmentation, reap, errors, double free), and
 * SPLAT's vmem_size.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Arena, ArenaOptions } from "../../src/backend/vmem/arena.ts";
import { ARENA_FORMS, type ArenaWorld } from "../fixtures/arena-forms.ts";
import { codeOf } from "../fixtures/codes.ts";

describe.each(ARENA_FORMS)("an arena $name", ({ world: makeWorld }) => {
  let world: ArenaWorld;
  const make = (options?: ArenaOptions): Arena => world.make(options);

  beforeEach(() => {
    world = makeWorld();
  });
  afterEach(() => {
    expect(world.problems()).toEqual([]);
    world.end();
  });

  test("vmem_size (SPLAT): an allocation moves what is allocated up and what is free down by its size", () => {
    const arena = make({ quantum: 4096, span: { start: 0, size: 2 ** 30 } });
    const [alloc, free] = [arena.size("alloc"), arena.size("free")];
    const start = arena.alloc(8 * 2 ** 20);
    expect([arena.size("alloc") - alloc, free - arena.size("free")]).toEqual([8 * 2 ** 20, 8 * 2 ** 20]);
    arena.free(start, 8 * 2 ** 20);
    expect([arena.size("alloc"), arena.size("free")]).toEqual([alloc, free]);
  });

  test("fragmentation: half of it free in single integers serves singles only, until neighbours are free as well", () => {
    const arena = make({ span: { start: 0, size: 2000 } });
    for (let n = 0; n < 2000; n++) arena.alloc(1, { policy: "next" });
    for (let n = 0; n < 2000; n += 2) arena.free(n, 1);
    expect([arena.size("free"), arena.size("largest")]).toEqual([1000, 1]);
    expect([arena.tryAlloc(2), arena.lastFailure]).toEqual([-1, "NOSPACE"]);
    for (let n = 0; n < 1000; n++) expect(arena.alloc(1) % 2).toBe(0);
    expect(arena.tryAlloc(1)).toBe(-1);
    for (let n = 500; n < 1500; n++) arena.free(n, 1);
    expect(arena.size("largest")).toBe(1000);
    expect(arena.alloc(1000)).toBe(500);
  });

  test("hash_rescale: the hash keeps pace with what is allocated, and stays right when most of it is gone", () => {
    const arena = make({ span: { start: 0, size: 2 ** 20 } });
    const steps = (): number => {
      const before = arena.stats().lookup;
      for (let n = 0; n < 200; n++) arena.free(arena.alloc(1), 1);
      return (arena.stats().lookup - before) / 200;
    };
    const few = steps();
    for (let n = 0; n < 10_000; n++) arena.alloc(3, { policy: "next" });
    expect(steps()).toBeLessThan(few + 2);
    for (let n = 0; n < 10_000; n++) if (n % 100 !== 0) arena.free(3 * n, 3);
    expect(steps()).toBeLessThan(few + 2);
    for (let n = 0; n < 10_000; n += 100) arena.free(3 * n, 3);
    expect(arena.size("largest")).toBe(2 ** 20);
  });

  test("nested imports and reap: what caches and leaves hold goes home through all levels", () => {
    const root = make({ quantum: 1024, span: { start: 0, size: 2 ** 22 } });
    const middle = make({ quantum: 64, source: root, importMin: 8192 });
    const leaf = make({ quantum: 1, qcacheMax: 8, source: middle });
    const starts = Array.from({ length: 600 }, (_, n) => ({ start: leaf.alloc(1 + (n % 10)), size: 1 + (n % 10) }));
    expect(root.size("alloc")).toBeGreaterThan(0);
    for (const { start, size } of starts) leaf.free(start, size);
    leaf.reap();
    expect([leaf, middle, root].map((arena) => arena.size("alloc"))).toEqual([0, 0, 0]);
    expect([leaf, middle].map((arena) => arena.size("total"))).toEqual([0, 0]);
  });

  test("errors and double free: each is told by its code, and nothing has changed", () => {
    const arena = make({ quantum: 8, span: { start: 0, size: 800 } });
    const start = arena.alloc(16);
    const before = [...arena.dump()].slice(3);
    expect(
      [
        () => arena.alloc(0),
        () => arena.alloc(-8),
        () => arena.alloc(808),
        () => arena.xalloc(12),
        () => arena.xalloc(8, { align: 24 }),
        () => arena.xalloc(16, { nocross: 8 }),
        () => arena.xalloc(8, { min: 80, max: 80 }),
        () => arena.free(start, 8),
        () => arena.free(start + 8, 8),
        () => arena.xfree(start, 16),
        () => arena.add(0, 8),
        () => arena.add(804, 8),
      ].map(codeOf),
    ).toEqual([
      "ERR_VMEM_OPTION",
      "ERR_VMEM_OPTION",
      "ERR_VMEM_NOSPACE",
      "ERR_VMEM_CONSTRAINT",
      "ERR_VMEM_CONSTRAINT",
      "ERR_VMEM_CONSTRAINT",
      "ERR_VMEM_CONSTRAINT",
      "ERR_VMEM_SIZE",
      "ERR_VMEM_UNKNOWN",
      "ERR_VMEM_KIND",
      "ERR_VMEM_SPAN",
      "ERR_VMEM_SPAN",
    ]);
    expect([...arena.dump()].slice(3)).toEqual(before);
    arena.free(start, 16);
    expect(codeOf(() => arena.free(start, 16))).toBe("ERR_VMEM_UNKNOWN");
  });
});
