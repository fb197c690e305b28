/** What the garbage collector of one thread does. */
import { PerformanceObserver } from "node:perf_hooks";

export interface Collections {
  readonly count: number;
  /** Together, and the longest: milliseconds. */
  readonly ms: number;
  readonly longestMs: number;
}

export const NO_COLLECTIONS: Collections = { count: 0, ms: 0, longestMs: 0 };

/** Reports of collections arrive through the event loop, a little later: milliseconds. */
const REPORTS_MS = 100;

export class CollectionCounter {
  private readonly seen: { readonly at: number; readonly ms: number }[] = [];
  private readonly observer: PerformanceObserver;
  private from = Number.POSITIVE_INFINITY;

  constructor() {
    this.observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) this.seen.push({ at: entry.startTime, ms: entry.duration });
    });
    this.observer.observe({ entryTypes: ["gc"] });
  }

  /** Collections reported so far, whether they count or not. */
  get count(): number {
    return this.seen.length;
  }

  /** Counts from now on: from an empty heap, where the process was started with --expose-gc. */
  begin(): void {
    globalThis.gc?.();
    this.from = performance.now();
  }

  /** @returns what there was between {@link begin} and now. */
  async end(): Promise<Collections> {
    const until = performance.now();
    await new Promise((resolve) => setTimeout(resolve, REPORTS_MS));
    this.observer.disconnect();
    return this.seen
      .filter(({ at }) => at >= this.from && at <= until)
      .reduce((sum, { ms }) => ({ count: sum.count + 1, ms: sum.ms + ms, longestMs: Math.max(sum.longestMs, ms) }), NO_COLLECTIONS);
  }
}

export function together(all: readonly Collections[]): Collections {
  return all.reduce(
    (sum, one) => ({ count: sum.count + one.count, ms: sum.ms + one.ms, longestMs: Math.max(sum.longestMs, one.longestMs) }),
    NO_COLLECTIONS,
  );
}
