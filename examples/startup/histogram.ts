/** Latencies, counted in classes whose bounds are a fifth of a power of ten apart, and the figures that are told of them. */

export interface Bar {
  /** Bounds, nanoseconds. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

export interface Summary {
  readonly count: number;
  readonly bars: readonly Bar[];
  /** Nanoseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p9999: number;
  readonly max: number;
  readonly sumMs: number;
}

const CLASSES_PER_DECADE = 5;
/** 10 ns, below which no clock sees, to 1 s. */
const FIRST = 1 * CLASSES_PER_DECADE;
const LAST = 9 * CLASSES_PER_DECADE - 1;

/** @param latencies - nanoseconds; at least one. */
export function summarise(latencies: Float64Array): Summary {
  const counts = new Map<number, number>();
  let sum = 0;
  for (const ns of latencies) {
    const place = Math.min(LAST, Math.max(FIRST, Math.floor(Math.log10(Math.max(ns, 1)) * CLASSES_PER_DECADE)));
    counts.set(place, (counts.get(place) ?? 0) + 1);
    sum += ns;
  }
  const sorted = latencies.slice().sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
  return {
    count: latencies.length,
    bars: [...counts]
      .sort(([a], [b]) => a - b)
      .map(([place, count]) => ({ from: 10 ** (place / CLASSES_PER_DECADE), to: 10 ** ((place + 1) / CLASSES_PER_DECADE), count })),
    p50: at(0.5),
    p99: at(0.99),
    p9999: at(0.9999),
    max: sorted.at(-1) as number,
    sumMs: sum / 1e6,
  };
}

/** A duration with a unit that fits. */
export function duration(ns: number): string {
  for (const [unit, size] of [
    ["s", 1e9],
    ["ms", 1e6],
    ["µs", 1e3],
  ] as const) {
    if (ns >= size) return `${Number((ns / size).toPrecision(ns / size >= 100 ? 3 : 2))} ${unit}`;
  }
  return `${Math.round(ns)} ns`;
}
