import { describe, expect, test } from "vitest";
import { defineSecondary, defineZone } from "../../../src/index.ts";
import {
  KEG_LOCK,
  LINE_ALLOCS,
  LINE_REASONS,
  LINE_TOP,
  MAX_ZONES,
  REASON_DYING,
  REASON_ORPHANS,
  SB_CONTROL_LOCK,
  SB_DEAD_LINE,
  SB_POOL_LOCK,
  STATE_DEAD,
  STATE_FREE,
  ZONE_STATE,
  ZONE_STATE_DYING,
  ZONE_STATE_FREE,
} from "../../../src/backend/memory/layout.ts";
import { codeOf, errorOf } from "../../fixtures/codes.ts";
import { besideOf, refuseLocks, rivalOf, whileHeld } from "../../fixtures/floors.ts";
import { expectSound, give, makeUma, secondWorker, take } from "../../fixtures/zones.ts";

const definition = defineZone("zone", { size: 64, bucket: 10 });

describe("destroying a zone", () => {
  test("with items out is refused with their number; by force it reports them, with their owners", async () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const other = await secondWorker(uma);
    const theirs = other.open(definition).alloc();
    const items = take(zone, 5);
    expect(errorOf(() => zone.destroy())).toMatchObject({ code: "ERR_UMA_OUTSTANDING", zone: "zone", value: 6 });
    expect(zone.stats().used).toBe(6);
    expectSound(uma);
    const report = zone.destroy({ force: true });
    expect(report).toMatchObject({ zone: "zone", outstanding: 6 });
    expect(report.items).toEqual(
      expect.arrayContaining([{ item: theirs, owner: other.slot }, ...items.map((item) => ({ item, owner: uma.slot }))]),
    );
    other.poll();
    expect(uma.stats().zones).toEqual([]);
    expect(codeOf(() => zone.free(items[0] as number))).toBe("ERR_UMA_ZONE_CLOSED");
    expectSound(uma);
  });

  test("five times under one name leaves not a page more in use than the first time", () => {
    const uma = makeUma();
    const inUse = [1, 2, 3, 4, 5].map(() => {
      const zone = uma.open(definition);
      give(zone, take(zone, 500));
      zone.destroy();
      expectSound(uma);
      return uma.stats().heapInUse;
    });
    expect(new Set(inUse).size).toBe(1);
  });

  test("an old handle does nothing to the zone that has its id, name and line now", () => {
    const uma = makeUma();
    const old = uma.open(definition);
    const item = old.alloc();
    old.destroy({ force: true });
    const next = uma.open(definition);
    expect([next.id, next.zone]).toEqual([old.id, old.zone]);
    const items = take(next, 64);
    expect(items).toContain(item);
    for (const work of [() => old.free(item), () => old.alloc(), () => old.stats(), () => old.destroy()])
      expect(codeOf(work)).toBe("ERR_UMA_ZONE_CLOSED");
    expect(codeOf(() => old.ownerOf(item))).toBe("ERR_UMA_WRONG_ZONE");
    old.close();
    expect(next.stats().used).toBe(64);
    expectSound(uma);
  });

  test("other openers close it when they look, and then everything refuses; the last one takes it apart", async () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const other = await secondWorker(uma);
    const theirs = other.open(definition);
    give(theirs, take(theirs, 30));
    zone.destroy();
    expect(uma.stats().zones.length).toBe(1);
    expectSound(uma);
    expect(() => theirs.alloc()).toThrowError(expect.objectContaining({ code: "ERR_UMA_ZONE_CLOSED" }) as Error);
    expect(theirs.closed).toBe(true);
    theirs.close();
    expect(uma.stats().zones).toEqual([]);
    expectSound(uma);
  });

  test("closing a zone that somebody else has destroyed meanwhile is no error", async () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const other = await secondWorker(uma);
    const theirs = other.open(definition);
    zone.destroy();
    theirs.close();
    expect(uma.stats().zones).toEqual([]);
    expectSound(uma);
  });

  test("a late call to close, meant for the zone that was there before, closes nothing", () => {
    const uma = makeUma();
    const zone = uma.open(definition);
    const { i32 } = uma.core.floor.cells;
    i32[zone.line + LINE_REASONS] = REASON_DYING;
    i32[zone.line + LINE_TOP] = 0;
    zone.free(zone.alloc());
    expect(zone.closed).toBe(false);
    expect(i32[zone.line + LINE_REASONS]).toBe(0);
    expectSound(uma);
  });
});

describe("while a lock is out of reach", () => {
  test("a close that cannot be finished is finished later, by poll or by any slow path", () => {
    for (const finish of ["poll", "alloc", "detach"] as const) {
      const uma = makeUma();
      const rival = rivalOf(uma);
      const other = uma.open(defineZone("other", { size: 64, bucket: 1 }));
      const zone = uma.open(definition);
      give(zone, take(zone, 30));
      whileHeld(rival, uma.core.floor.cells.base + SB_CONTROL_LOCK, () => zone.close());
      expect([zone.closed, uma.core.closings.length]).toEqual([true, 1]);
      if (finish === "poll") uma.poll();
      else if (finish === "alloc") give(other, take(other, 4));
      else uma.detach();
      expect(uma.core.closings).toEqual([]);
      expectSound(uma);
    }
  });

  test("a destroy is cut short at any lock, and gone on with: nothing stays behind", () => {
    for (let nth = 1; nth <= 40; nth++) {
      const uma = makeUma();
      const zone = uma.open(defineZone("zone", { size: 512, bucket: 4, fini: () => undefined }));
      give(zone, take(zone, 60));
      const refusal = refuseLocks(uma.core.floor, nth, 2);
      try {
        zone.destroy();
      } catch (error) {
        expect(error).toMatchObject({ code: "ERR_UMA_BUSY" });
      }
      refusal.restore();
      if (!zone.closed) zone.destroy();
      uma.poll();
      expect(uma.stats().zones).toEqual([]);
      expectSound(uma);
    }
  });

  test("a zone that was closed halfway and is opened again stays open", () => {
    const uma = makeUma();
    const rival = rivalOf(uma);
    const zone = uma.open(definition);
    const item = zone.alloc();
    whileHeld(rival, uma.core.floor.cells.base + SB_CONTROL_LOCK, () => zone.close());
    const again = uma.open(definition);
    uma.poll();
    again.free(item);
    expect(again.stats().used).toBe(0);
    expectSound(uma);
  });

  test("opening answers BUSY, and so does a ticket", () => {
    const uma = makeUma();
    whileHeld(rivalOf(uma), uma.core.floor.cells.base + SB_CONTROL_LOCK, () => {
      expect(errorOf(() => uma.open(definition))).toMatchObject({ code: "ERR_UMA_BUSY", zone: "zone" });
      expect(codeOf(() => uma.ticket())).toBe("ERR_UMA_BUSY");
    });
    uma.open(definition);
    expectSound(uma);
  });

  test("a detach says that it is not done and can be called again; disposing leaves the rest to whoever reaps", () => {
    for (let nth = 1; nth <= 12; nth++) {
      const uma = makeUma();
      const zone = uma.open(definition);
      const items = take(zone, 40);
      give(zone, items.splice(0, 20));
      const refusal = refuseLocks(uma.core.floor, nth, 1);
      const first = uma.detach();
      refusal.restore();
      const report = first.done ? first : uma.detach();
      expect(report.done).toBe(true);
      expect(report.zones).toMatchObject([{ zone: "zone", kept: 20 }]);
      expect(uma.core.floor.slots.state(uma.slot)).toBe(STATE_FREE);
      expectSound(uma);
    }
  });

  test("a disposed attachment that could not finish is dead, and another worker recovers it", async () => {
    const uma = makeUma();
    const other = await secondWorker(uma);
    const theirs = other.open(definition);
    give(theirs, take(theirs, 30));
    const held = take(theirs, 5);
    const refusal = refuseLocks(other.core.floor, 1, 1000);
    other[Symbol.dispose]();
    refusal.restore();
    expect(uma.core.floor.slots.state(other.slot)).toBe(STATE_DEAD);
    expect(uma.reap(other.slot)).toMatchObject({ done: true });
    expect(uma.core.floor.slots.state(other.slot)).toBe(STATE_FREE);
    const mine = uma.open(definition);
    for (const item of held) expect(mine.ownerOf(item)).toBe(127);
    give(mine, held);
    expect(mine.stats().used).toBe(0);
    expectSound(uma);
  });

  test("a disposed attachment that could not finish speaks for itself alone: what its thread has started lives until that has ended", async () => {
    const uma = makeUma();
    const ticket = uma.ticket();
    const other = await secondWorker(uma, ticket);
    const theirs = other.open(definition);
    give(theirs, take(theirs, 5));
    const { slots } = uma.core.floor;
    const child = rivalOf(other);
    const [grandchild, nested] = [slots.reserve(child.me), slots.reserve(uma.name)];
    for (const name of [grandchild, nested]) slots.adopt(name);
    const refusal = refuseLocks(other.core.floor, 1, 1000);
    other[Symbol.dispose]();
    refusal.restore();
    expect(slots.state(other.slot)).toBe(STATE_DEAD);
    // Whoever recovers anybody certifies what the dead had started.
    expect(uma.reap(nested & 127)).toMatchObject({ done: true });
    expect([child.me, grandchild].map((name) => slots.isLive(name))).toEqual([true, true]);
    expect(uma.reap(other.slot)).toMatchObject({ done: true, children: [] });
    expect([child.me, grandchild].map((name) => slots.isLive(name))).toEqual([true, true]);
    // Its thread's end is another matter.
    expect(uma.reap(ticket)).toMatchObject({ done: true, children: [{ slot: child.slot, children: [{ slot: grandchild & 127 }] }] });
    expectSound(uma);
  });

  test("the end of a thread that has left something behind is that of what it had started, whoever has recovered it by then", async () => {
    for (const by of ["its own end", "the end of who had started it", "the end of who had started it and left"] as const) {
      const uma = makeUma();
      const [ticket, late] = [uma.ticket(), uma.ticket()];
      const parent = await secondWorker(uma, ticket);
      const own = parent.ticket();
      const other = await secondWorker(uma, own);
      const child = rivalOf(other);
      take(other.open(definition), 5);
      const refusal = refuseLocks(other.core.floor, 1, 1000);
      other[Symbol.dispose]();
      refusal.restore();
      if (by === "the end of who had started it and left") parent.detach();
      const report = uma.reap(by === "its own end" ? own : ticket);
      expect(by === "its own end" ? report : report?.children[0]).toMatchObject({
        slot: other.slot,
        done: true,
        children: [{ slot: child.slot, done: true }],
      });
      uma.reap(late);
      expectSound(uma);
    }
  });

  test("a disposed attachment that could not finish does nothing more in its name: its zones are closed, its promises end", async () => {
    const uma = makeUma();
    const other = await secondWorker(uma);
    const limited = defineZone("limited", { size: 64, limit: 1 });
    const [mine, theirs] = [uma.open(limited), other.open(limited)];
    const held = mine.alloc();
    const promise = theirs.allocAsync();
    const ended = expect(promise).rejects.toMatchObject({ code: "ERR_UMA_DETACHED", zone: "limited" });
    refuseLocks(other.core.floor, 1, 1000);
    other[Symbol.dispose]();
    await ended;
    expect(theirs.closed).toBe(true);
    expect(theirs.line).toBe(uma.core.floor.cells.base + SB_DEAD_LINE);
    for (const work of [() => theirs.alloc(), () => theirs.free(held), () => theirs.reclaim()])
      expect(work).toThrow(expect.objectContaining({ code: "ERR_UMA_ZONE_CLOSED" }));
    expect(uma.reap(other.slot)).toMatchObject({ done: true });
    mine.free(held);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([mine.stats().used, mine.stats().sleepers]).toEqual([0, 0]);
    // Its slot is another's by now, whose lock and transaction are none of its business.
    const next = rivalOf(uma);
    expect(next.slot).toBe(other.slot);
    whileHeld(next, mine.keg + KEG_LOCK, () => {
      expect(() => other.core.floor.locks.acquire(mine.keg + KEG_LOCK, 0)).toThrow(expect.objectContaining({ code: "ERR_UMA_DETACHED" }));
      other.core.floor.locks.mend();
      expect(uma.core.floor.cells.i32[mine.keg + KEG_LOCK]).toBe(next.me);
    });
    expectSound(uma);
  });

  test("a recovery that is cut short at any lock goes on in the same report, and finds everything once", async () => {
    for (let nth = 1; nth <= 14; nth++) {
      const uma = makeUma();
      const mine = uma.open(definition);
      const other = await secondWorker(uma);
      const theirs = other.open(definition);
      give(theirs, take(theirs, 35));
      const held = take(theirs, 8);
      const refusal = refuseLocks(uma.core.floor, nth, 1);
      let report = uma.reap(other.slot);
      refusal.restore();
      for (let n = 0; n < 3 && report?.done !== true; n++) report = uma.reap(other.slot);
      expect(report).toMatchObject({ done: true, zones: [{ zone: "zone", kept: 8 }] });
      expect(uma.reap(other.slot)).toBe(null);
      give(mine, held);
      mine.reclaim();
      expect(mine.stats()).toMatchObject({ used: 0, slabs: 0 });
      expectSound(uma);
    }
  });
});

test("orphans that nobody could finish are finished by whoever opens the zone next", () => {
  const uma = makeUma();
  let dtors = 0;
  const policy = defineZone("policy", { size: 64, onDeath: "free", dtor: () => void dtors++ });
  const zone = uma.open(policy);
  const rival = rivalOf(uma);
  const items = take(zone, 6);
  for (const item of items) zone.transfer(item, rival.slot);
  zone.close();
  rival.slots.certify(rival.me);
  expect(uma.reap(rival.slot)).toMatchObject({ done: true, zones: [{ zone: "policy", orphaned: 6 }] });
  const again = uma.open(policy);
  expect((uma.core.floor.cells.i32[again.line + LINE_REASONS] as number) & REASON_ORPHANS).toBe(REASON_ORPHANS);
  again.free(again.alloc());
  expect([dtors, again.stats().used]).toEqual([7, 0]);
  expectSound(uma);
});

test("a refused first allocation that another worker's call comes across leaves a count of 0, not of 2³¹", () => {
  const uma = makeUma();
  const { i32 } = uma.core.floor.cells;
  const zone = uma.open(
    defineZone("called", {
      size: 64,
      ctor: () => {
        i32[zone.line + LINE_ALLOCS] = (i32[zone.line + LINE_ALLOCS] as number) | -0x80000000;
        return false;
      },
    }),
  );
  expect([zone.tryAlloc(), zone.tryAlloc()]).toEqual([0, 0]);
  expect(zone.stats()).toMatchObject({ requests: 0, fail: 2 });
});

test("a bulk allocation that is given up is not counted, even if another worker has called meanwhile", () => {
  const uma = makeUma();
  const { i32 } = uma.core.floor.cells;
  const zone = uma.open(defineZone("bulk", { size: 64, limit: 10 }));
  zone.free(zone.alloc());
  for (const before of [1, 5]) {
    i32[zone.line + LINE_ALLOCS] = before;
    zone.setMaxAction(() => void (i32[zone.line + LINE_ALLOCS] = (i32[zone.line + LINE_ALLOCS] as number) | -0x80000000));
    expect(zone.allocBulk(new Int32Array(11))).toBe(false);
    expect(zone.stats()).toMatchObject({ used: 0, requests: before });
  }
  expectSound(uma);
});

test("the line that closed zones share stays empty and full, whatever is done to them", () => {
  const uma = makeUma();
  const { i32, base } = uma.core.floor.cells;
  const dead = base + SB_DEAD_LINE;
  const before = i32.slice(dead, dead + 16);
  const zones = [definition, defineZone("hooked", { size: 64, ctor: () => true, dtor: () => undefined })].map((d) => uma.open(d));
  for (const zone of zones) {
    const item = zone.alloc();
    zone.close();
    for (const work of [() => zone.alloc(), () => zone.tryAlloc(), () => zone.reclaim()]) expect(codeOf(work)).toBe("ERR_UMA_ZONE_CLOSED");
    expect(item).toBeGreaterThan(0);
  }
  expect([...i32.slice(dead, dead + 16)]).toEqual([...before]);
  expectSound(uma);
});

test(`a memory holds ${MAX_ZONES - 1} zones, one more is refused, and all of them can go again`, () => {
  const uma = makeUma({ bytes: 16 << 20 });
  const zones = Array.from({ length: MAX_ZONES - 1 }, (_, n) => uma.open(defineZone(`zone ${n}`, { size: 16 })));
  expect(errorOf(() => uma.open(defineZone("one more", { size: 16 })))).toMatchObject({
    code: "ERR_UMA_ZONE_TABLE_FULL",
    zone: "one more",
    value: MAX_ZONES - 1,
  });
  for (const zone of [zones[0], zones[500], zones.at(-1)]) zone?.free(zone.alloc());
  expectSound(uma);
  for (const zone of zones) zone.destroy();
  expect(uma.stats().zones).toEqual([]);
  uma.open(defineZone("one more", { size: 16 }));
  expectSound(uma);
});

test("closing needs the keg's lock for its buckets: until it is had the zone stays open", () => {
  const uma = makeUma();
  const zone = uma.open(definition);
  zone.free(zone.alloc());
  whileHeld(rivalOf(uma), zone.keg + KEG_LOCK, () =>
    expect(errorOf(() => zone.close())).toMatchObject({ code: "ERR_UMA_BUSY", zone: "zone" }),
  );
  expect(zone.closed).toBe(false);
  zone.free(zone.alloc());
  zone.close();
  expectSound(uma);
});

test("a dying zone that a recoverer could not take apart at once, a lock being out of reach, is taken apart when it tries again", async () => {
  for (let n = 1, reached = true; reached; n++) {
    const uma = makeUma();
    const ticket = uma.ticket();
    const other = await secondWorker(uma, ticket);
    const zone = other.open(defineZone("dying", { size: 500, bucket: 3 }));
    for (const item of Array.from({ length: 20 }, () => zone.alloc())) zone.free(item);
    const { locks } = other.core.floor as unknown as { locks: { acquire: (lock: number, patience: number) => boolean } };
    const { acquire } = locks;
    // It dies when the zone is dying, and before its cache is drained.
    let left = 2;
    locks.acquire = (...request) => --left > 0 && acquire(...request);
    expect(() => zone.destroy({ force: true })).toThrow();
    const mine = uma.core.floor as unknown as { locks: { acquire: (lock: number, patience: number) => boolean } };
    const { acquire: own } = mine.locks;
    let count = n;
    mine.locks.acquire = (...request) => --count !== 0 && own(...request);
    uma.reap(ticket);
    reached = count <= 0;
    mine.locks.acquire = own;
    uma.reap(ticket);
    uma.poll();
    expect({ n, zones: uma.stats().zones.map(({ name }) => name) }).toEqual({ n, zones: [] });
    expectSound(uma);
    uma.detach();
  }
});

test("a worker that gives another an item just now keeps its recovery, and its leaving, waiting", () => {
  const uma = makeUma();
  const zone = uma.open(defineZone("given", { size: 64 }));
  const giver = rivalOf(uma);
  const rival = rivalOf(uma);
  const [first, second] = take(zone, 2) as [number, number];
  zone.transfer(first, rival.slot);
  // As if the giver were between its announcement and its end.
  giver.handing.begin(rival.me);
  rival.slots.certify(rival.me);
  expect(uma.reap(rival.slot)).toMatchObject({ done: false, zones: [] });
  expect(() => zone.transfer(second, rival.slot)).toThrow(expect.objectContaining({ code: "ERR_UMA_NO_SLOT", value: rival.slot }));
  giver.handing.end();
  expect(uma.reap(rival.slot)).toMatchObject({ done: true, zones: [{ zone: "given", kept: 1, items: [first] }] });
  giver.handing.begin(uma.core.floor.me);
  expect(uma.detach().done).toBe(false);
  giver.handing.end();
  // It has stayed: it takes what it is given.
  expect(giver.handing.begin(uma.core.floor.me)).toBe(true);
  giver.handing.end();
  const again = uma.open(defineZone("given", { size: 64 }));
  again.adopt(first);
  for (const item of [first, second]) again.free(item);
  giver.slots.certify(giver.me);
  uma.reap(giver.slot);
  expectSound(uma);
});

test("a zone stays open, and its keg's record in use, as long as this worker has a slab of it in a frame that a lock out of reach has left", () => {
  const uma = makeUma();
  const rival = rivalOf(uma);
  const { base } = uma.core.floor.cells;
  const zone = uma.open(defineZone("big items", { size: 2048, bucket: 0 }));
  zone.free(zone.alloc());
  rival.locks.acquire(base + SB_POOL_LOCK, 0);
  zone.reclaim();
  expect(uma.core.floor.intents.depth()).toBe(1);
  expect(() => zone.destroy()).toThrow(expect.objectContaining({ code: "ERR_UMA_BUSY" }));
  expect(zone.closed).toBe(false);
  rival.locks.release();
  // Another zone's record is not that of the one that is still going.
  const other = uma.open(defineZone("small items", { size: 16 }));
  const items = take(other, 600);
  uma.poll();
  expect(uma.core.floor.intents.depth()).toBe(0);
  zone.destroy();
  expect(zone.closed).toBe(true);
  expectSound(uma);
  for (const item of items) other.free(item);
  rival.slots.certify(rival.me);
  uma.reap(rival.slot);
  expectSound(uma);
});

test("a secondary's record outlives the bucket that a lock out of reach has left half drained in this worker's frames", () => {
  const uma = makeUma();
  const { i32 } = uma.core.floor.cells;
  const stranger = rivalOf(uma);
  const worker = besideOf(uma);
  const primary = defineZone("primary", { size: 64, secondaries: true, bucket: 8 });
  const zone = uma.open(primary);
  let isHeld = false;
  const second = worker.open(
    defineSecondary("second", primary, {
      bucket: 8,
      zoneFini: () => {
        if (isHeld) Atomics.store(i32, zone.keg + KEG_LOCK, stranger.me);
      },
    }),
  );
  give(second, take(second, 2));
  isHeld = true;
  expect(() => second.destroy()).not.toThrow();
  expect(second.closed).toBe(true);
  expect(worker.floor.intents.depth()).toBe(1);
  expect(worker.closing.finish()).toBe(false);
  expect(i32[second.zone + ZONE_STATE]).toBe(ZONE_STATE_DYING);
  isHeld = false;
  Atomics.store(i32, zone.keg + KEG_LOCK, 0);
  worker.recovery.finishOwnFrames();
  expect(worker.closing.finish()).toBe(true);
  expect(i32[second.zone + ZONE_STATE]).toBe(ZONE_STATE_FREE);
  expectSound(uma);
});

describe("a dying zone whose last opener has not all of its gate", () => {
  test.each([false, true])("is taken apart all the same, without what that thread has not got (with half of it: %s)", (half) => {
    const uma = makeUma();
    const gated = defineZone("gated", { size: 64, bucket: 8 });
    const other = besideOf(uma);
    const theirs = other.open(gated);
    theirs.setZoneInit(() => undefined);
    theirs.setZoneFini(() => undefined);
    const mine = uma.open(gated);
    if (half) mine.setZoneInit(() => undefined);
    give(theirs, take(theirs, 30));
    // What lies in the caches has been through a hook that this thread has not got.
    theirs.close();
    mine.destroy();
    expect(uma.core.closings).toEqual([]);
    expect(uma.stats().zones).toEqual([]);
    expectSound(uma);
  });

  test("runs the zoneFini that it has", () => {
    const uma = makeUma();
    const gated = defineZone("gated", { size: 64, bucket: 8 });
    const theirs = besideOf(uma).open(gated);
    let inits = 0;
    let finis = 0;
    theirs.setZoneInit(() => void inits++);
    theirs.setZoneFini(() => undefined);
    const mine = uma.open(gated);
    mine.setZoneFini(() => void finis++);
    give(theirs, take(theirs, 30));
    theirs.close();
    mine.reclaim("drain");
    expect(finis).toBe(inits);
    mine.destroy();
    expectSound(uma);
  });
});

test("a dying zone whose taking apart an exception has cut short is taken apart by the next slow path", () => {
  const uma = makeUma();
  const zone = uma.open(defineZone("zone", { size: 512, bucket: 4 }));
  give(zone, take(zone, 60));
  const kegs = uma.core.kegs as { -readonly [K in keyof typeof uma.core.kegs]: (typeof uma.core.kegs)[K] };
  const { takeSlab } = kegs;
  kegs.takeSlab = () => {
    kegs.takeSlab = takeSlab;
    throw new RangeError("Maximum call stack size exceeded");
  };
  expect(() => zone.destroy()).toThrow(RangeError);
  expect(uma.core.closings.length).toBe(1);
  uma.poll();
  expect(uma.core.closings).toEqual([]);
  expect(uma.stats().zones).toEqual([]);
  expectSound(uma);
});

test("a hook that runs while a zone is taken apart, and uses another zone, does not take it apart a second time", () => {
  const uma = makeUma();
  const other = uma.open(defineZone("other", { size: 64, bucket: 1 }));
  let finis = 0;
  const zone = uma.open(
    defineZone("zone", {
      size: 512,
      fini: () => {
        finis++;
        give(other, take(other, 4));
        uma.poll();
      },
    }),
  );
  give(zone, take(zone, 16));
  const { slabs, ipers } = { slabs: zone.stats().slabs, ipers: 8 };
  zone.destroy();
  expect(finis).toBe(slabs * ipers);
  expect(uma.core.closings).toEqual([]);
  expectSound(uma);
});

test("a zone whose destroyer was killed before it had called anybody is closed by all who have it open once that one is recovered", () => {
  const uma = makeUma();
  const destroyer = besideOf(uma);
  const third = besideOf(uma);
  const mine = uma.open(definition);
  const theirs = third.open(definition);
  const dying = destroyer.open(definition);
  // Destroying, up to its commit.
  uma.core.floor.cells.i32[dying.zone + ZONE_STATE] = ZONE_STATE_DYING;
  expect(uma.reap(destroyer.ticket)).toMatchObject({ done: true });
  uma.poll();
  expect(mine.closed).toBe(true);
  expect(() => theirs.alloc()).toThrow(expect.objectContaining({ code: "ERR_UMA_ZONE_CLOSED" }));
  expect(uma.stats().zones).toEqual([]);
  expectSound(uma);
});

test("a zone stays open as long as a free of its items waits for a lock", () => {
  const uma = makeUma();
  const rival = rivalOf(uma);
  const direct = defineZone("direct", { size: 64, bucket: 0 });
  const other = besideOf(uma).open(direct);
  const zone = uma.open(direct);
  const item = zone.alloc();
  whileHeld(rival, zone.keg + KEG_LOCK, () => {
    zone.free(item);
    expect(uma.core.unfinished.length).toBe(1);
    expect(codeOf(() => zone.close())).toBe("ERR_UMA_BUSY");
    expect(zone.closed).toBe(false);
  });
  zone.close();
  expect([zone.closed, uma.core.unfinished.length]).toEqual([true, 0]);
  other.destroy();
  expectSound(uma);
});

test("pages of a user's supplier are given back by a destroy that a lock out of reach has cut short, once it can go on", () => {
  const uma = makeUma();
  const rival = rivalOf(uma);
  const { heap, floor } = uma.core;
  let given = 0;
  const zone = uma.open(
    defineZone("supplied", {
      size: 64,
      bucket: 0,
      allocPages: ({ bytes }) => Math.max(0, heap.alloc(bytes / 4096, floor.me, 0)),
      freePages: (address) => {
        given++;
        heap.free(address, 0);
      },
    }),
  );
  zone.free(zone.alloc());
  whileHeld(rival, floor.cells.base + SB_POOL_LOCK, () => zone.destroy());
  expect([given, zone.closed]).toEqual([0, true]);
  for (let n = 0; n < 3; n++) uma.poll();
  expect(given).toBe(1);
  rival.slots.certify(rival.me);
  uma.reap(rival.slot);
  expectSound(uma);
});

test("items of a secondary destroyed by force are the primary's, however many its limit allows", () => {
  const uma = makeUma();
  const primary = defineZone("limited primary", { size: 64, secondaries: true, limit: 2 });
  const p = uma.open(primary);
  const s = uma.open(defineSecondary("unlimited secondary", primary, {}));
  take(s, 5);
  expect(s.destroy({ force: true }).outstanding).toBe(5);
  expectSound(uma);
  uma.poll();
  expect([p.tryAlloc() !== 0, p.tryAlloc() !== 0, p.tryAlloc()]).toEqual([true, true, 0]);
  expectSound(uma);
});

test("a zone that another destroys while a ctor of it runs is closed when the ctor is done", async () => {
  const uma = makeUma();
  const other = await secondWorker(uma);
  let meanwhile = (): void => undefined;
  const zone = uma.open(defineZone("in its ctor", { size: 64, ctor: () => meanwhile() }));
  const theirs = other.open(defineZone("in its ctor", { size: 64, ctor: () => undefined }));
  zone.free(zone.alloc());
  meanwhile = () => {
    meanwhile = () => undefined;
    theirs.destroy({ force: true });
    uma.poll();
    expect(zone.closed).toBe(false);
    const next = other.open(defineZone("made meanwhile", { size: 64 }));
    next.prealloc(1);
  };
  const item = zone.alloc();
  expect(item).toBeGreaterThan(0);
  expectSound(uma);
  uma.poll();
  expect(zone.closed).toBe(true);
  expectSound(uma);
});

test("the slabs of a dying zone stay as long as a bucket of it is in a frame, though the lock that was out of reach is free again", () => {
  const uma = makeUma();
  const rival = rivalOf(uma);
  let meanwhile = (): void => undefined;
  const zone = uma.open(defineZone("finished", { size: 64, bucket: 4, zoneFini: () => meanwhile() }));
  uma.open(defineZone("beside", { size: 64 })).prealloc(500);
  zone.free(zone.alloc());
  meanwhile = () => {
    meanwhile = () => undefined;
    rival.locks.acquire(zone.keg + KEG_LOCK, 0);
  };
  zone.destroy();
  const { core } = uma;
  expect([core.closings.length, core.floor.intents.depth()]).toEqual([1, 1]);
  // The lock comes free between the two halves of a slow path: frames, which it came too late for, and closings.
  const { closing, recovery } = (uma as unknown as { parts: { closing: { finish(): boolean }; recovery: { finishOwnFrames(): void } } })
    .parts;
  recovery.finishOwnFrames();
  rival.locks.release();
  expect(closing.finish()).toBe(false);
  recovery.finishOwnFrames();
  expect([core.floor.intents.depth(), closing.finish()]).toEqual([0, true]);
  rival.slots.certify(rival.me);
  uma.reap(rival.slot);
  expectSound(uma);
});
