import { expect, test, vi } from "vitest";
import { ARENA_LOCK } from "../../../../src/backend/memory/layout.ts";
import type { ArenaHandle } from "../../../../src/backend/vmem/handle.ts";
import { Uma } from "../../../../src/index.ts";
import { rivalOf } from "../../../fixtures/floors.ts";
import { secondWorker } from "../../../fixtures/zones.ts";

const MIB = 2 ** 20;

function makeUma(): Uma {
  return Uma.create({ bytes: 2 * MIB, workers: 8, patience: 0 });
}

function create(uma: Uma, name: string, options: object): ArenaHandle {
  return uma.arenas.create(name, options) as ArenaHandle;
}

test("a span that cannot land, the lock being out of reach, and cannot go back lands at the next call", () => {
  using uma = makeUma();
  const rival = rivalOf(uma);
  let given = 0;
  const arena = create(uma, "a", {
    importMin: 100,
    import: (size: number) => {
      if (given === 0) rival.locks.acquire(arena.backing.a + ARENA_LOCK, 0);
      given += size;
      return given - size;
    },
  });
  expect([arena.tryAlloc(10), arena.lastFailure]).toEqual([-1, "BUSY"]);
  rival.locks.release();
  expect(arena.tryAlloc(10)).toBe(0);
  expect([given, arena.size("total")]).toEqual([100, 100]);
  expect(uma.verify().problems).toEqual([]);
});

test("two that import at once do not exceed the limit: the second gives its span back", async () => {
  using uma = makeUma();
  using other = await secondWorker(uma);
  const released: number[] = [];
  const first = create(uma, "a", {
    limit: 150,
    importMin: 100,
    import: () => {
      theirs.alloc(100);
      return 0;
    },
    release: (start: number) => void released.push(start),
  });
  const theirs = other.arenas.open("a", { import: () => 1000, release: () => undefined });
  expect([first.tryAlloc(100), first.lastFailure]).toEqual([-1, "LIMIT"]);
  expect([first.size("total"), released]).toEqual([100, [0]]);
  theirs.free(1000, 100);
});

test("what is allocated while an allocation completes what was left behind does not take its place", () => {
  using uma = makeUma();
  const arena = create(uma, "a", { span: { start: 0, size: 1000 } });
  const begin = arena.backing.begin.bind(arena.backing);
  const nests = (mayWait: boolean): void => {
    begin(mayWait);
    arena.alloc(3);
  };
  const spy = vi.spyOn(arena.backing, "begin");
  spy.mockImplementationOnce(nests);
  const start = arena.alloc(7);
  spy.mockImplementationOnce(nests);
  const aligned = arena.xalloc(64, { align: 64 });
  expect([arena.whatis(start)?.size, arena.whatis(aligned)?.size, aligned % 64]).toEqual([7, 64, 0]);
  expect(arena.size("alloc")).toBe(7 + 64 + 6);
});
