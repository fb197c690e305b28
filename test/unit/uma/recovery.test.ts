import { describe, expect, test } from "vitest";
import { defineZone } from "../../../src/index.ts";
import {
  INTENT_HEADER,
  KEG_LOCK,
  KEG_SHIFT,
  LINE_REASONS,
  MARK_BUSY,
  MARK_ORPHAN,
  REASON_ORPHANS,
  SLOT_INTENTS,
  ZONE_ORPHANS,
} from "../../../src/backend/memory/layout.ts";
import type { Floor } from "../../../src/backend/memory/floor.ts";
import { besideOf, type Beside, cutShort, refuseLocks, rivalOf } from "../../fixtures/floors.ts";
import { expectSound, lineOf, makeUma } from "../../fixtures/zones.ts";

/** Does `work` when the floor's worker is about to acquire a lock for which `when` holds, once; the acquire is refused if it says so. */
function beforeLock(floor: Floor, when: (lock: number) => boolean, work: () => boolean): void {
  const locks = floor.locks as { -readonly [K in keyof Floor["locks"]]: Floor["locks"][K] };
  const { acquire } = locks;
  locks.acquire = (lock, patience) => {
    if (!when(lock)) return acquire(lock, patience);
    locks.acquire = acquire;
    return work() && acquire(lock, patience);
  };
}

/** What `uma.poll` does. */
function pollBeside(beside: Beside): void {
  beside.recovery.finishOwnFrames();
  beside.closing.finish();
  for (const z of beside.core.open) if (z !== undefined && beside.floor.cells.i32[z.line + LINE_REASONS] !== 0) beside.services.attend(z);
}

describe("a slab that a dead worker has left half built, put back by a recoverer that has not the zone open", () => {
  const IPERS_HALF = 5;

  /** A worker dies in the init of its slab's fifth item; another has the zone open, and has been called to look for orphans. */
  function halfBuilt(options: { readonly bucket?: number }) {
    const uma = makeUma();
    const { i32, u8 } = uma.core.floor.cells;
    const dead = besideOf(uma);
    const finisher = besideOf(uma);
    let inits = 0;
    let cut = (): void => undefined;
    const definition = defineZone("half", {
      size: 256,
      fini: () => undefined,
      init: () => void (++inits === IPERS_HALF && cut()),
      ...options,
    });
    const zone = dead.open(definition);
    const theirs = finisher.open(definition);
    cutShort(uma.core.floor.cells, (now) => {
      cut = now;
      zone.alloc();
    });
    cut = () => undefined;
    dead.floor.slots.certify(dead.floor.me);
    Atomics.store(i32, theirs.zone + ZONE_ORPHANS, 1);
    const slab = i32[dead.floor.slotWord + SLOT_INTENTS + INTENT_HEADER] as number;
    const fifth = uma.core.slabs.marksOf(slab) + (((IPERS_HALF - 1) * theirs.rsize) >> (i32[theirs.keg + KEG_SHIFT] as number));
    const isMarked = (lock: number): boolean => lock === theirs.keg + KEG_LOCK && u8[fifth] === (MARK_ORPHAN | MARK_BUSY);
    return { uma, dead, finisher, theirs, isMarked };
  }

  test("is nobody's to finish before it is linked: what is in it is made anew after that", () => {
    for (const bucket of [10, 0]) {
      const { uma, dead, finisher, theirs, isMarked } = halfBuilt({ bucket });
      beforeLock(uma.core.floor, isMarked, () => {
        finisher.orphans.finish(theirs);
        expect(lineOf({ core: finisher.core } as never, theirs)).toEqual({});
        expect(finisher.verify().outstanding).toBe(0);
        return true;
      });
      expect(uma.reap(dead.ticket)).toMatchObject({ done: true });
      expect(uma.verify().orphans).toBeGreaterThan(0);
      pollBeside(finisher);
      expect(uma.verify()).toMatchObject({ orphans: 0, outstanding: 0 });
      expectSound(uma);
    }
  });

  test("is taken apart by a second recoverer that has the hooks, and nothing of it is in anybody's bucket", () => {
    const { uma, dead, finisher, theirs, isMarked } = halfBuilt({});
    beforeLock(uma.core.floor, isMarked, () => {
      finisher.orphans.finish(theirs);
      return false;
    });
    expect(uma.reap(dead.ticket)).toMatchObject({ done: false });
    expect(finisher.recovery.run(dead.floor.me)).toMatchObject({ done: true });
    expect(uma.verify()).toMatchObject({ orphans: 0, outstanding: 0 });
    expectSound(uma);
  });

  test("is looked at again by a finisher that could not have the keg's lock", () => {
    const { uma, dead, finisher, theirs } = halfBuilt({});
    uma.reap(dead.ticket);
    const refusal = refuseLocks(finisher.floor, 1, 100);
    pollBeside(finisher);
    expect((uma.core.floor.cells.i32[theirs.line + LINE_REASONS] as number) & REASON_ORPHANS).toBe(REASON_ORPHANS);
    refusal.restore();
    pollBeside(finisher);
    expect(uma.verify()).toMatchObject({ orphans: 0, outstanding: 0 });
    expectSound(uma);
  });
});

test("orphans that a worker without the init cannot make anew stay announced, and one that sets it later makes them anew", () => {
  const uma = makeUma();
  const { i32 } = uma.core.floor.cells;
  const dead = besideOf(uma);
  const definition = defineZone("late", { size: 256 });
  const zone = dead.open(definition);
  const mine = uma.open(definition);
  let cut = (): void => undefined;
  let inits = 0;
  zone.setInit(() => void (++inits === 3 && cut()));
  cutShort(uma.core.floor.cells, (now) => {
    cut = now;
    zone.alloc();
  });
  // Where the recoverer has it open without init, it takes the half-built slab apart: this one has it not.
  dead.floor.slots.certify(dead.floor.me);
  const recoverer = besideOf(uma);
  expect(recoverer.recovery.run(dead.floor.me)).toMatchObject({ done: true });
  const { orphans } = uma.verify();
  expect(orphans).toBeGreaterThan(0);
  uma.poll();
  expect(uma.verify().orphans).toBe(orphans);
  expect(i32[mine.zone + ZONE_ORPHANS]).not.toBe(0);
  const other = besideOf(uma);
  const theirs = other.open(definition);
  // It looks, and cannot either; setting the hook has it look again.
  pollBeside(other);
  theirs.setInit(() => undefined);
  theirs.free(theirs.alloc());
  expect(uma.verify()).toMatchObject({ orphans: 0, outstanding: 0 });
  expectSound(uma);
});

test("a half-dismantled slab goes back to its keg where the recoverer has the zone open without the fini that another has set", () => {
  const uma = makeUma();
  const dead = besideOf(uma);
  const definition = defineZone("unset", { size: 512, bucket: 0 });
  const zone = dead.open(definition);
  uma.open(definition);
  let cut = (): void => undefined;
  const finished: number[] = [];
  zone.setFini((item) => {
    finished.push(item);
    if (finished.length === 2) cut();
  });
  zone.free(zone.alloc());
  cutShort(uma.core.floor.cells, (now) => {
    cut = now;
    zone.reclaim("drain");
  });
  dead.floor.slots.certify(dead.floor.me);
  expect(uma.reap(dead.ticket)).toMatchObject({ done: true });
  uma.poll();
  expect(uma.stats().zones).toMatchObject([{ name: "unset", slabs: 1, used: 0 }]);
  expectSound(uma);
});

test("a worker killed while it leaves, after a lock out of reach has kept an item that dtor has seen, leaves nothing in its name", () => {
  const uma = makeUma();
  const leaver = besideOf(uma);
  const stranger = rivalOf(uma);
  let dtors = 0;
  let cut = (): void => undefined;
  const definition = defineZone("freed", {
    size: 64,
    bucket: 0,
    onDeath: "free",
    dtor: () => void (++dtors === 2 && cut()),
  });
  const zone = leaver.open(definition);
  zone.alloc();
  zone.alloc();
  const word = zone.keg + KEG_LOCK;
  Atomics.store(uma.core.floor.cells.i32, word, stranger.me);
  cutShort(uma.core.floor.cells, (now) => {
    cut = now;
    leaver.recovery.leave();
  });
  Atomics.store(uma.core.floor.cells.i32, word, 0);
  uma.open(definition);
  expect(uma.reap(leaver.ticket)).toMatchObject({ done: true });
  expect(uma.verify()).toMatchObject({ outstanding: 0 });
  expectSound(uma);
});
