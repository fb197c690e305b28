import { describe, expect, test } from "vitest";
import { defineZone } from "../../../src/index.ts";
import {
  INTENT_BUCKET,
  INTENT_FRAMES,
  INTENT_ZONE,
  KEG_LOCK,
  LINE_REASONS,
  REASON_RECLAIM,
  SB_POOL_LOCK,
  SB_TICK,
} from "../../../src/backend/memory/layout.ts";
import { codeOf } from "../../fixtures/codes.ts";
import { besideOf, rivalOf, whileHeld } from "../../fixtures/floors.ts";
import { expectSound, makeUma } from "../../fixtures/zones.ts";

describe("while the pool's lock is out of reach, and there are more zones than frames", () => {
  /** Twelve zones with something to give back, and in each an item in use. */
  function twelve() {
    const uma = makeUma();
    const rival = rivalOf(uma);
    const zones = Array.from({ length: 12 }, (_, n) => uma.open(defineZone(`zone ${n}`, { size: 64 })));
    for (const zone of zones) zone.free(zone.alloc());
    return { uma, rival, zones, pool: uma.core.floor.cells.base + SB_POOL_LOCK };
  }

  test("reclaim, tick and the recovery of another throw nothing, and what they leave is finished later", () => {
    const { uma, rival, zones, pool } = twelve();
    const { i32, base } = uma.core.floor.cells;
    const dead = besideOf(uma);
    const dying = defineZone("dying", { size: 64 });
    const theirs = dead.open(dying);
    theirs.free(theirs.alloc());
    uma.open(dying).destroy();
    whileHeld(rival, pool, () => {
      for (let n = 0; n < 3; n++) {
        uma.reclaim("drain");
        i32[base + SB_TICK] = 0;
        uma.tick();
      }
      expect(uma.reap(dead.ticket)).toMatchObject({ done: false });
    });
    uma.reclaim("drain");
    expect(uma.reap(dead.ticket)).toMatchObject({ done: true });
    uma.poll();
    expect(uma.core.floor.intents.depth()).toBe(0);
    expect(
      uma
        .stats()
        .zones.map(({ name }) => name)
        .sort(),
    ).toEqual(zones.map(({ name }) => name).sort());
    expectSound(uma);
  });

  test("a free that is asked to reclaim frees its item all the same, and the request stands", () => {
    const { uma, rival, zones, pool } = twelve();
    const items = zones.map((zone) => zone.alloc());
    const caller = besideOf(uma);
    caller.reclaims.all("drain-cpu");
    whileHeld(rival, pool, () => zones.forEach((zone, n) => zone.free(items[n] as number)));
    const asked = zones.filter((zone) => ((uma.core.floor.cells.i32[zone.line + LINE_REASONS] as number) & REASON_RECLAIM) !== 0);
    expect(asked.length).toBeGreaterThan(0);
    uma.poll();
    for (const [n, zone] of zones.entries()) if (zone.stats().slabs > 0) expect(zone.ownerOf(items[n] as number)).toBe(0);
    for (const zone of asked) expect(zone.stats().slabs).toBe(0);
    expectSound(uma);
  });

  test("an allocation that needs a slab, and finds all frames taken by what was left, answers BUSY", () => {
    const { uma, rival, zones } = twelve();
    const { intents, cells } = uma.core.floor;
    const [left] = zones as [(typeof zones)[0]];
    const fresh = uma.open(defineZone("fresh", { size: 2048, bucket: 0 }));
    whileHeld(rival, left.keg + KEG_LOCK, () => {
      while (intents.depth() < INTENT_FRAMES) cells.i32[intents.push(INTENT_BUCKET) + INTENT_ZONE] = left.zone;
      expect(codeOf(() => fresh.alloc())).toBe("ERR_UMA_BUSY");
    });
    fresh.free(fresh.alloc());
    expect(intents.depth()).toBe(0);
    expectSound(uma);
  });
});
