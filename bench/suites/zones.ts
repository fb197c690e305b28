/** Zones: what buckets, bulk and init are worth, and what a spike leaves behind. */
import { Uma, type Zone, type ZoneOptions, defineZone } from "../../src/index.ts";
import { lastFirst } from "../programs/loops.ts";
import { permutation } from "../programs/orders.ts";
import { ITEM_BYTES, roomyMemory } from "../programs/peers.ts";
import type { BatchProgram, Case, SliceProgram, Suite } from "../harness/suite.ts";
import { throughRing, zoneSource } from "./workers.ts";

const LIVE = 64;
const BULK = 32;
const TABLE_WORDS = 64;
const SPIKE_ITEMS = 1_000_000;
const COHORTS = 10;
const SIZES: readonly number[] = [48, 64, 96, 160, 320, 640];

function zone(options: Partial<ZoneOptions> = {}): Zone {
  return roomyMemory(4096).open(defineZone("item", { size: ITEM_BYTES, ...options }));
}

/** Lists of neighbours, as a slab gives them out; or, `scattered`, of items in no order. */
function bulk(scattered: boolean): BatchProgram {
  const z = zone();
  const items = new Int32Array(BULK);
  if (scattered) {
    z.allocBulk(items);
    for (const n of permutation(BULK, 1)) z.free(items[n] as number);
  }
  return {
    batch() {
      z.allocBulk(items);
      z.freeBulk(items);
      return BULK;
    },
  };
}

/** An item with a table of 64 words: filled when the slab is born, or at each allocation. */
function tables(once: boolean): BatchProgram {
  const uma = roomyMemory(4096);
  const build = (item: number): void => {
    const { i32 } = uma.views;
    for (let n = 0; n < TABLE_WORDS; n++) i32[(item >> 2) + n] = n * n;
  };
  const z = uma.open(defineZone("table", { size: TABLE_WORDS * 4, ...(once ? { init: build } : { ctor: build }) }));
  return { batch: lastFirst(z, new Int32Array(LIVE), LIVE) };
}

/** Cohorts of items of mixed sizes are born; nine of ten cohorts die, or nine of ten items at random; then a reclaim. */
function spike(random: boolean): SliceProgram {
  let wasted = 0;
  return {
    slice() {
      const start = performance.now();
      const uma = Uma.create({ bytes: 512 * 2 ** 20 });
      const zones = SIZES.map((size) => uma.open(defineZone(`spike ${size}`, { size })));
      const each = Math.floor(SPIKE_ITEMS / COHORTS);
      let seed = 1;
      const born: { z: Zone; item: number; cohort: number }[] = [];
      for (let n = 0; n < SPIKE_ITEMS; n++) {
        seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
        const z = zones[(seed >>> 16) % SIZES.length] as Zone;
        born.push({ z, item: z.alloc(), cohort: Math.floor(n / each) });
      }
      born.forEach(({ z, item, cohort }, n) => {
        const survives = random ? Math.imul(n, 0x9e3779b1) >>> 0 < 2 ** 32 / COHORTS : cohort === 4;
        if (!survives) z.free(item);
      });
      uma.reclaim("drain");
      let used = 0;
      let held = 0;
      for (const z of zones) {
        const { used: items, size, bytes, headerBytes } = z.stats();
        used += items * size;
        held += bytes + headerBytes;
      }
      wasted = 100 * (1 - used / held);
      uma.detach();
      return { ops: SPIKE_ITEMS, ns: (performance.now() - start) * 1e6 };
    },
    figures: () => ({ "wasted percent": wasted }),
  };
}

const once = { maxSlices: 1, maxProcesses: 1, warmUp: false };

const cases: readonly Case[] = [
  { name: "buckets", variant: "64 lifo", program: () => ({ batch: lastFirst(zone(), new Int32Array(LIVE), LIVE) }) },
  { name: "no buckets", variant: "64 lifo", program: () => ({ batch: lastFirst(zone({ bucket: 0 }), new Int32Array(LIVE), LIVE) }) },
  { name: "single", variant: "32", program: () => ({ batch: lastFirst(zone(), new Int32Array(BULK), BULK) }) },
  { name: "bulk", variant: "32", program: () => bulk(false) },
  { name: "bulk, scattered", variant: "32", program: () => bulk(true) },
  { name: "init once", variant: "table", program: () => tables(true) },
  { name: "build each time", variant: "table", program: () => tables(false) },
  { name: "producer, consumer", variant: "ring", sliceMs: 100, maxProcesses: 1, program: throughRing(zoneSource) },
  { name: "producer, consumer", variant: "a million a second", sliceMs: 400, maxProcesses: 1, program: throughRing(zoneSource, 1e6) },
  { name: "spike", variant: "cohorts", ...once, program: () => spike(false) },
  { name: "spike", variant: "random survivors", ...once, program: () => spike(true) },
];

export const suite: Suite = {
  name: "zones",
  about:
    "What the layers are worth: an alloc and its free per operation. Ring: one allocates, the other frees. After a spike: bytes that serve no item, of all that the zones hold.",
  cases,
  rows: [
    {
      label: "no buckets ÷ buckets",
      over: [{ numerator: ["no buckets", "64 lifo"], denominator: ["buckets", "64 lifo"] }],
      limit: 10,
      aim: 20,
      direction: "at least",
    },
    {
      label: "bulk of 32 ÷ 32 singles",
      over: [{ numerator: ["bulk", "32"], denominator: ["single", "32"] }],
      limit: 0.6,
      aim: 0.4,
      direction: "at most",
    },
    {
      label: "bulk of 32, scattered ÷ 32 singles",
      over: [{ numerator: ["bulk, scattered", "32"], denominator: ["single", "32"] }],
      limit: 1.2,
      aim: 1,
      direction: "at most",
    },
    {
      label: "build each time ÷ init once",
      over: [{ numerator: ["build each time", "table"], denominator: ["init once", "table"] }],
      limit: 1.3,
      aim: 5,
      direction: "at least",
    },
    {
      label: "depot exchanges for 64 items passed on",
      figure: { of: ["producer, consumer", "ring"], key: "exchanges per 64" },
      limit: 1,
      aim: 0.6,
      direction: "at most",
    },
    {
      label: "contentions for the depot a second, at a million items a second",
      figure: { of: ["producer, consumer", "a million a second"], key: "contentions a second" },
      limit: 1,
      aim: 0.1,
      direction: "at most",
    },
    {
      label: "contentions for the depot a second, flat out",
      figure: { of: ["producer, consumer", "ring"], key: "contentions a second" },
      limit: 1,
      aim: 0.1,
      direction: "at most",
    },
    {
      label: "wasted after a spike, percent",
      figure: { of: ["spike", "cohorts"], key: "wasted percent" },
      limit: 14,
      aim: 10,
      direction: "at most",
    },
    {
      label: "wasted, random survivors, percent",
      figure: { of: ["spike", "random survivors"], key: "wasted percent" },
      limit: 100,
      aim: 90,
      direction: "at most",
    },
  ],
};
