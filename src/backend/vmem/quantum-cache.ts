/**
 * The seam between an arena and what caches its small sizes: quantum caches.
 *
 * Declared here, below those who implement it: zones stand on arenas, and zones serve the quantum caches of shared arenas
 * (uma/quantum-caches.ts); a small cache of one thread serves local arenas (local-cache.ts). The whole is composed above both.
 *
 * A policy that is asked for is not silently ignored: an allocation with options goes to the arena itself, and only plain ones
 * are served by the cache. `free` finds out by itself whose the integers are.
 */
export interface QuantumCache {
  /** @returns the first of `size` integers, −1 when the cache has none and can get none (or does not serve that size). */
  alloc(size: number, mayWait: boolean): number;
  /**
   * Takes back what `alloc` gave.
   * @returns false when these integers are not from this cache.
   * @throws UmaCorruptionError when they are, but not allocated, or of another size.
   */
  free(start: number, size: number): boolean;
  /** Whether other threads have caches of the same arena. */
  readonly isShared: boolean;
  /** Gives what is unused back to the arena, as far as it comes in whole runs. @returns whether any has gone back. */
  drain(): boolean;
  /** Integers out of the cache: allocated from it and not freed yet. */
  outstanding(): number;
  /** Integers of the arena that the cache holds in all, whether they are out of it or not. */
  held(): number;
  /** The arena ends, or this thread lets it go. */
  close(): void;
}

/** What a cache draws on. */
export interface CacheGround {
  readonly name: string;
  readonly quantum: number;
  readonly qcacheMax: number;
  /** Takes a run of `size` integers, a multiple of `align`; −1 = none. */
  takeRun(size: number, align: number, mayWait: boolean): number;
  giveRun(start: number, size: number): void;
}

/** Sizes that caches serve at the most. */
export const QCACHE_SIZES = 16;
