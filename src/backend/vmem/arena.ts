/**
 * Arena: what everybody sees of an arena, wherever its tags lie.
 *
 * An arena is a set of integers, handed out in stretches. The integers stand for whatever the user likes: addresses, ports, ids,
 * rows of an atlas. The arena never touches what they stand for.
 */
import type { Constraints, FitOptions } from "./request.ts";
import type { ArenaStatistics } from "./statistics.ts";
import type { Segment, WalkOptions } from "./walk.ts";

/** Why the last try of this thread got nothing. */
export type ArenaFailure = "NONE" | "NOSPACE" | "LIMIT" | "BUSY" | "TAGS";

/** What an import function is told beside the size. */
export interface ImportRequest {
  readonly arena: string;
  /** The start that the arena needs: ≡ phase (mod align). A function that heeds it saves integers (illumos VMC_XALIGN). */
  readonly align: number;
  readonly phase: number;
  /** Whether it may block. */
  readonly mayWait: boolean;
}

/**
 * Gets a span for an arena: at least `size` integers from a multiple of the quantum on.
 * Runs with no lock held.
 * @returns its start, or start and size if it is larger than asked for; −1 = none.
 */
export type ImportFunction = (size: number, request: ImportRequest) => number | { readonly start: number; readonly size: number };
/** Takes back what an {@link ImportFunction} gave, whole. Runs with no lock held; must not throw. */
export type ReleaseFunction = (start: number, size: number) => void;

/** Where an arena gets spans from when it runs out. */
export interface ImportOptions {
  /** The arena that spans are imported from, and go back to. */
  readonly source?: Arena;
  /** Functions of one's own; `source` then only says whose child the arena is. */
  readonly import?: ImportFunction;
  readonly release?: ReleaseFunction;
  /** `import` heeds the alignment it is told (VMC_XALIGN): no more than the size is asked for. */
  readonly importAligned?: boolean;
  /** Least size of an import. */
  readonly importMin?: number;
}

export interface ArenaOptions extends ImportOptions {
  /** Unit of the arena: a power of two. Sizes are rounded up to it, everything begins at a multiple of it. Default 1. */
  readonly quantum?: number;
  /** The first span. */
  readonly span?: { readonly start: number; readonly size: number };
  /** Integers that the arena may hold in all by importing; 0 = no limit (FreeBSD vmem_set_limit). */
  readonly limit?: number;
  /** Called with no lock held before an allocation fails or waits: may free something. */
  readonly reclaim?: () => void;
  /** The integers are identifiers, no memory: running out is ERR_VMEM_NOID (VMC_IDENTIFIER). */
  readonly identifiers?: boolean;
  /**
   * Sizes up to this, a multiple of the quantum of at most 16 quanta, are served by quantum caches; 0 (default) = there are none.
   * They take integers from the arena in runs of 64 (large quanta) or 256, so a small arena gains nothing from them. Only plain
   * allocations are cached: one with a policy, `end` or constraints goes to the arena itself, and finds what no run has.
   */
  readonly qcacheMax?: number;
}

export interface WaitOptions {
  /** Longest wait, milliseconds. Default: without end. */
  readonly timeout?: number;
}

export interface AsyncOptions extends WaitOptions {
  readonly signal?: AbortSignal;
}

/** What `destroy` found still allocated. */
export interface ArenaLeaks {
  readonly arena: string;
  /** Integers allocated, and in how many segments. */
  readonly size: number;
  readonly count: number;
  /** The first of them. */
  readonly segments: readonly Segment[];
}

export type SizeKind = "alloc" | "free" | "total" | "largest";

export interface Arena {
  readonly name: string;
  readonly quantum: number;
  /** Whether the integers are identifiers. */
  readonly identifiers: boolean;
  /** The arena that spans are imported from; null = none. */
  readonly source: Arena | null;
  /** Largest size that quantum caches serve; 0 = there are none. */
  readonly qcacheMax: number;
  /** Why the last try of this thread got nothing. */
  readonly lastFailure: ArenaFailure;

  /**
   * Takes `size` integers in a row; rounded up to the quantum.
   * @returns the first of them.
   * @throws UmaError ERR_VMEM_NOSPACE (ERR_VMEM_NOID for identifiers), ERR_VMEM_BUSY, ERR_VMEM_OPTION, ERR_VMEM_CONSTRAINT.
   * @source illumos vmem.c vmem_alloc; FreeBSD subr_vmem.c vmem_alloc
   */
  alloc(size: number, options?: FitOptions): number;
  /** As `alloc`, never blocking anywhere below; −1 when there is none (see lastFailure). */
  tryAlloc(size: number, options?: FitOptions): number;
  /**
   * As `alloc`, waiting for a free if there is none. Only in a thread that may block, and that is not the only one.
   * @throws UmaError also ERR_UMA_WAIT_HERE, ERR_UMA_TIMEOUT; at once what no free could help: larger than every span.
   */
  allocWait(size: number, options?: FitOptions & WaitOptions): number;
  /** As `allocWait`, without blocking the thread. Rejects with ERR_UMA_ABORTED when the signal does. */
  allocAsync(size: number, options?: FitOptions & AsyncOptions): Promise<number>;
  /**
   * Gives back what one of the allocs gave.
   * @throws UmaCorruptionError ERR_VMEM_UNKNOWN, ERR_VMEM_SIZE, ERR_VMEM_KIND; UmaError ERR_VMEM_BUSY. Nothing has changed then.
   */
  free(start: number, size: number): void;
  /**
   * Takes integers under constraints; never from a quantum cache.
   * @source illumos vmem.c vmem_xalloc
   */
  xalloc(size: number, constraints?: Constraints): number;
  tryXalloc(size: number, constraints?: Constraints): number;
  xallocWait(size: number, constraints?: Constraints & WaitOptions): number;
  xallocAsync(size: number, constraints?: Constraints & AsyncOptions): Promise<number>;
  /** Gives back what one of the xallocs gave. */
  xfree(start: number, size: number): void;

  /**
   * Adds a span: [start, start + size), multiples of the quantum, overlapping none there is.
   * @throws UmaError ERR_VMEM_SPAN, ERR_VMEM_BUSY.
   */
  add(start: number, size: number): void;
  /**
   * Says where to import from; only while the arena has no spans.
   * @throws UmaError ERR_VMEM_CIRCLE when the source imports from this arena in the end; ERR_VMEM_OPTION.
   */
  setImport(options: ImportOptions): void;
  setLimit(limit: number): void;
  setReclaim(reclaim: (() => void) | null): void;

  /** Whether all of [start, start + size) lies in one span, allocated or not. Linear in the spans. */
  contains(start: number, size: number): boolean;
  /** Integers allocated, free, in all; the largest free segment (a lower bound when its list is long). O(1), without a lock. */
  size(what: SizeKind): number;
  /** The segment or free stretch that `at` lies in; null = no span has it. Walks, without a lock. */
  whatis(at: number): Segment | null;
  /**
   * Shows the segments to `visit`, in ascending order.
   *
   * By default as a re-entrant walk: nothing is held while `visit` runs, which may use the arena; each segment shown stood so at
   * some instant, and nothing is shown twice. With `snapshot: true` all segments are copied under the arena's lock first, so that
   * they fit together (some 20 ns a segment, in which nobody can allocate), and shown after that.
   */
  walk(visit: (segment: Segment) => boolean | void, options?: WalkOptions): void;
  /** illumos's fourteen kstats of an arena; without a lock. */
  stats(): ArenaStatistics;
  /** The arena as text, a line at a time: counters, then segments. */
  dump(): Generator<string, void, void>;
  /** Checks every invariant while nobody is at work. @returns what is wrong, in words. */
  verify(): string[];
  /** Gives back what the quantum caches hold, and imported spans that are wholly free. */
  reap(): void;
  isDestroyed(): boolean;
  /**
   * Ends the arena: imported spans go back.
   * @throws UmaError ERR_VMEM_LEAK when something is allocated, unless forced; ERR_VMEM_CHILDREN when arenas import from it.
   */
  destroy(options?: { readonly force?: boolean }): ArenaLeaks;
}
