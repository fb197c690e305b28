import { EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";
import { defineZone, type ExitingWorker, Uma, zoneTable } from "../../../src/index.ts";
import { PAGE_BYTES, SB_CONTROL_LOCK, SLOT_REAPER, STATE_FREE } from "../../../src/backend/memory/layout.ts";
import { expectSound, give, makeUma, secondWorker, take } from "../../fixtures/zones.ts";

const definition = defineZone("zone", { size: 64 });

describe("a memory", () => {
  test("made with nothing said is shared, and works", () => {
    const uma = Uma.create();
    expect(uma.buffer).toBeInstanceOf(SharedArrayBuffer);
    const zone = uma.open(definition);
    zone.free(zone.alloc());
    expectSound(uma);
    uma.detach();
  });

  test("of one thread lies in an ArrayBuffer, and works", () => {
    const uma = Uma.create({ kind: "array", bytes: 1 << 20 });
    expect(uma.buffer).toBeInstanceOf(ArrayBuffer);
    const zone = uma.open(definition);
    give(zone, take(zone, 1000));
    zone.reclaim();
    expectSound(uma);
  });

  test("in a buffer of somebody else's begins clean, whatever lay there: also the remains of another memory", () => {
    for (const fill of [0, 0xff, 0x5a]) {
      const buffer = new SharedArrayBuffer(1 << 20);
      new Uint8Array(buffer).fill(fill);
      for (let round = 0; round < 3; round++) {
        const uma = Uma.create({ buffer, workers: 8, patience: 0 });
        const zone = uma.open(definition);
        take(zone, 100);
        expect(zone.stats()).toMatchObject({ used: 100, requests: 100 });
        expect(uma.stats().workers).toBe(1);
        expectSound(uma);
      }
    }
  });

  test("above a base leaves what lies below alone", () => {
    const wasm = new WebAssembly.Memory({ initial: 32, maximum: 32, shared: true });
    const below = new Uint8Array(wasm.buffer, 0, 65_536).fill(0x77);
    const uma = Uma.create({ wasm, base: 65_536, workers: 4 });
    const zone = uma.open(defineZone("above", { size: 64, zinit: true }));
    const items = take(zone, 5000);
    for (const item of items) expect(item).toBeGreaterThanOrEqual(65_536);
    give(zone, items);
    zone.reclaim();
    expect(below.every((byte) => byte === 0x77)).toBe(true);
    expectSound(uma);
  });

  test("two memories in one buffer, one above the other's bytes, do not meet", () => {
    const uma = [Uma.create({ bytes: 1 << 20, workers: 4 }), Uma.create({ bytes: 1 << 20, workers: 4 })];
    const zones = uma.map((one) => one.open(definition));
    for (const zone of zones) take(zone, 50);
    expect(zones.map((zone) => zone.stats().used)).toEqual([50, 50]);
    for (const one of uma) expectSound(one);
  });

  test("works up to its last page, and at an odd length", () => {
    const uma = Uma.create({ bytes: (1 << 20) + 1, workers: 1 });
    const zone = uma.open(defineZone("pages", { size: PAGE_BYTES }));
    let last = 0;
    for (let item = zone.tryAlloc(); item !== 0; item = zone.tryAlloc()) last = Math.max(last, item);
    expect(last).toBe((1 << 20) - PAGE_BYTES);
    uma.views.u8.fill(1, last, last + PAGE_BYTES);
    expectSound(uma);
  });
});

describe("attaching", () => {
  test("a second time in one thread gives back the same attachment; with another ticket it is refused", () => {
    const uma = makeUma();
    const ticket = uma.ticket();
    expect(() => Uma.attach(ticket)).toThrowError(expect.objectContaining({ code: "ERR_UMA_TICKET", value: ticket.name & 127 }) as Error);
    expectSound(uma);
  });

  test("of another copy of the library gets another slot, and the same zones", async () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const ticket = uma.ticket();
    const other = await secondWorker(uma, ticket);
    expect([other.slot, other.name]).toEqual([2, ticket.name]);
    const theirs = other.open(definition);
    const item = theirs.alloc();
    expect(zone.ownerOf(item)).toBe(2);
    zone.free(item);
    expect(zone.stats().workers.map(({ slot, live }) => ({ slot, live }))).toEqual([
      { slot: 1, live: true },
      { slot: 2, live: true },
    ]);
    expect(other.detach()).toMatchObject({ done: true, zones: [] });
    expect(zone.stats()).toMatchObject({ used: 0, requests: 1, xdomain: 1 });
    expectSound(uma);
  });
});

describe("watching a worker", () => {
  test("recovers it when it exits, not before", async () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const ticket = uma.ticket();
    const other = await secondWorker(uma, ticket);
    take(other.open(definition) as typeof zone, 4);
    const worker = new EventEmitter();
    const watched = uma.watch(worker as ExitingWorker, ticket);
    expect(uma.core.floor.slots.isLive(ticket.name)).toBe(true);
    worker.emit("exit");
    expect(await watched).toMatchObject({ done: true, slot: 2, zones: [{ zone: "zone", kept: 4 }] });
    expect(uma.core.floor.slots.state(2)).toBe(STATE_FREE);
    expectSound(uma);
  });

  test("after this thread has detached does nothing", async () => {
    const uma = makeUma();
    const ticket = uma.ticket();
    const worker = new EventEmitter();
    const watched = uma.watch(worker as ExitingWorker, ticket);
    uma.detach();
    worker.emit("exit");
    expect(await watched).toBe(null);
  });

  test("a dead worker that another one is at for a moment is not done yet, and is when it is called again", () => {
    const uma = makeUma();
    const ticket = uma.ticket();
    const other = uma.ticket();
    const { slots, cells } = uma.core.floor;
    slots.adopt(other.name);
    slots.certify(ticket.name);
    // As one does who waits for a lock of the dead one's, while it undoes what that had open.
    expect(slots.claim(ticket.name, other.name)).toBe(true);
    expect(uma.reap(ticket)).toMatchObject({ done: false });
    cells.i32[slots.wordOf(ticket.name & 127) + SLOT_REAPER] = 0;
    expect(uma.reap(ticket)).toMatchObject({ done: true });
    expect(uma.reap(ticket)).toBe(null);
    uma.reap(other);
    expectSound(uma);
  });

  test("a recovery that an exception ends is tried again by who watches, and can be by anybody: it is nobody's, and its report goes on", async () => {
    for (const by of ["the one who watches", "another"] as const) {
      const uma = makeUma();
      const ticket = uma.ticket();
      const other = await secondWorker(uma, ticket);
      const third = await secondWorker(uma);
      take(other.open(definition) as never, 4);
      const worker = new EventEmitter();
      const { areas, floor } = uma.core as { areas: { recover: (name: number, left: unknown[]) => boolean }; floor: typeof uma.core.floor };
      const { recover } = areas;
      let fails = by === "another" ? Infinity : 2;
      areas.recover = (name, left) => {
        if (fails-- > 0) {
          floor.locks.acquire(floor.cells.base + SB_CONTROL_LOCK, 0);
          throw new Error("out of something");
        }
        return recover(name, left);
      };
      const watched = uma.watch(worker as ExitingWorker, ticket);
      worker.emit("exit");
      const report = { done: true, slot: other.slot, zones: [{ zone: "zone", kept: 4 }] };
      if (by === "the one who watches") expect(await watched).toMatchObject(report);
      else {
        await expect(watched).rejects.toThrow("out of something");
        expect(floor.slots.reaper(ticket.name)).toBe(0);
        expect(third.reap(ticket)).toMatchObject({ done: true, slot: other.slot });
      }
      third.detach();
      expectSound(uma);
    }
  });

  test("a ticket that nobody used is withdrawn by reap, its slot free for the next", () => {
    const uma = makeUma();
    const ticket = uma.ticket();
    expect(uma.reap(ticket)).toMatchObject({ done: true, zones: [], blocks: [] });
    expect(uma.reap(ticket)).toBe(null);
    expect(uma.ticket().name & 127).toBe(ticket.name & 127);
    expectSound(uma);
  });
});

describe("statistics", () => {
  test("of the memory add up", () => {
    const uma = makeUma();
    const zones = ["a", "b"].map((name) => uma.open(defineZone(name, { size: 200 })));
    for (const zone of zones) take(zone, 100);
    const stats = uma.stats();
    expect(stats.heapInUse + stats.heapFree).toBe(uma.core.heap.counts().total * PAGE_BYTES);
    expect(stats.heapPeak).toBeGreaterThanOrEqual(stats.heapInUse);
    expect(stats.zones.map((zone) => zone.name).toSorted()).toEqual(["a", "b"]);
    expect(stats.zones.reduce((sum, zone) => sum + zone.bytes, 0)).toBeLessThan(stats.heapInUse);
  });

  test("are printed under the names of vmstat -z, a column each", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("a rather long name of a zone", { size: 64, limit: 1000 }));
    take(zone, 10);
    const lines = [...uma.table()];
    expect(lines.length).toBe(2);
    expect(lines[0]?.split(/\s+/)).toEqual(
      expect.arrayContaining(["ITEM", "SIZE", "LIMIT", "USED", "FREE", "REQ", "FAIL", "SLEEP", "XDOM"]),
    );
    const { used, free, requests } = zone.stats();
    expect(lines[1]).toContain("a rather long name of a zone:");
    expect(lines[1]?.trim().split(/\s+/).slice(-8).map(Number)).toEqual([64, 1000, used, free, requests, 0, 0, 0]);
    expect([...zoneTable([])].length).toBe(1);
  });

  test("keep what workers did that are gone, and begin anew for a zone that is", async () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const other = await secondWorker(uma);
    const theirs = other.open(definition);
    give(theirs, take(theirs as typeof zone, 10));
    other.detach();
    expect(zone.stats().requests).toBe(10);
    zone.destroy();
    expect(uma.open(definition).stats().requests).toBe(0);
    expectSound(uma);
  });
});
