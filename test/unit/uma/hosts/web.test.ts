import { describe, expect, test, vi } from "vitest";
import type * as Library from "../../../../src/index.ts";
import { defineZone, Uma } from "../../../../src/index.ts";
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
    const reaps = vi.spyOn(uma, "reapAsync");
    const watched = uma.watchLock(ticket, { locks: locks.of("watcher"), interval: 0, slice: 0.5 });
    await other.Uma.attachAsync(ticket, { locks: locks.of("worker") });
    locks.end("worker");
    expect(await watched).toMatchObject({ slot: 2, done: true });
    expect(reaps.mock.calls).toEqual([[ticket, { slice: 0.5 }]]);
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
