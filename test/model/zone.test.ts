/**
 * A zone against a plain model of itself: a set of items that are out, and one that says how many there may be.
 * Random sequences of operations, shrunk by fast-check when they disagree; each ends in verify().
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defineZone, type Uma, type Zone, type ZoneDefinition, type ZoneOptions } from "../../src/index.ts";
import { KEG_ITEMS } from "../../src/backend/memory/layout.ts";
import { errorOf } from "../fixtures/codes.ts";
import { seedFor } from "../fixtures/seeds.ts";
import { makeUma } from "../fixtures/zones.ts";

/** What must be true of the zone, as little as can be said. */
interface Model {
  /** Items that are out, and what was written into them. */
  readonly out: Map<number, number>;
  /** Items that were out and are free, and have not been handed out since. */
  readonly freed: Set<number>;
  limit: number;
  requests: number;
  stamps: number;
}

interface Real {
  readonly uma: Uma;
  readonly definition: ZoneDefinition;
  zone: Zone;
  /** Operations done, over all runs. */
  readonly tally: { operations: number };
}

type Step = fc.Command<Model, Real>;

function agree(m: Model, { uma, zone }: Real): void {
  const { used, free, requests } = zone.stats();
  expect(used).toBe(m.out.size);
  expect(requests).toBe(m.requests);
  expect(used + free).toBe(uma.core.floor.cells.i32[zone.keg + KEG_ITEMS]);
}

function stamp(m: Model, { uma, zone }: Real, item: number): void {
  const { u8, i32 } = uma.views;
  u8.fill(++m.stamps & 255, item, item + zone.size);
  i32[item >> 2] = m.stamps;
  m.out.set(item, m.stamps);
}

function checkStamp(m: Model, { uma, zone }: Real, item: number): void {
  const stamped = m.out.get(item) as number;
  expect(uma.views.i32[item >> 2]).toBe(stamped);
  expect(uma.views.u8[item + zone.size - 1]).toBe(stamped & 255);
}

/** An item of the model by number, however many there are. */
function nth(items: Iterable<number>, n: number): number {
  const all = Array.from(items);
  return all[n % all.length] as number;
}

/** A step by its name, when it may run, and what it does. */
function step(name: string, may: (m: Readonly<Model>) => boolean, run: (m: Model, r: Real) => void): Step {
  return { check: may, run, toString: () => name };
}

const always = (): boolean => true;
const someOut = (m: Readonly<Model>): boolean => m.out.size > 0;

function allocated(r: Real, must: boolean): number {
  if (!must) return r.zone.tryAlloc();
  try {
    return r.zone.alloc();
  } catch (error) {
    expect((error as { code: string }).code).toMatch(/^ERR_UMA_(EMPTY|LIMIT)$/);
    return 0;
  }
}

function alloc(count: number, must: boolean): Step {
  return step(`${must ? "alloc" : "tryAlloc"}, ${count} times`, always, (m, r) => {
    for (let n = 0; n < count; n++) {
      r.tally.operations++;
      const item = allocated(r, must);
      if (item === 0) {
        expect(r.uma.lastFailure).toMatch(m.limit > 0 ? /EMPTY|LIMIT/ : /EMPTY/);
        if (r.uma.lastFailure === "LIMIT") expect(m.out.size).toBe(m.limit);
        break;
      }
      expect(m.out.has(item)).toBe(false);
      m.requests++;
      m.freed.delete(item);
      stamp(m, r, item);
      if (m.limit > 0) expect(m.out.size).toBeLessThanOrEqual(m.limit);
    }
    agree(m, r);
  });
}

function free(at: number, count: number): Step {
  return step(`free, ${count} from ${at}`, someOut, (m, r) => {
    for (let n = 0; n < count && m.out.size > 0; n++) {
      r.tally.operations++;
      const item = nth(m.out.keys(), at + n * 7);
      checkStamp(m, r, item);
      r.zone.free(item);
      m.out.delete(item);
      m.freed.add(item);
    }
    agree(m, r);
  });
}

function doubleFree(at: number): Step {
  return step(
    `free again, ${at}`,
    (m) => m.freed.size > 0,
    (m, r) => {
      r.tally.operations++;
      const item = nth(m.freed, at);
      // Its slab may have been given back meanwhile: then it is no item any more.
      const { code, zone, value } = errorOf(() => r.zone.free(item));
      expect(code).toMatch(/^ERR_UMA_(DOUBLE_FREE|ADDRESS)$/);
      expect([zone, value]).toEqual([r.zone.name, item]);
      agree(m, r);
    },
  );
}

function wrongFree(at: number, off: number): Step {
  return step(`free of item ${at} + ${off}`, someOut, (m, r) => {
    r.tally.operations++;
    const item = nth(m.out.keys(), at);
    expect(errorOf(() => r.zone.free(item + off)).code).toBe("ERR_UMA_ADDRESS");
    checkStamp(m, r, item);
    agree(m, r);
  });
}

function prealloc(count: number): Step {
  return step(`prealloc of ${count}`, always, (m, r) => {
    r.tally.operations++;
    try {
      r.zone.prealloc(count);
      expect(r.zone.stats().freeInSlabs).toBeGreaterThanOrEqual(count);
    } catch (error) {
      expect(error).toMatchObject({ code: "ERR_UMA_EMPTY" });
    }
    agree(m, r);
  });
}

const reclaim = step("reclaim", always, (m, r) => {
  r.tally.operations++;
  r.zone.reclaim();
  const { freeInCaches, freeInDepot, slabs } = r.zone.stats();
  expect([freeInCaches, freeInDepot]).toEqual([0, 0]);
  if (m.out.size === 0) expect(slabs).toBe(0);
  for (const item of m.out.keys()) checkStamp(m, r, item);
  agree(m, r);
});

const reopen = step("reopen", always, (m, r) => {
  r.tally.operations++;
  const old = r.zone;
  old.close();
  expect(errorOf(() => old.tryAlloc()).code).toBe("ERR_UMA_ZONE_CLOSED");
  r.zone = r.uma.open(r.definition);
  agree(m, r);
});

function setMax(limit: number): Step {
  return step(
    `setMax to ${limit}`,
    (m) => limit === 0 || limit >= m.out.size,
    (m, r) => {
      r.tally.operations++;
      // What is cached counts: below the new limit with it, else the zone would be over it for a while.
      r.zone.reclaim();
      r.zone.setMax(limit);
      m.limit = limit;
      expect(r.zone.getMax()).toBe(limit);
      agree(m, r);
    },
  );
}

const steps = [
  fc.tuple(fc.integer({ min: 1, max: 40 }), fc.boolean()).map(([count, must]) => alloc(count, must)),
  fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 40 })).map(([at, count]) => free(at, count)),
  fc.nat(1000).map(doubleFree),
  fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 15 })).map(([at, off]) => wrongFree(at, off)),
  fc.nat(200).map(prealloc),
  fc.constant(reclaim),
  fc.constant(reopen),
  fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 200 })).map(setMax),
];

const KINDS: [string, ZoneOptions][] = [
  ["plain", { size: 72 }],
  ["hooked", { size: 40, ctor: () => true, dtor: () => undefined, init: () => true, fini: () => undefined }],
  ["of small buckets", { size: 200, bucket: 3 }],
  ["without buckets", { size: 500, bucket: 0 }],
  ["of large items", { size: 5000 }],
];

/** Over all kinds. */
const LEAST_OPERATIONS = 20_000;

describe("a zone behaves as a plain set of items does", () => {
  const tally = { operations: 0 };

  test.each(KINDS)("when it is %s", (kind, options) => {
    const seed = seedFor(`model of a zone, ${kind}`);
    const definition = defineZone("modelled", options);
    fc.assert(
      fc.property(fc.commands(steps, { maxCommands: 60, size: "max" }), (sequence) => {
        const uma = makeUma({ bytes: 1 << 20 });
        const real: Real = { uma, definition, zone: uma.open(definition), tally };
        const model: Model = { out: new Map(), freed: new Set(), limit: 0, requests: 0, stamps: 0 };
        try {
          fc.modelRun(() => ({ model, real }), sequence);
          expect(uma.verify().problems).toEqual([]);
          for (const item of model.out.keys()) {
            checkStamp(model, real, item);
            real.zone.free(item);
          }
          expect(real.zone.stats().used).toBe(0);
          real.zone.reclaim();
          expect(real.zone.stats().slabs).toBe(0);
          expect(uma.verify().problems).toEqual([]);
        } finally {
          uma.detach();
        }
      }),
      { seed, numRuns: 60 },
    );
  });

  test(`over at least ${LEAST_OPERATIONS} operations`, () => {
    console.log(`model of a zone: ${tally.operations} operations`);
    expect(tally.operations).toBeGreaterThanOrEqual(LEAST_OPERATIONS);
  });
});
