import { expect, test } from "vitest";
import { SB_CONTROL_LOCK, ZONE_ID } from "../../../../src/backend/memory/layout.ts";
import { createBootPages } from "../../../../src/backend/supplier/boot-pages.ts";
import { Uma, defineZone } from "../../../../src/index.ts";
import { layGround } from "../../../fixtures/floors.ts";

const PAGE = 4096;

test("boot pages are handed out one after the other, up to the heap, and then no more", () => {
  const ground = layGround({ bootPages: 3 });
  const floor = ground.tenant();
  const pages = createBootPages(floor);
  const taken: number[] = [];
  while (pages.left()) {
    taken.push(pages.take());
    floor.journal.commit();
  }
  const first = ground.geometry.heapStart - 3 * PAGE;
  expect(taken).toEqual([first, first + PAGE, first + 2 * PAGE]);
  expect(pages.take()).toBe(0);
  expect(floor.journal.room()).toBe(64);
});

test("a page that is taken in a transaction that is not committed is there again", () => {
  const ground = layGround({ bootPages: 1 });
  const floor = ground.tenant();
  const pages = createBootPages(floor);
  const lock = floor.cells.base + SB_CONTROL_LOCK;
  expect(floor.locks.acquire(lock, 0)).toBe(true);
  const page = pages.take();
  expect(pages.left()).toBe(false);
  floor.locks.release();
  expect(pages.left()).toBe(true);
  expect(pages.take()).toBe(page);
});

test.each([0, 1, 2, 8])("with %s boot pages the first records lie in them, what follows in the heap, and items always do", (bootPages) => {
  const uma = Uma.create({ bytes: 2 ** 20, workers: 2, bootPages });
  const { heapStart } = uma.core.floor.geometry;
  const before = uma.stats().heapInUse;
  const zones = Array.from({ length: 12 }, (_, n) => uma.open(defineZone(`z ${n}`, { size: 64 })));
  const records = zones.map((zone) => zone.zone << 2);
  expect(records.some((record) => record < heapStart)).toBe(bootPages > 1);
  expect(records.some((record) => record >= heapStart)).toBe(bootPages < 8);
  expect(zones.map((zone) => uma.core.floor.cells.i32[zone.zone + ZONE_ID])).toEqual(zones.map((zone) => zone.id));
  expect(uma.stats().heapInUse > before).toBe(bootPages < 8);
  for (const zone of zones) {
    const item = zone.alloc();
    expect(item).toBeGreaterThanOrEqual(heapStart);
    zone.free(item);
  }
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});
