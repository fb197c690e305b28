import { expect, test, vi } from "vitest";
import { ARENA_LOCK } from "../../../../src/backend/memory/layout.ts";
import type { ArenaHandle } from "../../../../src/backend/vmem/handle.ts";
import { Uma } from "../../../../src/index.ts";
import { codeOf } from "../../../fixtures/codes.ts";
import { rivalOf, whileHeld } from "../../../fixtures/floors.ts";

const MIB = 2 ** 20;

/** An arena with nothing free, one of whose waiters has been served already: its sequence of wake-ups has moved. */
async function servedOnce(uma: Uma): Promise<ArenaHandle> {
  const arena = uma.arenas.create("ids", { identifiers: true, span: { start: 0, size: 10 } }) as ArenaHandle;
  const all = arena.alloc(10);
  const waiting = arena.allocAsync(1, { timeout: 20_000 });
  await new Promise((resolve) => setTimeout(resolve, 1));
  arena.free(all, 10);
  await waiting;
  return arena;
}

test("a waiter that does not block lets timers run while the arena's lock is out of reach", async () => {
  using uma = Uma.create({ bytes: MIB });
  const arena = await servedOnce(uma);
  const rival = rivalOf(uma);
  rival.locks.acquire(arena.backing.a + ARENA_LOCK, 0);
  // As a certificate of death would: it comes through the event loop.
  setTimeout(() => uma.reap(rival.slot), 5);
  expect(await arena.allocAsync(1, { timeout: 300 })).toBeGreaterThanOrEqual(0);
});

test("a waiter that does not block lets timers run while there is no memory for tags", async () => {
  using uma = Uma.create({ bytes: MIB / 2 });
  const arena = uma.arenas.create("ids", { identifiers: true, span: { start: 0, size: 1000 } }) as ArenaHandle;
  const all = arena.alloc(1000);
  const waiting = arena.allocAsync(1, { timeout: 20_000 });
  arena.free(all, 1000);
  await waiting;
  const hoard: number[] = [];
  for (let page = uma.arenas.heap.tryAlloc(4096); page >= 0; page = uma.arenas.heap.tryAlloc(4096)) hoard.push(page);
  while (arena.tryAlloc(1) >= 0);
  expect(arena.lastFailure).toBe("TAGS");
  setTimeout(() => {
    for (const page of hoard) uma.arenas.heap.free(page, 4096);
  }, 5);
  expect(await arena.allocAsync(1, { timeout: 300 })).toBeGreaterThanOrEqual(0);
});

test("a waiter that does not block lets timers run although everything that wakes it goes to others", async () => {
  using uma = Uma.create({ bytes: MIB });
  const arena = uma.arenas.create("ids", { identifiers: true, span: { start: 0, size: 1 } }) as ArenaHandle;
  let id = arena.alloc(1);
  const sleepAsync = arena.backing.sleepAsync.bind(arena.backing);
  vi.spyOn(arena.backing, "sleepAsync").mockImplementation((seq, ms) => {
    const nap = sleepAsync(seq, ms);
    arena.free(id, 1);
    if (!over) id = arena.alloc(1);
    return nap;
  });
  let over = false;
  setTimeout(() => {
    over = true;
  }, 5);
  expect(await arena.allocAsync(1, { timeout: 300 })).toBe(0);
});

test("a blocking waiter sleeps while the arena's lock is out of reach", async () => {
  using uma = Uma.create({ bytes: MIB, patience: 0 });
  const arena = await servedOnce(uma);
  const enter = vi.spyOn(arena.backing, "enter");
  whileHeld(rivalOf(uma), arena.backing.a + ARENA_LOCK, () => {
    expect(codeOf(() => arena.allocWait(1, { timeout: 100 }))).toBe("ERR_UMA_TIMEOUT");
  });
  expect(enter.mock.calls.length).toBeLessThan(20);
});
