import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Arena, ArenaOptions } from "../../../../src/backend/vmem/arena.ts";
import type { Segment } from "../../../../src/backend/vmem/walk.ts";
import { ARENA_FORMS, type ArenaWorld } from "../../../fixtures/arena-forms.ts";
import { codeOf } from "../../../fixtures/codes.ts";

/** The vmem test list of other implementations: create/destroy, each policy and constraint, spans, import, exhaustion, looking. */
describe.each(ARENA_FORMS)("an arena $name", ({ world: makeWorld }) => {
  let world: ArenaWorld;
  const make = (options?: ArenaOptions, name?: string): Arena => world.make(options, name);
  const span = (start: number, size: number): { span: { start: number; size: number } } => ({ span: { start, size } });
  const all = (arena: Arena): Segment[] => {
    const found: Segment[] = [];
    arena.walk((segment) => void found.push(segment), { snapshot: true });
    return found;
  };

  beforeEach(() => {
    world = makeWorld();
  });
  afterEach(() => {
    expect(world.problems()).toEqual([]);
    world.end();
  });

  describe("allocation", () => {
    test("hands out distinct stretches inside its span, and takes them back", () => {
      const arena = make(span(100, 100));
      const a = arena.alloc(10);
      const b = arena.alloc(20);
      expect(new Set([a, b]).size).toBe(2);
      expect([arena.size("alloc"), arena.size("free"), arena.size("total")]).toEqual([30, 70, 100]);
      arena.free(a, 10);
      arena.free(b, 20);
      expect(arena.size("alloc")).toBe(0);
      expect(all(arena)).toEqual([{ start: 100, size: 100, state: "free" }]);
    });

    test("rounds sizes up to the quantum, and aligns to it", () => {
      const arena = make({ quantum: 16, ...span(160, 160) });
      const a = arena.alloc(1);
      expect(a % 16).toBe(0);
      expect(arena.size("alloc")).toBe(16);
      arena.free(a, 7);
      expect(arena.size("alloc")).toBe(0);
    });

    test("0 is an integer like any other", () => {
      const arena = make(span(0, 4));
      expect(arena.alloc(4)).toBe(0);
      arena.free(0, 4);
    });

    test("tries without throwing: −1 and the reason, and counts the failure", () => {
      const arena = make(span(0, 10));
      expect(arena.tryAlloc(11)).toBe(-1);
      expect(arena.lastFailure).toBe("NOSPACE");
      expect(arena.tryAlloc(10)).toBe(0);
      expect(arena.lastFailure).toBe("NONE");
      expect(arena.tryXalloc(2)).toBe(-1);
      expect(arena.stats().fail).toBe(2);
    });

    test("fails with a typed error that says what is free", () => {
      const arena = make(span(0, 10));
      expect(codeOf(() => arena.alloc(11))).toBe("ERR_VMEM_NOSPACE");
    });

    test("running out of identifiers is told as that", () => {
      const arena = make({ identifiers: true, ...span(0, 1) });
      arena.alloc(1);
      expect(codeOf(() => arena.alloc(1))).toBe("ERR_VMEM_NOID");
    });

    test("an arena without a span is empty", () => {
      expect(make().tryAlloc(1)).toBe(-1);
    });
  });

  describe("policies", () => {
    /** Free stretches of 10, 4 and 6, in this order of addresses, between allocated ones. */
    function holed(): Arena {
      const arena = make(span(0, 24));
      for (const size of [10, 1, 4, 1, 6, 2]) arena.alloc(size, { policy: "first" });
      for (const [start, size] of [
        [0, 10],
        [11, 4],
        [16, 6],
      ] as const)
        arena.free(start, size);
      return arena;
    }

    test("best fit takes the smallest that fits", () => {
      expect(holed().alloc(5, { policy: "best" })).toBe(16);
      expect(holed().alloc(4, { policy: "best" })).toBe(11);
      expect(holed().alloc(7, { policy: "best" })).toBe(0);
    });

    test("first fit takes the lowest address", () => {
      expect(holed().alloc(4, { policy: "first" })).toBe(0);
      expect(holed().alloc(3, { policy: "first", end: true })).toBe(19);
    });

    test("instant fit takes from a list whose members are all large enough, and looks through its own only when there is none", () => {
      expect(holed().alloc(8)).toBe(0);
      expect(holed().alloc(5)).toBe(0);
      const arena = make(span(0, 12));
      arena.alloc(6, { policy: "first" });
      expect(arena.alloc(5)).toBe(6);
    });

    test("next fit goes on behind the last one, and wraps round", () => {
      const arena = make(span(0, 10));
      const next = (): number => arena.alloc(3, { policy: "next" });
      expect([next(), next(), next()]).toEqual([0, 3, 6]);
      arena.free(0, 3);
      arena.free(3, 3);
      expect(next()).toBe(0);
      expect(next()).toBe(3);
      arena.free(3, 3);
      arena.free(0, 3);
      expect(arena.alloc(1, { policy: "next" })).toBe(9);
    });

    test("next fit goes on from its place when the segment there has been joined with others", () => {
      const arena = make(span(0, 10));
      for (let n = 0; n < 5; n++) arena.alloc(1, { policy: "next" });
      for (let n = 0; n < 5; n++) arena.free(n, 1);
      expect(arena.alloc(2, { policy: "next" })).toBe(5);
    });

    test("end prefers high addresses", () => {
      const arena = make(span(0, 100));
      expect(arena.alloc(10, { end: true })).toBe(90);
      expect(arena.xalloc(8, { end: true, align: 16 })).toBe(80);
    });
  });

  describe("constraints", () => {
    test("align", () => {
      const arena = make(span(5, 1000));
      for (const align of [2, 16, 128]) expect(arena.xalloc(3, { align }) % align).toBe(0);
    });

    test("phase", () => {
      const arena = make(span(0, 1000));
      expect(arena.xalloc(3, { align: 64, phase: 24 }) % 64).toBe(24);
    });

    test("nocross", () => {
      const arena = make(span(10, 100));
      const start = arena.xalloc(10, { nocross: 16, policy: "first" });
      expect(Math.floor(start / 16)).toBe(Math.floor((start + 9) / 16));
      expect(start).toBe(16);
    });

    test("min and max, max exclusive", () => {
      const arena = make(span(0, 100));
      expect(arena.xalloc(10, { min: 37, max: 47 })).toBe(37);
      expect(arena.tryXalloc(1, { min: 40, max: 45 })).toBe(-1);
    });

    test("all at once", () => {
      const arena = make({ quantum: 4, ...span(0, 1024) });
      const start = arena.xalloc(8, { align: 32, phase: 4, nocross: 64, min: 200, max: 400 });
      expect(start % 32).toBe(4);
      expect(start).toBeGreaterThanOrEqual(200);
      expect(start + 8).toBeLessThanOrEqual(400);
    });

    test.each([
      ["align that is no power of two", 4, { align: 12 }],
      ["align below the quantum's multiples", 4, { align: 2 }],
      ["phase not below align", 4, { align: 16, phase: 16 }],
      ["nocross that is no power of two", 4, { nocross: 24 }],
      ["nocross below align", 4, { align: 64, nocross: 32 }],
      ["size and phase that cannot fit between boundaries", 12, { align: 16, phase: 8, nocross: 16 }],
      ["min not below max", 4, { min: 100, max: 100 }],
      ["a window smaller than the size", 12, { min: 100, max: 108 }],
      ["a size that is no multiple of the quantum", 5, {}],
      ["a phase that is none", 4, { align: 16, phase: 3 }],
      ["a negative align", 4, { align: -4 }],
      ["an unknown policy", 4, { policy: "worst" as "best" }],
      ["end with next fit", 4, { policy: "next" as const, end: true }],
    ])("refuses %s", (_what, size, constraints) => {
      const arena = make({ quantum: 4, ...span(0, 1024) });
      expect(codeOf(() => arena.xalloc(size, constraints))).toBe("ERR_VMEM_CONSTRAINT");
      expect(arena.size("alloc")).toBe(0);
    });
  });

  describe("spans", () => {
    test("can be added, and segments never cross them", () => {
      const arena = make(span(100, 10));
      arena.add(110, 10);
      expect(arena.size("total")).toBe(20);
      expect(arena.tryAlloc(11)).toBe(-1);
      const a = arena.alloc(10);
      const b = arena.alloc(10);
      arena.free(a, 10);
      arena.free(b, 10);
      expect(all(arena).length).toBe(2);
    });

    test.each([
      ["overlaps", 95, 10],
      ["lies within another", 102, 2],
      ["is empty", 0, 0],
      ["is negative", -8, 8],
      ["is misaligned", 201, 8],
      ["has a size that is no multiple", 200, 9],
      ["goes past 2⁵³ − 1", 2 ** 53 - 2, 6],
      ["is no integer", 0.5, 2],
    ])("refuses one that %s", (_what, start, size) => {
      const arena = make({ quantum: 2, ...span(100, 10) });
      expect(codeOf(() => arena.add(start, size))).toBe("ERR_VMEM_SPAN");
      expect(arena.size("total")).toBe(10);
    });

    test("up to 2⁵³ − 1 are exact", () => {
      const arena = make();
      arena.add(2 ** 53 - 8, 8);
      expect(arena.xalloc(1, { min: 2 ** 53 - 1 })).toBe(2 ** 53 - 1);
      arena.xfree(2 ** 53 - 1, 1);
      arena.add(0, 2 ** 52 + 1);
      expect(arena.alloc(2 ** 52 + 1)).toBe(0);
      arena.free(0, 2 ** 52 + 1);
    });

    test("contain what lies wholly in one of them, allocated or not", () => {
      const arena = make(span(10, 10));
      arena.add(20, 10);
      arena.alloc(3);
      expect(arena.contains(10, 10)).toBe(true);
      expect(arena.contains(15, 10)).toBe(false);
      expect(arena.contains(5, 10)).toBe(false);
      expect(arena.contains(29, 1)).toBe(true);
      expect(arena.contains(30, 1)).toBe(false);
      expect(arena.contains(0, 0)).toBe(false);
      expect(arena.stats().contains).toBe(5);
    });
  });

  describe("free", () => {
    test("refuses what is wrong, and changes nothing", () => {
      const arena = make(span(0, 100));
      const a = arena.alloc(10);
      const x = arena.xalloc(10, { align: 16 });
      const before = all(arena);
      expect(codeOf(() => arena.free(a + 1, 9))).toBe("ERR_VMEM_UNKNOWN");
      expect(codeOf(() => arena.free(99, 1))).toBe("ERR_VMEM_UNKNOWN");
      expect(codeOf(() => arena.free(-1, 1))).toBe("ERR_VMEM_UNKNOWN");
      expect(codeOf(() => arena.free(Number.NaN, 1))).toBe("ERR_VMEM_UNKNOWN");
      expect(codeOf(() => arena.free(a, 9))).toBe("ERR_VMEM_SIZE");
      expect(codeOf(() => arena.free(a, 0))).toBe("ERR_VMEM_OPTION");
      expect(codeOf(() => arena.free(x, 10))).toBe("ERR_VMEM_KIND");
      expect(codeOf(() => arena.xfree(a, 10))).toBe("ERR_VMEM_KIND");
      expect(all(arena)).toEqual(before);
      arena.free(a, 10);
      expect(codeOf(() => arena.free(a, 10))).toBe("ERR_VMEM_UNKNOWN");
      arena.xfree(x, 10);
    });

    test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "4" as unknown as number])("refuses the size %s", (size) => {
      const arena = make(span(0, 100));
      expect(codeOf(() => arena.alloc(size))).toBe("ERR_VMEM_OPTION");
      expect(codeOf(() => arena.xalloc(size))).toBe("ERR_VMEM_OPTION");
      expect(arena.size("alloc")).toBe(0);
    });

    test("joins with both neighbours", () => {
      const arena = make(span(0, 30));
      const [a, b, c] = [arena.alloc(10), arena.alloc(10), arena.alloc(10)];
      arena.free(a as number, 10);
      arena.free(c as number, 10);
      expect(all(arena).length).toBe(3);
      arena.free(b as number, 10);
      expect(all(arena)).toEqual([{ start: 0, size: 30, state: "free" }]);
    });
  });

  describe("import", () => {
    test("gets spans from its source, and gives one back at once when it is wholly free", () => {
      const source = make(span(1000, 1000));
      const arena = make({ source });
      const a = arena.alloc(10);
      expect(source.size("alloc")).toBe(10);
      expect(arena.stats().mem_import).toBe(10);
      expect(arena.stats().vmem_source).toBe(source.name);
      arena.free(a, 10);
      expect(source.size("alloc")).toBe(0);
      expect(arena.size("total")).toBe(0);
    });

    test("rounds imports up to the source's quantum, and to importMin", () => {
      const source = make({ quantum: 64, ...span(0, 6400) });
      const arena = make({ source, importMin: 100 });
      arena.alloc(1);
      expect(arena.size("total")).toBe(128);
      expect(arena.alloc(100)).toBeGreaterThan(0);
      expect(source.size("alloc")).toBe(128);
    });

    test("in trees", () => {
      const root = make({ quantum: 256, ...span(0, 4096) });
      const trunk = make({ quantum: 16, source: root });
      const leaves = [make({ source: trunk }), make({ source: trunk })];
      const taken = leaves.map((leaf) => leaf.alloc(20));
      expect(root.size("alloc")).toBe(256);
      expect(trunk.size("alloc")).toBe(64);
      leaves.forEach((leaf, n) => leaf.free(taken[n] as number, 20));
      expect(root.size("alloc")).toBe(0);
    });

    test("with alignment beyond the source's", () => {
      const source = make(span(3, 1000));
      const arena = make({ source });
      const start = arena.xalloc(10, { align: 64, phase: 8 });
      expect(start % 64).toBe(8);
      arena.xfree(start, 10);
      expect(source.size("alloc")).toBe(0);
    });

    test("not for requests with nocross, min or max", () => {
      const arena = make({ source: make(span(0, 1000)) });
      expect(arena.tryXalloc(8, { nocross: 16 })).toBe(-1);
      expect(arena.tryXalloc(8, { min: 8 })).toBe(-1);
    });

    test("fails when the source has none, as running out", () => {
      const arena = make({ source: make(span(0, 10)) });
      expect(codeOf(() => arena.alloc(11))).toBe("ERR_VMEM_NOSPACE");
    });

    test("by functions of one's own, told size and alignment, which may give more", () => {
      const calls: unknown[] = [];
      const arena = make({
        import: (size, { align, phase, arena: name }) => {
          calls.push(["import", size, align, phase, name]);
          return { start: 1024 + phase, size: 128 };
        },
        release: (start, size) => void calls.push(["release", start, size]),
        importAligned: true,
      });
      const start = arena.xalloc(10, { align: 64, phase: 8 });
      expect(start).toBe(1032);
      arena.xfree(start, 10);
      expect(calls).toEqual([
        ["import", 10, 64, 8, arena.name],
        ["release", 1032, 128],
      ]);
    });

    test("keeps spans that nobody takes back", () => {
      let imports = 0;
      const arena = make({ import: () => imports++ * 100 });
      arena.free(arena.alloc(10), 10);
      arena.free(arena.alloc(10), 10);
      expect(imports).toBe(1);
      expect(arena.size("total")).toBe(10);
    });

    test("an import function may say no, and may throw: nothing has changed", () => {
      let answer: () => number = () => -1;
      const arena = make({ import: () => answer(), release: () => undefined });
      expect(arena.tryAlloc(1)).toBe(-1);
      answer = () => {
        throw new RangeError("no");
      };
      expect(() => arena.alloc(1)).toThrow(RangeError);
      answer = () => 0.5;
      expect(codeOf(() => arena.alloc(1))).toBe("ERR_VMEM_SPAN");
      answer = () => 7;
      expect(arena.alloc(1)).toBe(7);
      expect(codeOf(() => arena.alloc(1))).toBe("ERR_VMEM_SPAN");
      expect(arena.size("total")).toBe(1);
    });

    test("an import function may use the arena itself", () => {
      let depth = 0;
      const arena: Arena = make({
        import: () => {
          if (depth++ > 0) return 1000;
          expect(arena.tryAlloc(3)).toBe(1000);
          return 2000;
        },
      });
      expect(arena.alloc(5)).toBe(2000);
      expect(arena.size("alloc")).toBe(8);
    });

    test("in a circle is refused", () => {
      const a = make();
      const b = make({ source: a });
      const c = make({ source: b });
      expect(codeOf(() => a.setImport({ source: c }))).toBe("ERR_VMEM_CIRCLE");
      expect(codeOf(() => a.setImport({ source: a }))).toBe("ERR_VMEM_CIRCLE");
      expect(a.source).toBe(null);
    });

    test("can be set later, while the arena is empty", () => {
      const source = make(span(0, 100));
      const arena = make();
      arena.setImport({ source });
      expect(arena.alloc(5)).toBe(0);
      expect(codeOf(() => arena.setImport({}))).toBe("ERR_UMA_TOO_LATE");
      arena.free(0, 5);
    });

    test("of identifiers only from identifiers", () => {
      const memory = make(span(0, 100));
      expect(codeOf(() => make({ identifiers: true, source: memory }))).toBe("ERR_UMA_OPTION");
    });

    test("ends at the limit", () => {
      const arena = make({ source: make(span(0, 1000)), limit: 100 });
      arena.alloc(60);
      expect(arena.tryAlloc(50)).toBe(-1);
      expect(arena.lastFailure).toBe("LIMIT");
      arena.setLimit(0);
      expect(arena.tryAlloc(50)).toBeGreaterThanOrEqual(0);
    });
  });

  describe("exhaustion", () => {
    test("calls reclaim before it fails, and takes what that freed", () => {
      const held: number[] = [];
      let calls = 0;
      const arena: Arena = make({
        ...span(0, 10),
        reclaim: () => {
          calls++;
          for (const start of held.splice(0)) arena.free(start, 5);
        },
      });
      held.push(arena.alloc(5), arena.alloc(5));
      expect(arena.alloc(10)).toBe(0);
      expect(calls).toBe(1);
      expect(arena.tryAlloc(1)).toBe(-1);
      expect(calls).toBe(2);
    });

    test("a request that no free could help is refused at once, even by those who would wait", async () => {
      const arena = make(span(0, 10));
      expect(codeOf(() => arena.allocWait(11))).toBe("ERR_VMEM_NOSPACE");
      await expect(arena.allocAsync(11)).rejects.toMatchObject({ code: "ERR_VMEM_NOSPACE" });
    });

    test("what the limit forbids for ever is refused at once as well", async () => {
      const arena = make({ source: make(span(0, 1000)), limit: 100 });
      await expect(arena.allocAsync(101)).rejects.toMatchObject({ code: "ERR_VMEM_NOSPACE" });
      const a = arena.alloc(60);
      const waiting = arena.allocAsync(50);
      arena.free(a, 60);
      arena.free(await waiting, 50);
    });

    test("waits for a free without blocking", async () => {
      const arena = make(span(0, 10));
      const a = arena.alloc(10);
      const waiting = arena.allocAsync(4);
      const constrained = arena.xallocAsync(4, { align: 4 });
      expect(arena.stats().wait).toBe(2);
      arena.free(a, 10);
      const [first, second] = await Promise.all([waiting, constrained]);
      expect(Math.abs(first - second)).toBeGreaterThanOrEqual(4);
      arena.free(first, 4);
      arena.xfree(second, 4);
    });

    test("waits until the timeout, and until the signal", async () => {
      const arena = make(span(0, 10));
      arena.alloc(10);
      await expect(arena.allocAsync(1, { timeout: 5 })).rejects.toMatchObject({ code: "ERR_UMA_TIMEOUT" });
      const controller = new AbortController();
      const waiting = arena.allocAsync(1, { signal: controller.signal });
      controller.abort(new Error("enough"));
      await expect(waiting).rejects.toMatchObject({ code: "ERR_UMA_ABORTED" });
      await expect(arena.allocAsync(1, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ERR_UMA_ABORTED" });
    });

    test("a span that is added wakes those who wait", async () => {
      const arena = make(span(0, 10));
      arena.alloc(10);
      const waiting = arena.allocAsync(10);
      arena.add(100, 10);
      expect(await waiting).toBe(100);
    });
  });

  describe("looking", () => {
    test("walks segments in ascending order, as a snapshot and re-entrantly alike", () => {
      const arena = make(span(50, 50));
      arena.add(0, 20);
      arena.xalloc(5, { min: 3, policy: "first" });
      arena.alloc(10, { policy: "first" });
      const reentrant: Segment[] = [];
      arena.walk((segment) => void reentrant.push(segment));
      expect(reentrant).toEqual(all(arena));
      expect(reentrant).toEqual([
        { start: 0, size: 3, state: "free" },
        { start: 3, size: 5, state: "xalloc" },
        { start: 8, size: 10, state: "alloc" },
        { start: 18, size: 2, state: "free" },
        { start: 50, size: 50, state: "free" },
      ]);
      const only: number[] = [];
      arena.walk(({ start }) => void only.push(start), { which: "alloc" });
      expect(only).toEqual([3, 8]);
      const first: number[] = [];
      arena.walk(({ start }) => {
        first.push(start);
        return false;
      });
      expect(first).toEqual([0]);
    });

    test("a re-entrant walk lets its visitor allocate and free, and shows nothing twice", () => {
      const arena = make(span(0, 200));
      const starts = Array.from({ length: 20 }, () => arena.alloc(10, { policy: "first" }));
      const seen: number[] = [];
      arena.walk(
        ({ start }) => {
          seen.push(start);
          arena.free(start, 10);
        },
        { which: "alloc" },
      );
      expect(seen).toEqual(starts);
      expect(all(arena)).toEqual([{ start: 0, size: 200, state: "free" }]);
      const after: number[] = [];
      arena.walk(({ start, size }) => {
        after.push(start, size);
        if (arena.size("alloc") < 100) arena.alloc(10, { policy: "first" });
      });
      for (let n = 2; n < after.length; n += 2)
        expect(after[n]).toBeGreaterThanOrEqual((after[n - 2] as number) + (after[n - 1] as number));
    });

    test("knows what an integer belongs to", () => {
      const arena = make(span(10, 30));
      arena.xalloc(10, { min: 20, max: 30 });
      expect(arena.whatis(25)).toEqual({ start: 20, size: 10, state: "xalloc" });
      expect(arena.whatis(12)).toEqual({ start: 10, size: 10, state: "free" });
      expect(arena.whatis(39)).toEqual({ start: 30, size: 10, state: "free" });
      expect(arena.whatis(40)).toBe(null);
      expect(arena.whatis(9)).toBe(null);
    });

    test("counts as illumos does", () => {
      const arena = make(span(0, 100));
      arena.free(arena.alloc(10), 10);
      arena.alloc(10);
      arena.tryAlloc(1000);
      const stats = arena.stats();
      expect(stats).toMatchObject({ mem_inuse: 10, mem_total: 100, mem_import: 0, vmem_source: null, alloc: 2, free: 1, fail: 1, wait: 0 });
      expect(Object.keys(stats)).toHaveLength(14);
      expect(stats.lookup).toBeGreaterThan(0);
      expect(stats.search).toBeGreaterThan(0);
    });

    test("counts every segment that first fit walks past as a step of the search", () => {
      const arena = make(span(0, 1000));
      for (let n = 0; n < 500; n++) arena.alloc(1, { policy: "next" });
      const before = arena.stats().search;
      arena.alloc(1, { policy: "first" });
      expect(arena.stats().search - before).toBeGreaterThanOrEqual(500);
    });

    test("the largest free stretch is exact as long as there are few of its order", () => {
      const arena = make(span(0, 100));
      expect(arena.size("largest")).toBe(100);
      arena.xalloc(1, { min: 30, max: 31 });
      expect(arena.size("largest")).toBe(69);
    });

    test("dumps as text", () => {
      const arena = make(span(0, 100), "things");
      arena.alloc(10, { policy: "first" });
      const text = [...arena.dump()].join("\n");
      expect(text).toContain('arena "things"');
      expect(text).toMatch(/\[0, 10\) +10 +alloc/);
    });
  });

  describe("destruction", () => {
    test("refuses to leak, and reports what it leaks when forced", () => {
      const source = make(span(0, 1000));
      const arena = make({ source });
      const a = arena.alloc(10);
      expect(codeOf(() => arena.destroy())).toBe("ERR_VMEM_LEAK");
      expect(arena.isDestroyed()).toBe(false);
      expect(arena.destroy({ force: true })).toMatchObject({ size: 10, count: 1, segments: [{ start: a, size: 10, state: "alloc" }] });
      expect(source.size("alloc")).toBe(0);
      expect(arena.isDestroyed()).toBe(true);
      expect(codeOf(() => arena.alloc(1))).toBe("ERR_VMEM_DESTROYED");
      expect(codeOf(() => arena.free(a, 10))).toBe("ERR_VMEM_DESTROYED");
    });

    test("of an empty arena reports nothing", () => {
      expect(make(span(0, 10)).destroy()).toMatchObject({ size: 0, count: 0 });
    });

    test("waits for the arenas that import from it", () => {
      const source = make(span(0, 10));
      const arena = make({ source });
      expect(codeOf(() => source.destroy())).toBe("ERR_VMEM_CHILDREN");
      arena.destroy();
      source.destroy();
    });
  });

  test.each([
    ["quantum", { quantum: 3 }],
    ["quantum", { quantum: 0 }],
    ["quantum", { quantum: -1 }],
    ["qcacheMax", { qcacheMax: 17 }],
    ["limit", { limit: -1 }],
    ["importMin", { importMin: 0.5 }],
    ["release", { release: () => undefined }],
    ["import", { import: 7 as unknown as () => number }],
  ])("refuses the option %s out of range", (option, options) => {
    expect(codeOf(() => make(options))).toBe("ERR_UMA_OPTION");
    expect(() => make(options)).toThrow(option);
  });

  test("grows its tags and its hash to tens of thousands of segments, and takes constant steps for each operation", () => {
    const arena = make(span(0, 100_000));
    for (let n = 0; n < 20_000; n++) arena.alloc(1, { policy: "next" });
    for (let n = 0; n < 20_000; n += 2) arena.free(n, 1);
    const before = arena.stats();
    for (let n = 0; n < 1000; n++) arena.free(arena.alloc(3), 3);
    const after = arena.stats();
    expect(after.search - before.search).toBeLessThanOrEqual(2000);
    expect(after.lookup - before.lookup).toBeLessThanOrEqual(4000);
    for (let n = 1; n < 20_000; n += 2) arena.free(n, 1);
    expect(all(arena)).toEqual([{ start: 0, size: 100_000, state: "free" }]);
  });
});
