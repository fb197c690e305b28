import { describe, expect, test } from "vitest";
import { createArena } from "../../../../src/backend/vmem/index.ts";
import { codeOf } from "../../../fixtures/codes.ts";
import { randomFrom, seedFor } from "../../../fixtures/seeds.ts";

describe("quantum caches of a local arena", () => {
  test("serve small sizes from runs, and give the runs back when asked", () => {
    const arena = createArena("a", { quantum: 4, qcacheMax: 16, span: { start: 0, size: 4096 } });
    const small = Array.from({ length: 10 }, () => arena.alloc(7));
    expect(new Set(small).size).toBe(10);
    expect(arena.stats().alloc).toBe(1);
    const large = arena.alloc(20);
    expect(arena.stats().alloc).toBe(2);
    for (const start of small) arena.free(start, 7);
    arena.free(large, 20);
    arena.reap();
    expect(arena.size("alloc")).toBe(0);
    expect(arena.verify()).toEqual([]);
    arena.destroy();
  });

  test("refuse a second free, a wrong size and a place inside a piece", () => {
    const arena = createArena("a", { qcacheMax: 4, span: { start: 100, size: 1000 } });
    const start = arena.alloc(3);
    expect(codeOf(() => arena.free(start, 2))).toBe("ERR_VMEM_SIZE");
    expect(codeOf(() => arena.free(start + 1, 3))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => arena.free(start + 0.5, 3))).toBe("ERR_VMEM_UNKNOWN");
    expect(codeOf(() => arena.xfree(start, 3))).not.toBe("");
    arena.free(start, 3);
    expect(codeOf(() => arena.free(start, 3))).toBe("ERR_VMEM_UNKNOWN");
  });

  test("are passed by when a policy is asked for, and free finds out by itself", () => {
    const arena = createArena("a", { qcacheMax: 1, span: { start: 0, size: 1000 } });
    const cached = arena.alloc(1);
    const lowest = arena.alloc(1, { policy: "first" });
    expect(lowest).toBe(64);
    arena.free(lowest, 1);
    arena.free(cached, 1);
  });

  test("hold nothing back: every last integer can be allocated", () => {
    const arena = createArena("a", { qcacheMax: 8, span: { start: 3, size: 300 } });
    const ones = [];
    for (let start = arena.tryAlloc(1); start >= 0; start = arena.tryAlloc(1)) ones.push(start);
    expect(new Set(ones).size).toBe(300);
    for (const start of ones) arena.free(start, 1);
    expect(arena.alloc(300)).toBe(3);
  });

  test("count what leaks, not what they hold", () => {
    const arena = createArena("a", { qcacheMax: 2, span: { start: 0, size: 1000 } });
    arena.alloc(2);
    arena.free(arena.alloc(1), 1);
    expect(codeOf(() => arena.destroy())).toBe("ERR_VMEM_LEAK");
    expect(arena.destroy({ force: true }).size).toBe(2);
  });

  test("give out nothing twice through random allocations and frees of all sizes", () => {
    const random = randomFrom(seedFor("local cache"));
    const arena = createArena("a", { qcacheMax: 6, span: { start: 1000, size: 3000 } });
    const taken = new Uint8Array(5000);
    const held: { start: number; size: number }[] = [];
    for (let n = 0; n < 20_000; n++) {
      if (held.length > 0 && random.below(100) < ((n & 1024) === 0 ? 40 : 60)) {
        const [{ start, size }] = held.splice(random.below(held.length), 1) as [{ start: number; size: number }];
        arena.free(start, size);
        taken.fill(0, start, start + size);
        continue;
      }
      const size = 1 + random.below(8);
      const start = arena.tryAlloc(size);
      if (start < 0) continue;
      expect(taken.subarray(start, start + size).every((mark) => mark === 0)).toBe(true);
      taken.fill(1, start, start + size);
      held.push({ start, size });
    }
    for (const { start, size } of held) arena.free(start, size);
    arena.reap();
    expect(arena.size("alloc")).toBe(0);
    expect(arena.verify()).toEqual([]);
  });
});
