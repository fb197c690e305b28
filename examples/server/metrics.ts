/**
 * Metrics as OpenMetrics 1.0 text: families with their type, unit and help, counters by the suffix _total, `# EOF` at the end.
 */
import type { MemoryStatistics } from "../../src/index.ts";

export type Labels = Readonly<Record<string, string>>;

/** A family and its samples. */
export interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** The last part of the name, if it has one: seconds, bytes. */
  readonly unit?: "seconds" | "bytes";
  readonly help: string;
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly labels?: Labels;
  /** Behind the family's name: _bucket, _count, _sum; counters have _total by themselves. */
  readonly suffix?: string;
  readonly value: number;
}

export const OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";

export function* openMetrics(metrics: Iterable<Metric>): Generator<string, void, void> {
  for (const { name, type, unit, help, samples } of metrics) {
    yield `# TYPE ${name} ${type}\n`;
    if (unit !== undefined) yield `# UNIT ${name} ${unit}\n`;
    yield `# HELP ${name} ${escaped(help)}\n`;
    for (const { labels = {}, suffix = type === "counter" ? "_total" : "", value } of samples) {
      const inner = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
      yield `${name}${suffix}${inner.length === 0 ? "" : `{${inner.join(",")}}`} ${number(value)}\n`;
    }
  }
  yield "# EOF\n";
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function number(value: number): string {
  return value === Number.POSITIVE_INFINITY ? "+Inf" : value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

/** How long something took, in buckets. */
export interface Histogram {
  observe(seconds: number): void;
  samples(labels?: Labels): Sample[];
}

const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export function createHistogram(): Histogram {
  const counts = BOUNDS.map(() => 0);
  let count = 0;
  let sum = 0;
  return {
    observe(seconds) {
      count++;
      sum += seconds;
      for (let n = BOUNDS.length - 1; n >= 0 && seconds <= (BOUNDS[n] as number); n--) counts[n]++;
    },
    samples: (labels = {}) => [
      ...BOUNDS.map((bound, n) => ({ suffix: "_bucket", labels: { ...labels, le: String(bound) }, value: counts[n] as number })),
      { suffix: "_bucket", labels: { ...labels, le: "+Inf" }, value: count },
      { suffix: "_count", labels, value: count },
      { suffix: "_sum", labels, value: sum },
    ],
  };
}

/** The zones of a memory. */
export function memoryMetrics({ zones, bytes, heapInUse, heapPeak, workers }: MemoryStatistics): Metric[] {
  const each = (value: (zone: MemoryStatistics["zones"][number]) => number): Sample[] =>
    zones.map((zone) => ({ labels: { zone: zone.name }, value: value(zone) }));
  return [
    gauge("zalloc_memory_bytes", "Length of the memory.", [{ value: bytes }], "bytes"),
    gauge("zalloc_heap_bytes", "Bytes of the memory's heap in use.", [{ value: heapInUse }], "bytes"),
    gauge("zalloc_heap_peak_bytes", "Most bytes of the heap ever in use.", [{ value: heapPeak }], "bytes"),
    gauge("zalloc_workers", "Worker slots that are taken.", [{ value: workers }]),
    gauge(
      "zalloc_zone_used",
      "Items outstanding.",
      each((zone) => zone.used),
    ),
    gauge(
      "zalloc_zone_free",
      "Items in caches and slabs.",
      each((zone) => zone.free),
    ),
    gauge(
      "zalloc_zone_limit",
      "Items that may be out at a time; 0: no limit.",
      each((zone) => zone.limit),
    ),
    gauge(
      "zalloc_zone_sleepers",
      "Workers that wait for an item.",
      each((zone) => zone.sleepers),
    ),
    gauge(
      "zalloc_zone_size_bytes",
      "Bytes of the zone's slabs.",
      each((zone) => zone.bytes),
      "bytes",
    ),
    counter(
      "zalloc_zone_requests",
      "Items allocated.",
      each((zone) => zone.requests),
    ),
    counter(
      "zalloc_zone_failures",
      "Allocations that failed.",
      each((zone) => zone.fail),
    ),
    counter(
      "zalloc_zone_sleeps",
      "Allocations that had to wait.",
      each((zone) => zone.sleep),
    ),
    counter(
      "zalloc_zone_remote_frees",
      "Frees of another worker's items.",
      each((zone) => zone.xdomain),
    ),
  ];
}

export function gauge(name: string, help: string, samples: readonly Sample[], unit?: "seconds" | "bytes"): Metric {
  return { name, type: "gauge", help, samples, ...(unit === undefined ? {} : { unit }) };
}

export function counter(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, type: "counter", help, samples };
}
