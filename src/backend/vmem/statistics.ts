/** What an arena counts, as illumos's kstats of the module vmem. Read without a lock: each number by itself is right. */
import {
  ARENA_ALLOCS,
  ARENA_CONTAINS,
  ARENA_CONTAINS_SEARCHES,
  ARENA_FAILS,
  ARENA_FREES,
  ARENA_IMPORTED,
  ARENA_IN_USE,
  ARENA_LOOKUPS,
  ARENA_POPULATE_FAILS,
  ARENA_POPULATE_WAITS,
  ARENA_SEARCHES,
  ARENA_TOTAL,
  ARENA_WAITS,
} from "../memory/layout.ts";

/** @source illumos sys/vmem_impl.h vmem_kstat_t */
export interface ArenaStatistics {
  /** Integers allocated, imported, in all spans. Rounding to the quantum counts as allocated, unlike illumos. */
  readonly mem_inuse: number;
  readonly mem_import: number;
  readonly mem_total: number;
  /** The arena that spans are imported from; null = none. */
  readonly vmem_source: string | null;
  /** Allocations and frees of segments. */
  readonly alloc: number;
  readonly free: number;
  /** Allocations that waited, and that got nothing. */
  readonly wait: number;
  readonly fail: number;
  /** Steps in hash chains, and in free lists or along the segments. */
  readonly lookup: number;
  readonly search: number;
  /** Times the arena had to get more tags or a larger hash, and could not. */
  readonly populate_wait: number;
  readonly populate_fail: number;
  /** Calls of contains, and spans they looked at. */
  readonly contains: number;
  readonly contains_search: number;
}

/** Reads the counters of the arena at word `a`. */
export function readStatistics(f64: Float64Array, a: number, source: string | null): ArenaStatistics {
  const at = (w: number): number => f64[(a + w) >> 1];
  return {
    mem_inuse: at(ARENA_IN_USE),
    mem_import: at(ARENA_IMPORTED),
    mem_total: at(ARENA_TOTAL),
    vmem_source: source,
    alloc: at(ARENA_ALLOCS),
    free: at(ARENA_FREES),
    wait: at(ARENA_WAITS),
    fail: at(ARENA_FAILS),
    lookup: at(ARENA_LOOKUPS),
    search: at(ARENA_SEARCHES),
    populate_wait: at(ARENA_POPULATE_WAITS),
    populate_fail: at(ARENA_POPULATE_FAILS),
    contains: at(ARENA_CONTAINS),
    contains_search: at(ARENA_CONTAINS_SEARCHES),
  };
}
