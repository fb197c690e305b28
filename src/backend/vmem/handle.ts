/**
 * The handle: an arena as one thread has it open. The same code for local arenas and for those in the shared memory.
 *
 * What it does stands in files of their own: taking.ts (allocation below the quantum caches, import), giving.ts (free, release),
 * waiting.ts, looking.ts, ending.ts. Here is the face, the small settings, and the state that those share.
 */
import { UmaError, optionError } from "../memory/errors.ts";
import {
  ARENA_IMPORT_MIN,
  ARENA_LIMIT,
  ARENA_TOTAL,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_CACHE,
  TAG_SEGMENT_XBUSY,
  TAG_SPAN,
} from "../memory/layout.ts";
import type { Arena, ArenaFailure, ArenaLeaks, ArenaOptions, AsyncOptions, ImportOptions, SizeKind, WaitOptions } from "./arena.ts";
import { type Backing, PROVIDED, type Porter } from "./backing.ts";
import { busy, checkCount, destroyed, failed, spanError } from "./complaints.ts";
import { dumpArena } from "./dump.ts";
import { destroy } from "./ending.ts";
import { NONE, WANTS_NOTHING, WANTS_TAGS } from "./engine.ts";
import { callWaiters, give, reap } from "./giving.ts";
import { contains, sizeOf, walk, whatis } from "./looking.ts";
import type { QuantumCache } from "./quantum-cache.ts";
import {
  type Constraints,
  type FitOptions,
  MOST_END,
  type Request,
  checkSize,
  emptyRequest,
  fillConstrained,
  fillPlain,
} from "./request.ts";
import { OVERLAPS } from "./spans.ts";
import { type ArenaStatistics, readStatistics } from "./statistics.ts";
import { provide, takeConstrained, takeOrThrow, takePlain, takeRun } from "./taking.ts";
import { verifyArena } from "./verify.ts";
import { waitAsync, waitFor } from "./waiting.ts";
import type { Segment, WalkOptions } from "./walk.ts";

/** What a handle is made of, beside its backing. */
export interface HandleParts {
  readonly name: string;
  readonly quantum: number;
  readonly identifiers: boolean;
  readonly qcacheMax: number;
  readonly options: ArenaOptions;
  /** Makes the porter for where spans are imported from; checks for circles. */
  porterFor(handle: ArenaHandle, options: ImportOptions): Porter | null;
}

export class ArenaHandle implements Arena {
  readonly name: string;
  readonly quantum: number;
  readonly identifiers: boolean;
  readonly qcacheMax: number;
  readonly backing: Backing;
  source: Arena | null;
  lastFailure: ArenaFailure = "NONE";
  cache: QuantumCache | null = null;
  porter: Porter | null = null;
  reclaim: (() => void) | null;
  readonly scratch: Request = emptyRequest();
  /**
   * What the last registered try came to: whether it has asked for a wake-up, the arena's sequence of wake-ups then (or as it stands
   * now), and whether no free could help.
   */
  hasAsked = false;
  seenSeq = 0;
  hopeless = false;
  /** What an ending found to leak that could not be finished: the next call goes on with it. */
  ending: ArenaLeaks | null = null;
  private readonly parts: HandleParts;

  constructor(backing: Backing, parts: HandleParts) {
    this.backing = backing;
    this.parts = parts;
    this.name = parts.name;
    this.quantum = parts.quantum;
    this.identifiers = parts.identifiers;
    this.qcacheMax = parts.qcacheMax;
    this.source = parts.options.source ?? null;
    this.reclaim = parts.options.reclaim ?? null;
  }

  isDestroyed(): boolean {
    return !this.backing.isAlive();
  }

  /** Connects the arena with where it imports from; once, by whoever made the handle. */
  wire(options: ImportOptions): void {
    this.porter = this.parts.porterFor(this, options);
  }

  // ── Allocation ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  alloc(size: number, options?: FitOptions): number {
    if (options === undefined && this.cache !== null) {
      const start = this.cache.alloc(size, true);
      if (start >= 0) return start;
    }
    return takeOrThrow(this, size, options);
  }

  tryAlloc(size: number, options?: FitOptions): number {
    if (options === undefined && this.cache !== null) {
      const start = this.cache.alloc(size, false);
      if (start >= 0) return start;
    }
    return Math.max(takePlain(this, size, options, false), NONE);
  }

  xalloc(size: number, constraints?: Constraints): number {
    const start = takeConstrained(this, size, constraints, true);
    if (start < 0) throw failed(this, size);
    return start;
  }

  tryXalloc(size: number, constraints?: Constraints): number {
    return Math.max(takeConstrained(this, size, constraints, false), NONE);
  }

  allocWait(size: number, options: FitOptions & WaitOptions = {}): number {
    const r = emptyRequest();
    fillPlain(r, size, this.quantum, options, this.name);
    return waitFor(this, r, false, options, size);
  }

  xallocWait(size: number, constraints: Constraints & WaitOptions = {}): number {
    const r = emptyRequest();
    fillConstrained(r, size, this.quantum, constraints, this.name);
    return waitFor(this, r, true, constraints, size);
  }

  allocAsync(size: number, options: FitOptions & AsyncOptions = {}): Promise<number> {
    const r = emptyRequest();
    fillPlain(r, size, this.quantum, options, this.name);
    return waitAsync(this, r, false, options, size);
  }

  xallocAsync(size: number, constraints: Constraints & AsyncOptions = {}): Promise<number> {
    const r = emptyRequest();
    fillConstrained(r, size, this.quantum, constraints, this.name);
    return waitAsync(this, r, true, constraints, size);
  }

  /** As tryAlloc or alloc past the caches, never throwing for want of space: what imports use. */
  obtain(size: number, mayWait: boolean): number {
    return Math.max(takePlain(this, size, undefined, mayWait), NONE);
  }

  free(start: number, size: number): void {
    if (this.cache !== null && this.cache.free(start, size)) return;
    give(this, start, checkSize(size, this.quantum, this.name), TAG_SEGMENT_BUSY);
  }

  xfree(start: number, size: number): void {
    give(this, start, checkSize(size, this.quantum, this.name), TAG_SEGMENT_XBUSY);
  }

  reap(): void {
    reap(this);
  }

  /** What a cache of this thread draws on. */
  takeRun(size: number, align: number, mayWait: boolean): number {
    return takeRun(this, size, align, mayWait);
  }

  giveRun(start: number, size: number): void {
    give(this, start, size, TAG_SEGMENT_CACHE);
  }

  // ── Spans and settings ──────────────────────────────────────────────────────────────────────────────────────────────────

  add(start: number, size: number): void {
    const { quantum, backing } = this;
    const { a } = backing;
    if (!Number.isSafeInteger(start) || start < 0 || start % quantum !== 0)
      throw spanError(this, `start ${String(start)} is no multiple of the quantum ${quantum} from 0 on`, start);
    if (!Number.isSafeInteger(size) || size <= 0 || size % quantum !== 0)
      throw spanError(this, `size ${String(size)} is no multiple of the quantum ${quantum}, or not above 0`, size);
    if (start > MOST_END - size) throw spanError(this, `[${start}, +${size}) goes past 2^53 − 1`, start);
    if (backing.guarded) throw spanError(this, "its one span is the memory itself", start);
    backing.begin(true);
    for (;;) {
      if (!backing.enter(true)) throw busy(this, "add");
      let want: number;
      let wake = false;
      try {
        this.checkAlive();
        const engine = backing.engine();
        want = engine.wants(a, backing.commit);
        if (want !== WANTS_TAGS) {
          want = WANTS_NOTHING;
          const after = engine.spans.placeFor(a, start, size);
          if (after === OVERLAPS) throw spanError(this, `[${start}, +${size}) overlaps a span that it has`, start);
          engine.spans.insert(a, after, start, size, TAG_SPAN);
          wake = callWaiters(this);
          backing.commit();
        }
      } finally {
        backing.leave();
      }
      if (wake) backing.wake();
      if (want === WANTS_NOTHING) return;
      if (provide(this, want, true) !== PROVIDED) {
        this.lastFailure = "TAGS";
        throw failed(this, size);
      }
    }
  }

  setImport(options: ImportOptions): void {
    this.checkAlive();
    if (this.number(ARENA_TOTAL) !== 0) {
      throw new UmaError("ERR_UMA_TOO_LATE", `setImport of arena "${this.name}": it has spans already`, { zone: this.name });
    }
    const min = checkCount("importMin", options.importMin ?? 0, this.name);
    this.porter = this.parts.porterFor(this, options);
    this.source = options.source ?? null;
    this.store(ARENA_IMPORT_MIN, min);
  }

  setLimit(limit: number): void {
    this.checkAlive();
    this.store(ARENA_LIMIT, checkCount("limit", limit, this.name));
  }

  setReclaim(reclaim: (() => void) | null): void {
    if (reclaim !== null && typeof reclaim !== "function") throw optionError("reclaim", reclaim, "a function, or null", this.name);
    this.reclaim = reclaim;
  }

  /** Sets what the options say; once, by whoever made the arena. */
  configure(options: ArenaOptions): void {
    if (options.limit !== undefined) this.setLimit(options.limit);
    if (options.importMin !== undefined) this.store(ARENA_IMPORT_MIN, checkCount("importMin", options.importMin, this.name));
    if (options.span !== undefined) this.add(options.span.start, options.span.size);
  }

  // ── Looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  contains(start: number, size: number): boolean {
    return contains(this, start, size);
  }

  size(what: SizeKind): number {
    return sizeOf(this, what);
  }

  whatis(at: number): Segment | null {
    return whatis(this, at);
  }

  walk(visit: (segment: Segment) => boolean | void, options: WalkOptions = {}): void {
    walk(this, visit, options);
  }

  stats(): ArenaStatistics {
    return readStatistics(this.backing.engine().ground.cells.f64, this.backing.a, this.source === null ? null : this.source.name);
  }

  dump(): Generator<string, void, void> {
    this.checkAlive();
    return dumpArena(this);
  }

  verify(): string[] {
    const problems: string[] = [];
    const engine = this.backing.engine();
    verifyArena(engine.ground, engine.segments, this.backing.a, this.name, (problem) => problems.push(problem));
    return problems;
  }

  destroy(options: { readonly force?: boolean } = {}): ArenaLeaks {
    return destroy(this, options);
  }

  // ── What the parts share ────────────────────────────────────────────────────────────────────────────────────────────────

  checkAlive(): void {
    if (!this.backing.isAlive()) throw destroyed(this);
  }

  number(w: number): number {
    return this.backing.engine().ground.cells.f64[(this.backing.a + w) >> 1];
  }

  /** Counters of failures are no part of a transaction; two workers at once may lose a count. */
  count(w: number): void {
    const { f64 } = this.backing.engine().ground.cells;
    f64[(this.backing.a + w) >> 1]++;
  }

  private store(w: number, value: number): void {
    const { f64 } = this.backing.engine().ground.cells;
    f64[(this.backing.a + w) >> 1] = value;
  }
}
