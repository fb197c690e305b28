import { afterEach, expect, test } from "vitest";
import { type Uma, type Zone, type ZoneOptions, defineCache, defineSecondary, defineZone, f64, struct } from "../../../src/index.ts";
import { expectSound, makeUma, secondWorker } from "../../fixtures/zones.ts";

const coded = (code: string): unknown => expect.objectContaining({ code });

let uma: Uma;
afterEach(() => {
  expectSound(uma);
  uma.detach();
});

function setUp(options: Partial<ZoneOptions> = {}): Zone {
  uma = makeUma();
  return uma.open(defineZone("set", { size: 64, ...options }));
}

test("init, fini, zoneInit and zoneFini can be set before the first allocation, and run where the definition's would", () => {
  const zone = setUp();
  const log: string[] = [];
  zone.setInit(() => void log.push("init"));
  zone.setFini(() => void log.push("fini"));
  zone.setZoneInit(() => void log.push("zoneInit"));
  zone.setZoneFini(() => void log.push("zoneFini"));
  zone.free(zone.alloc());
  zone.reclaim("drain");
  const times = (what: string): number => log.filter((entry) => entry === what).length;
  expect(times("fini")).toBe(times("init"));
  expect(times("zoneFini")).toBe(times("zoneInit"));
  expect(log[0]).toBe("init");
  expect(log.at(-1)).toBe("fini");
});

test("after the first allocation it is too late, and nothing changes", () => {
  const zone = setUp();
  const item = zone.alloc();
  const late = (): never => {
    throw new Error("ran");
  };
  for (const call of [
    () => zone.setInit(late),
    () => zone.setFini(late),
    () => zone.setZoneInit(late),
    () => zone.setZoneFini(late),
    () => zone.setSmr(),
  ])
    expect(call).toThrow(coded("ERR_UMA_TOO_LATE"));
  zone.free(item);
  zone.reclaim("drain");
  zone.free(zone.alloc());
});

test("another thread opens the zone as it was defined, sets its own, and is told so if it has not", async () => {
  const zone = setUp();
  let there = 0;
  zone.setInit(() => undefined);
  zone.setZoneInit(() => undefined);
  zone.free(zone.alloc());
  const other = await secondWorker(uma);
  const second = other.open(defineZone("set", { size: 64 }));
  zone.reclaim("drain");
  expect(() => second.alloc()).toThrow(coded("ERR_UMA_HOOK"));
  second.setZoneInit(() => void there++);
  expect(() => second.alloc()).toThrow(coded("ERR_UMA_HOOK"));
  second.setInit(() => undefined);
  second.free(second.alloc());
  expect(there).toBeGreaterThan(0);
  other.detach();
});

test("what is no function, or not this zone's to set, is refused", () => {
  const zone = setUp({ secondaries: true });
  const second = uma.open(defineSecondary("second", zone.definition));
  const cache = uma.open(defineCache("cache", { import: () => 0, release: () => undefined }));
  const typed = uma.open(defineZone("typed", { type: struct({ x: f64 }) }));
  const init = (): void => undefined;
  for (const call of [
    () => zone.setInit(null as never),
    () => zone.setZoneFini(3 as never),
    () => second.setInit(init),
    () => second.setFini(init),
    () => cache.setInit(init),
    () => cache.setSmr(),
    () => typed.setInit(init),
    () => typed.setSmr(),
  ])
    expect(call).toThrow(coded("ERR_UMA_OPTION"));
  cache.setZoneInit(init);
  second.setZoneInit(init);
});

test("a zone that became an SMR zone takes allocSmr and freeSmr only", () => {
  const zone = setUp();
  zone.setSmr();
  expect(() => zone.alloc()).toThrow(coded("ERR_UMA_SMR"));
  expect(() => zone.free(1)).toThrow(coded("ERR_UMA_SMR"));
  const item = zone.allocSmr();
  expect(item).not.toBe(0);
  uma.smr.enter();
  zone.freeSmr(item);
  expect(zone.allocSmr()).not.toBe(item);
  uma.smr.exit();
  zone.reclaim("drain");
});
