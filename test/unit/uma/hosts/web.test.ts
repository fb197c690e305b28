import { describe, expect, test, vi } from "vitest";
import type * as Library from "../../../../src/index.ts";
import { defineZone, Uma } from "../../../../src/index.ts";
import { refuseLocks } from "../../../fixtures/floors.ts";
import { FakeLocks } from "../../../fixtures/fake-locks.ts";

const Item = defineZone("item", { size: 64 });

/** The library as another thread would load it: with attachments of its own. */
async function otherThread(): Promise<typeof Library> {
  vi.resetModules();
  return import("../../../../src/index.ts");
}

function memory(): { uma: Uma; locks: FakeLocks } {
  return { uma: Uma.create({ bytes: 2 ** 20, workers: 4 }), locks: new FakeLocks() };
}

async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe("a worker that attaches with a Web Lock", () => {
  test("is live once the lock is granted, and holds it until it has left", async () => {
    const { uma, locks } = memory();
    const other = await otherThread();
    const ticket = uma.ticket();
    const mine = await other.Uma.attachAsync(ticket, { locks: locks.of("worker") });
    expect(mine.slot).toBe(uma.slot + 1);
    expect(locks.names).toHaveLength(1);
    mine.detach();
    await turns(2);
    expect(locks.names).toEqual([]);
    uma.detach();
  });

  test("is not live before the lock is granted", async () => {
    const { uma, locks } = memory();
    const other = await otherThread();
    const ticket = uma.ticket();
    // Whoever watches has the lock for a moment.
    const watched = uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 0 });
    await turns(3);
    const mine = await other.Uma.attachAsync(ticket, { locks: locks.of("worker") });
    await turns(3);
    expect(uma.stats().workers).toBe(2);
    mine.detach();
    expect(await watched).toBeNull();
    uma.detach();
  });

  test("gives the lock back when its ticket is no good", async () => {
    const { uma, locks } = memory();
    const other = await otherThread();
    const ticket = uma.ticket();
    uma.reap(ticket);
    await expect(other.Uma.attachAsync(ticket, { locks: locks.of("worker") })).rejects.toMatchObject({ code: "ERR_UMA_TICKET" });
    await turns(2);
    expect(locks.names).toEqual([]);
    uma.detach();
  });

  test("is found dead although somebody came late with a ticket that the slot had before", async () => {
    const { uma, locks } = memory();
    const withdrawn = uma.ticket();
    uma.reap(withdrawn);
    const ticket = uma.ticket();
    expect(ticket.name & 127).toBe(withdrawn.name & 127);
    const mine = await (await otherThread()).Uma.attachAsync(ticket, { locks: locks.of("worker") });
    const late = (await otherThread()).Uma.attachAsync(withdrawn, { locks: locks.of("late") });
    await expect(late).rejects.toMatchObject({ code: "ERR_UMA_TICKET" });
    expect(uma.core.floor.slots.isLive(mine.name)).toBe(true);
    locks.end("worker");
    const watched = uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 0, signal: AbortSignal.timeout(2000) });
    expect(await watched).toMatchObject({ slot: mine.slot, done: true });
    uma.detach();
  });

  test("leaves what it had started to their own locks: who holds one lives until that is free, a ticket is withdrawn, of others nothing is known", async () => {
    const uma = Uma.create({ bytes: 2 ** 20, workers: 8 });
    const locks = new FakeLocks();
    const { slots } = uma.core.floor;
    const ticket = uma.ticket();
    const watched = uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 1 });
    const parent = await (await otherThread()).Uma.attachAsync(ticket, { locks: locks.of("parent") });
    const own = parent.ticket();
    const holder = await (await otherThread()).Uma.attachAsync(own, { locks: locks.of("holder") });
    const [unused, without] = [parent.ticket().name, parent.ticket().name];
    slots.adopt(without);
    const grandchild = slots.reserve(holder.name);
    slots.adopt(grandchild);
    locks.end("parent");
    while (slots.tenant(parent.slot) === ticket.name) await turns(1);
    expect(slots.adopt(unused)).toBe(false);
    // Whoever recovers anybody certifies what the dead had started.
    uma.reap(uma.ticket());
    await turns(5);
    expect([holder.name, without, grandchild].map((name) => slots.isLive(name))).toEqual([true, true, true]);
    locks.end("holder");
    const report = await watched;
    expect(report).toMatchObject({ slot: parent.slot, done: true });
    expect(report?.children.map(({ slot, done }) => [slot, done])).toEqual([
      [unused & 127, true],
      [holder.slot, true],
    ]);
    expect([without, grandchild].map((name) => slots.isLive(name))).toEqual([true, true]);
    for (const name of [without, grandchild]) expect(uma.reap(name & 127)).toMatchObject({ done: true });
    expect(uma.stats().workers).toBe(1);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });

  test("that has left, in order or not, is no word on what it had started", async () => {
    for (const leaves of ["in order", "something behind"] as const) {
      const { uma, locks } = memory();
      const { slots } = uma.core.floor;
      const ticket = uma.ticket();
      const watched = uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 1 });
      const other = await otherThread();
      const parent = await other.Uma.attachAsync(ticket, { locks: locks.of("parent") });
      parent.open(other.defineZone("item", { size: 64 })).alloc();
      const { name } = parent.ticket();
      if (leaves === "something behind") refuseLocks(parent.core.floor, 1, 1000);
      parent[Symbol.dispose]();
      const report = await watched;
      if (leaves === "in order") expect(report).toBeNull();
      else expect(report).toMatchObject({ slot: parent.slot, done: true, children: [] });
      expect(slots.adopt(name)).toBe(true);
      uma.reap(name & 127);
      expect(uma.verify().problems).toEqual([]);
      uma.detach();
    }
  });

  test("is the same attachment when it attaches twice", async () => {
    const { uma, locks } = memory();
    const other = await otherThread();
    const ticket = uma.ticket();
    const mine = await other.Uma.attachAsync(ticket, { locks: locks.of("worker") });
    expect(await other.Uma.attachAsync(ticket, { locks: locks.of("worker") })).toBe(mine);
    mine.detach();
    uma.detach();
  });

  test("is recovered when its lock is free without its having left", async () => {
    const { uma, locks } = memory();
    const other = await otherThread();
    const ticket = uma.ticket();
    const watched = uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 1 });
    const mine = await other.Uma.attachAsync(ticket, { locks: locks.of("worker") });
    const zone = mine.open(other.defineZone("item", { size: 64 }));
    const item = zone.alloc();
    await turns(5);
    expect(uma.stats().workers).toBe(2);
    locks.end("worker");
    const report = await watched;
    expect(report).toMatchObject({ slot: 2, done: true, zones: [{ zone: "item", kept: 1, items: [item] }] });
    expect(uma.open(Item).ownerOf(item)).toBe(127);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });

  test("is recovered in slices as long as whoever watches can spare", async () => {
    const { uma, locks } = memory();
    const other = await otherThread();
    const ticket = uma.ticket();
    await expect(uma.watchLock(ticket, { locks: locks.of("watcher"), slice: 0 })).rejects.toMatchObject({ code: "ERR_UMA_OPTION" });
    const runs = vi.spyOn(uma["parts"].recovery, "run");
    const watched = uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 0, slice: 0.5 });
    await other.Uma.attachAsync(ticket, { locks: locks.of("worker") });
    locks.end("worker");
    const before = performance.now();
    expect(await watched).toMatchObject({ slot: 2, done: true });
    const [name, until, ended] = runs.mock.calls[0] as [number, number, boolean];
    expect([name, ended]).toEqual([ticket.name, false]);
    expect(until).toBeGreaterThan(before);
    expect(until).toBeLessThanOrEqual(performance.now() + 0.5);
    uma.detach();
  });

  test("is not taken for dead while it has only attached, without a lock", async () => {
    const { uma, locks } = memory();
    const other = await otherThread();
    const ticket = uma.ticket();
    const mine = other.Uma.attach(ticket);
    const watched = uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 0 });
    await turns(10);
    expect(uma.stats().workers).toBe(2);
    await Promise.all([mine.holdLock({ locks: locks.of("worker") }), mine.holdLock({ locks: locks.of("worker") })]);
    await mine.holdLock({ locks: locks.of("worker") });
    await turns(5);
    expect(uma.stats().workers).toBe(2);
    locks.end("worker");
    expect(await watched).toMatchObject({ slot: 2, done: true });
    uma.detach();
  });

  test("is found dead although it still hears that its lock is broken off, as in Chromium", async () => {
    const { uma, locks } = memory();
    const other = await otherThread();
    const ticket = uma.ticket();
    await other.Uma.attachAsync(ticket, { locks: locks.of("worker") });
    locks.terminate("worker");
    await turns(2);
    expect(await uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 0 })).toMatchObject({ done: true });
    uma.detach();
  });

  test("is not taken for dead when its lock was stolen", async () => {
    const { uma, locks } = memory();
    const other = await otherThread();
    const ticket = uma.ticket();
    const mine = await other.Uma.attachAsync(ticket, { locks: locks.of("worker") });
    locks.steal();
    await turns(2);
    const watched = uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 0 });
    await turns(10);
    expect(uma.stats().workers).toBe(2);
    mine.detach();
    expect(await watched).toBeNull();
    uma.detach();
  });
});

describe("watchLock", () => {
  test("ends with its signal", async () => {
    const { uma, locks } = memory();
    const ticket = uma.ticket();
    const stop = new AbortController();
    const watched = uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 10_000, signal: stop.signal });
    await turns(2);
    stop.abort("enough");
    await expect(watched).rejects.toMatchObject({ code: "ERR_UMA_ABORTED" });
    uma.detach();
  });

  test("ends when somebody else has seen to the worker, or the watcher has left", async () => {
    const { uma, locks } = memory();
    const first = uma.watchLock(uma.ticket(), { locks: locks.of("watcher"), interval: 1 });
    const second = uma.ticket();
    const watched = uma.watchLock(second, { locks: locks.of("watcher"), interval: 1 });
    uma.reap(second);
    expect(await watched).toBeNull();
    uma.detach();
    expect(await first).toBeNull();
  });

  test("refuses a ticket of another memory, and says where there are no locks", async () => {
    const { uma, locks } = memory();
    const other = Uma.create({ bytes: 2 ** 18 });
    await expect(uma.watchLock(other.ticket(), { locks: locks.of("watcher") })).rejects.toMatchObject({ code: "ERR_UMA_TICKET" });
    vi.stubGlobal("navigator", undefined);
    await expect(uma.watchLock(uma.ticket())).rejects.toMatchObject({ code: "ERR_UMA_NO_LOCKS" });
    await expect(uma.holdLock()).rejects.toMatchObject({ code: "ERR_UMA_NO_LOCKS" });
    vi.unstubAllGlobals();
    await expect(uma.watchLock(uma.ticket(), { locks: locks.of("watcher"), interval: -1 })).rejects.toMatchObject({
      code: "ERR_UMA_OPTION",
    });
    other.detach();
    uma.detach();
  });
});
