/**
 * The ways of getting one's memory at start-up that are compared, and how each does its first allocations.
 *
 * Each way first prepares, which is the start-up phase, and then allocates `count` items of 64 bytes that all stay, storing into each.
 * The time between two looks at the clock is the latency of one allocation; the way "clock" shows what the clock itself costs.
 */
import { type ZoneDefinition, Uma, defineZone } from "../../src/index.ts";

export const WAYS = ["clock", "new", "lazy", "prealloc", "reserve", "prefill"] as const;
export type Way = (typeof WAYS)[number];

export const ABOUT: Readonly<Record<Way, string>> = {
  clock: "clock: nothing is allocated",
  new: "new: objects, garbage collected",
  lazy: "lazy: a zone, nothing prepared",
  prealloc: "prealloc: slabs built at start-up",
  reserve: "reserve: set aside, taken by allocReserved",
  prefill: "prefill: prealloc, then 200 at hand each burst",
};

export interface Taken {
  /** What the start-up phase took, milliseconds. */
  readonly preparedMs: number;
  /** Of each allocation, nanoseconds, in their order. */
  readonly latencies: Float64Array;
}

const ITEM_BYTES = 64;
const BURST = 200;
const NS_PER_MS = 1e6;

/** Pages are touched when a slab is born, which is part of the start-up where slabs are born there. */
const Item: ZoneDefinition = defineZone("item", { size: ITEM_BYTES, zinit: true });

/** Four doubles and what the engine adds: as much as an item. */
class Body {
  readonly x: number;
  readonly y = 0.5;
  readonly vx = 0.5;
  readonly vy = 0.5;
  constructor(x: number) {
    this.x = x;
  }
}

/** Prepares, then does the first `count` allocations. */
export function take(way: Way, count: number): Taken {
  // Touched before: the table's pages are no part of this.
  const latencies = new Float64Array(count).fill(1);
  if (way === "clock") return { preparedMs: 0, latencies: timeNothing(latencies) };
  if (way === "new") return { preparedMs: 0, latencies: timeNew(latencies) };
  const uma = Uma.create({ bytes: Math.ceil((count * ITEM_BYTES * 1.25) / 2 ** 20 + 8) * 2 ** 20, workers: 2 });
  const start = performance.now();
  const zone = uma.open(Item);
  if (way === "prealloc" || way === "prefill") zone.prealloc(count);
  if (way === "reserve") zone.reserve(count);
  const preparedMs = performance.now() - start;
  const { f64 } = uma.views;
  const timed =
    way === "reserve"
      ? timeReserved(zone, f64, latencies)
      : way === "prefill"
        ? timeBursts(zone, f64, latencies)
        : timeZone(zone, f64, latencies);
  const { problems } = uma.verify();
  if (problems.length > 0) throw new Error(problems.join("\n"));
  uma.detach();
  return { preparedMs, latencies: timed };
}

interface Source {
  alloc(): number;
  allocReserved(): number;
  prefill(count: number): void;
}

function timeNothing(latencies: Float64Array): Float64Array {
  let last = performance.now();
  for (let n = 0; n < latencies.length; n++) {
    const now = performance.now();
    latencies[n] = (now - last) * NS_PER_MS;
    last = now;
  }
  return latencies;
}

function timeNew(latencies: Float64Array): Float64Array {
  const kept = new Array<Body | null>(latencies.length).fill(null);
  let last = performance.now();
  for (let n = 0; n < latencies.length; n++) {
    kept[n] = new Body(n + 0.5);
    const now = performance.now();
    latencies[n] = (now - last) * NS_PER_MS;
    last = now;
  }
  if (kept.at(-1) === null) throw new Error("nothing was kept");
  return latencies;
}

function timeZone(zone: Source, f64: Float64Array, latencies: Float64Array): Float64Array {
  let last = performance.now();
  for (let n = 0; n < latencies.length; n++) {
    f64[zone.alloc() >> 3] = n;
    const now = performance.now();
    latencies[n] = (now - last) * NS_PER_MS;
    last = now;
  }
  return latencies;
}

function timeReserved(zone: Source, f64: Float64Array, latencies: Float64Array): Float64Array {
  let last = performance.now();
  for (let n = 0; n < latencies.length; n++) {
    f64[zone.allocReserved() >> 3] = n;
    const now = performance.now();
    latencies[n] = (now - last) * NS_PER_MS;
    last = now;
  }
  return latencies;
}

/** What is prepared between two bursts, when there is time, is not in the figures. */
function timeBursts(zone: Source, f64: Float64Array, latencies: Float64Array): Float64Array {
  for (let from = 0; from < latencies.length; from += BURST) {
    const to = Math.min(from + BURST, latencies.length);
    zone.prefill(to - from);
    let last = performance.now();
    for (let n = from; n < to; n++) {
      f64[zone.alloc() >> 3] = n;
      const now = performance.now();
      latencies[n] = (now - last) * NS_PER_MS;
      last = now;
    }
  }
  return latencies;
}
