/**
 * The handle: an arena as one thread has it open. The same code for local arenas and for those in the shared memory.
 *
 * An allocation goes through these steps, and stops at the first that serves it: quantum cache; free segments; what the caches
 * give back; a span from the source; what the reclaim callback frees; then it fails, or waits. No lock is held between the steps
 * and none while a function of the user's runs.
 */
import { UmaCorruptionError, UmaError, optionError } from "../memory/errors.ts";
import {
  ARENA_CONTAINS,
  ARENA_CONTAINS_SEARCHES,
  ARENA_FAILS,
  ARENA_FIRST,
  ARENA_IMPORT_MIN,
  ARENA_LIMIT,
  ARENA_POPULATE_FAILS,
  ARENA_POPULATE_WAITS,
  ARENA_SPAN_FIRST,
  ARENA_TOTAL,
  ARENA_WAITERS,
  ARENA_WAITS,
  ARENA_WAIT_SEQ,
  TAG_KIND,
  TAG_LINK_NEXT,
  TAG_NEXT,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_CACHE,
  TAG_SEGMENT_FREE,
  TAG_SEGMENT_XBUSY,
  TAG_SIZE,
  TAG_SPAN,
  TAG_SPAN_IMPORTED,
  TAG_START,
} from "../memory/layout.ts";
import type { Arena, ArenaFailure, ArenaLeaks, ArenaOptions, AsyncOptions, ImportOptions, SizeKind, WaitOptions } from "./arena.ts";
import { type Backing, PROVIDED, PROVIDE_BUSY, type Porter, type SpanInHand } from "./backing.ts";
import { dumpArena } from "./dump.ts";
import { FREED, FREE_WRONG_KIND, FREE_WRONG_SIZE, NONE, WANTS_NOTHING, WANTS_TAGS, busyKind } from "./engine.ts";
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
  place,
} from "./request.ts";
import { OVERLAPS } from "./spans.ts";
import { type ArenaStatistics, readStatistics } from "./statistics.ts";
import { verifyArena } from "./verify.ts";
import { type Segment, type WalkOptions, createWalker, isShown, stateOfKind } from "./walk.ts";

/** Answer of a try beside NONE: a lock could not be had. */
export const BUSY = -2;
/** Answer of a free beside those of the engine: a lock could not be had. */
const GIVE_BUSY = -1;
/** A waiter looks again at least this often, milliseconds: a killed waker may have swallowed its wake-up. */
const RECHECK_MS = 1000;
/** Segments that a leak report lists. */
const LISTED = 1000;

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
  private readonly parts: HandleParts;
  private porter: Porter | null = null;
  private reclaim: (() => void) | null;
  private readonly scratch: Request = emptyRequest();
  /** What the last registered try read: see `tryTake`. */
  private seenSeq = 0;
  private hopeless = false;

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
    return this.allocSlow(size, options, true, true);
  }

  tryAlloc(size: number, options?: FitOptions): number {
    if (options === undefined && this.cache !== null) {
      const start = this.cache.alloc(size, false);
      if (start >= 0) return start;
    }
    return this.allocSlow(size, options, false, false);
  }

  private allocSlow(size: number, options: FitOptions | undefined, mayWait: boolean, must: boolean): number {
    fillPlain(this.scratch, size, this.quantum, options, this.name);
    const start = this.attempt(this.scratch, false, mayWait, false);
    if (start >= 0) return start;
    if (must) throw this.failed(size);
    return NONE;
  }

  xalloc(size: number, constraints?: Constraints): number {
    fillConstrained(this.scratch, size, this.quantum, constraints, this.name);
    const start = this.attempt(this.scratch, true, true, false);
    if (start < 0) throw this.failed(size);
    return start;
  }

  tryXalloc(size: number, constraints?: Constraints): number {
    fillConstrained(this.scratch, size, this.quantum, constraints, this.name);
    return Math.max(this.attempt(this.scratch, true, false, false), NONE);
  }

  allocWait(size: number, options: FitOptions & WaitOptions = {}): number {
    const r = emptyRequest();
    fillPlain(r, size, this.quantum, options, this.name);
    return this.waitFor(r, false, options, size);
  }

  xallocWait(size: number, constraints: Constraints & WaitOptions = {}): number {
    const r = emptyRequest();
    fillConstrained(r, size, this.quantum, constraints, this.name);
    return this.waitFor(r, true, constraints, size);
  }

  private waitFor(r: Request, xalloc: boolean, { timeout }: WaitOptions, size: number): number {
    const until = performance.now() + checkTimeout(timeout, this.name);
    for (let waited = false; ; waited = true) {
      const start = this.cached(r, xalloc) ?? this.attempt(r, xalloc, true, true);
      if (start >= 0) return start;
      const left = this.mustGoOn(start, until, size, waited);
      if (!this.backing.sleep(this.seenSeq, Math.min(left, RECHECK_MS))) {
        throw new UmaError(
          "ERR_UMA_WAIT_HERE",
          `arena "${this.name}": this thread may not block, or nobody else could free; use allocAsync`,
          {
            zone: this.name,
          },
        );
      }
    }
  }

  allocAsync(size: number, options: FitOptions & AsyncOptions = {}): Promise<number> {
    const r = emptyRequest();
    fillPlain(r, size, this.quantum, options, this.name);
    return this.waitAsync(r, false, options, size);
  }

  xallocAsync(size: number, constraints: Constraints & AsyncOptions = {}): Promise<number> {
    const r = emptyRequest();
    fillConstrained(r, size, this.quantum, constraints, this.name);
    return this.waitAsync(r, true, constraints, size);
  }

  private async waitAsync(r: Request, xalloc: boolean, { timeout, signal }: AsyncOptions, size: number): Promise<number> {
    const until = performance.now() + checkTimeout(timeout, this.name);
    for (let waited = false; ; waited = true) {
      if (signal?.aborted === true) throw this.aborted(signal.reason);
      const start = this.cached(r, xalloc) ?? this.attempt(r, xalloc, false, true);
      if (start >= 0) return start;
      const left = this.mustGoOn(start, until, size, waited);
      const nap = this.backing.sleepAsync(this.seenSeq, start === BUSY ? 1 : Math.min(left, RECHECK_MS));
      signal?.addEventListener("abort", nap.cancel, { once: true });
      try {
        await nap.done;
      } finally {
        signal?.removeEventListener("abort", nap.cancel);
      }
    }
  }

  /** The cache's answer to a waiter; undefined when it has none. */
  private cached(r: Request, xalloc: boolean): number | undefined {
    if (xalloc || this.cache === null || r.size > this.qcacheMax || r.policy !== 0 || r.end) return undefined;
    const start = this.cache.alloc(r.size, false);
    return start >= 0 ? start : undefined;
  }

  /** Whether a waiter that got nothing may wait on. @returns milliseconds left. */
  private mustGoOn(outcome: number, until: number, size: number, waited: boolean): number {
    if (outcome !== BUSY && this.hopeless) throw this.failed(size);
    if (!waited) this.count(ARENA_WAITS);
    const left = until - performance.now();
    if (left > 0) return left;
    throw new UmaError("ERR_UMA_TIMEOUT", `arena "${this.name}": no ${size} integers were freed in time`, { zone: this.name, value: size });
  }

  private aborted(reason: unknown): UmaError {
    return new UmaError("ERR_UMA_ABORTED", `waiting for arena "${this.name}" was aborted`, { zone: this.name, cause: reason });
  }

  /** All steps of an allocation below the quantum cache. @returns the start, NONE or BUSY. */
  private attempt(request: Request, xalloc: boolean, mayWait: boolean, register: boolean): number {
    this.backing.begin();
    const kind = busyKind(xalloc);
    let start = this.tryTake(request, kind, mayWait, false);
    if (start === NONE && this.lastFailure === "NOSPACE") {
      // From here on functions of the user's may run, which may use this handle: the request is copied.
      const r = { ...request };
      if (this.cache !== null) {
        this.cache.drain();
        start = this.tryTake(r, kind, mayWait, false);
      }
      if (start === NONE) start = this.importFor(r, kind, mayWait);
      if (start === NONE && this.reclaim !== null) {
        const { lastFailure } = this;
        this.reclaim();
        this.lastFailure = lastFailure;
        start = this.tryTake(r, kind, mayWait, false);
        if (start === NONE) start = this.importFor(r, kind, mayWait);
      }
      if (start === NONE && register) {
        const { lastFailure } = this;
        start = this.tryTake(r, kind, mayWait, true);
        if (start === NONE) this.lastFailure = lastFailure;
      }
    }
    if (start === BUSY) this.lastFailure = "BUSY";
    if (start < 0) this.count(ARENA_FAILS);
    else this.lastFailure = "NONE";
    return start;
  }

  /** Takes from the free segments there are. With `register` a failure is remembered, so that the next free wakes the waiters. */
  private tryTake(r: Request, kind: number, mayWait: boolean, register: boolean): number {
    const { backing } = this;
    const { a } = backing;
    for (let tries = 0; ; tries++) {
      if (!backing.enter(mayWait)) return BUSY;
      let want: number;
      try {
        this.checkAlive();
        const engine = backing.engine();
        want = engine.wants(a, backing.commit);
        // What could not be provided may not be needed: a carve takes two tags at most.
        if (want === WANTS_NOTHING || (tries > 0 && engine.segments.hasTags(a, 2))) {
          const start = engine.take(a, r, kind, r.frame === 0 ? backing.owner : 0);
          if (start >= 0) this.note(r, start);
          backing.commit();
          if (start < 0) {
            this.lastFailure = "NOSPACE";
            if (register) this.register(r);
          }
          return start;
        }
      } finally {
        backing.leave();
      }
      const provided = this.provide(want, mayWait);
      if (provided === PROVIDE_BUSY) return BUSY;
      if (provided !== PROVIDED && tries > 0) {
        this.lastFailure = "TAGS";
        return NONE;
      }
    }
  }

  /** Part of the transaction: the result stands where the request says, before it is nobody's. */
  private note(r: Request, start: number): void {
    if (r.frame !== 0) this.backing.hold(r.frame, start, r.size);
    if (r.word !== 0) this.backing.engine().ground.journal.set(r.word, start);
  }

  private provide(want: number, mayWait: boolean): number {
    const provided = this.backing.provide(want, mayWait);
    this.count(provided === PROVIDED ? ARENA_POPULATE_WAITS : ARENA_POPULATE_FAILS);
    return provided;
  }

  /** Under the lock: asks for a wake-up, and finds out whether any could help. */
  private register(r: Request): void {
    const { a } = this.backing;
    const { i32, f64 } = this.backing.engine().ground.cells;
    i32[a + ARENA_WAITERS] = 1;
    this.seenSeq = i32[a + ARENA_WAIT_SEQ];
    let largest = 0;
    for (let marker = i32[a + ARENA_SPAN_FIRST]; marker !== 0; marker = i32[marker + TAG_LINK_NEXT]) {
      largest = Math.max(largest, f64[(marker + TAG_SIZE) >> 1]);
    }
    this.hopeless = this.porter === null && this.reclaim === null && largest < r.size;
  }

  private failed(size: number): UmaError {
    const details = { zone: this.name, value: size };
    if (this.lastFailure === "BUSY") {
      return new UmaError("ERR_VMEM_BUSY", `arena "${this.name}": a lock could not be had in time; try again`, details);
    }
    if (this.lastFailure === "TAGS") {
      return new UmaError("ERR_VMEM_NOTAGS", `arena "${this.name}": no memory for its tags; raise the option bytes of the memory`, details);
    }
    const why =
      this.lastFailure === "LIMIT"
        ? "its limit forbids to import more"
        : `${this.size("free")} are free, the largest stretch has ${this.size("largest")}`;
    if (this.identifiers) return new UmaError("ERR_VMEM_NOID", `arena "${this.name}" has no ${size} identifiers: ${why}`, details);
    return new UmaError("ERR_VMEM_NOSPACE", `arena "${this.name}" has no ${size} integers in a row: ${why}`, details);
  }

  /**
   * A run for the quantum caches: without policy, reclaim or wait.
   * @param word - receives the start in the same transaction; 0 = none.
   * @returns the start, NONE or BUSY.
   */
  takeRun(size: number, align: number, mayWait: boolean, word = 0): number {
    const r = emptyRequest();
    fillConstrained(r, size, this.quantum, { align }, this.name);
    r.word = word;
    this.backing.begin();
    const start = this.tryTake(r, TAG_SEGMENT_CACHE, mayWait, false);
    return start === NONE && this.lastFailure === "NOSPACE" ? this.importFor(r, TAG_SEGMENT_CACHE, mayWait) : start;
  }

  giveRun(start: number, size: number): void {
    this.give(start, size, TAG_SEGMENT_CACHE);
  }

  /** As `giveRun`, clearing `word` in the same transaction. @returns false when the lock was out of reach. */
  giveRunFrom(word: number, start: number, size: number): boolean {
    return this.tryGive(start, size, TAG_SEGMENT_CACHE, 0, word) !== GIVE_BUSY;
  }

  /** Takes a span for another arena into `frame`. @returns its start, NONE or BUSY. */
  takeSpan(size: number, mayWait: boolean, frame: number): number {
    const r = emptyRequest();
    fillPlain(r, size, this.quantum, undefined, this.name);
    r.frame = frame;
    return this.attempt(r, false, mayWait, false);
  }

  /** Takes a span back from another arena, out of `frame`. @returns false when the lock was out of reach. */
  giveSpan(start: number, size: number, frame: number): boolean {
    return this.tryGive(start, size, TAG_SEGMENT_BUSY, frame, 0) !== GIVE_BUSY;
  }

  /** As tryAlloc or alloc, never throwing for want of space: what imports use. */
  obtain(size: number, mayWait: boolean): number {
    return this.allocSlow(size, undefined, mayWait, false);
  }

  // ── Import and release ──────────────────────────────────────────────────────────────────────────────────────────────────

  private importFor(r: Request, kind: number, mayWait: boolean): number {
    const { porter } = this;
    if (porter === null || (!r.plain && (r.nocross !== 0 || r.min !== 0 || r.max !== MOST_END))) return NONE;
    const align = r.plain ? this.quantum : r.align;
    const phase = r.plain ? 0 : r.phase;
    const unit = Math.max(this.quantum, porter.unit);
    const slack = porter.aligned || (phase === 0 && align <= unit) ? 0 : align - this.quantum;
    const least = Math.ceil((r.size + slack) / unit) * unit;
    const wanted = this.withinLimit(least, Math.ceil(Math.max(r.size + slack, this.number(ARENA_IMPORT_MIN)) / unit) * unit);
    if (wanted === 0) {
      this.lastFailure = "LIMIT";
      return NONE;
    }
    const span = porter.fetch(wanted, align, phase, mayWait);
    if (span === null) return porter.wasBusy() ? BUSY : NONE;
    if (span.start % this.quantum !== 0 || span.size % this.quantum !== 0 || span.size < r.size || span.start + span.size > MOST_END) {
      porter.giveBack(span);
      throw this.spanError(
        `the import function gave [${span.start}, +${span.size}) for ${wanted}: no multiple of the quantum, or too small`,
        span.start,
      );
    }
    return this.landAndTake(porter, span, r, kind, mayWait);
  }

  /** Size of an import that the limit allows: `most`, else `least`, else 0. */
  private withinLimit(least: number, most: number): number {
    const limit = this.number(ARENA_LIMIT);
    if (limit === 0) return most;
    const room = limit - this.number(ARENA_TOTAL);
    return most <= room ? most : least <= room ? least : 0;
  }

  private landAndTake(porter: Porter, span: SpanInHand, r: Request, kind: number, mayWait: boolean): number {
    const { backing } = this;
    const { a } = backing;
    let start = NONE;
    for (;;) {
      if (!backing.enter(mayWait)) {
        porter.giveBack(span);
        return BUSY;
      }
      let want: number;
      let overlaps = false;
      try {
        this.checkAlive();
        const engine = backing.engine();
        want = engine.wants(a, backing.commit);
        if (want !== WANTS_TAGS || engine.segments.hasTags(a, 4)) {
          const after = engine.spans.placeFor(a, span.start, span.size);
          overlaps = after === OVERLAPS;
          if (!overlaps) {
            const free = engine.spans.insert(a, after, span.start, span.size, TAG_SPAN_IMPORTED);
            porter.land(span);
            backing.commit();
            const at = place(r, span.start, span.size);
            if (at >= 0) {
              engine.segments.carve(a, free, at, r.size, kind, r.frame === 0 ? backing.owner : 0);
              start = at;
            } else {
              start = engine.take(a, r, kind, r.frame === 0 ? backing.owner : 0);
            }
            if (start >= 0) this.note(r, start);
            backing.commit();
          }
          want = WANTS_NOTHING;
        }
      } finally {
        backing.leave();
      }
      if (overlaps) {
        porter.giveBack(span);
        throw this.spanError(`the imported span [${span.start}, +${span.size}) overlaps one that it has`, span.start);
      }
      if (want === WANTS_NOTHING) break;
      if (this.provide(want, mayWait) !== PROVIDED) {
        porter.giveBack(span);
        this.lastFailure = "TAGS";
        return NONE;
      }
    }
    porter.landed(span);
    return start;
  }

  free(start: number, size: number): void {
    if (this.cache !== null && this.cache.free(start, size)) return;
    this.give(start, checkSize(size, this.quantum, this.name), TAG_SEGMENT_BUSY);
  }

  xfree(start: number, size: number): void {
    this.give(start, checkSize(size, this.quantum, this.name), TAG_SEGMENT_XBUSY);
  }

  private give(start: number, size: number, kind: number): void {
    const outcome = this.tryGive(start, size, kind, 0, 0);
    if (outcome === GIVE_BUSY) throw this.busy("free");
    if (outcome !== FREED) throw this.refused(outcome, start, size);
  }

  /** Frees a segment, emptying the frame or clearing the word that held it; the span it leaves empty goes back. */
  private tryGive(start: number, size: number, kind: number, frame: number, word: number): number {
    const { backing } = this;
    const { a } = backing;
    backing.begin();
    if (!backing.enter(true)) return GIVE_BUSY;
    let outcome: number;
    let span: SpanInHand | null = null;
    let wake = false;
    try {
      if (frame === 0 && word === 0) this.checkAlive();
      const engine = backing.engine();
      outcome = engine.give(a, start, size, kind, backing.guarded && frame === 0 && word === 0);
      if (outcome === FREED) wake = this.callWaiters();
      if (frame !== 0) backing.unhold(frame);
      if (word !== 0) engine.ground.journal.set(word, 0);
      backing.commit();
      if (outcome === FREED && engine.emptied() !== 0 && this.porter !== null && this.porter.canRelease) span = this.lift(engine.emptied());
    } finally {
      backing.leave();
    }
    if (wake) backing.wake();
    if (span !== null) this.porter?.giveBack(span);
    return outcome;
  }

  /** Part of a free: whoever waits is to be woken. */
  private callWaiters(): boolean {
    const { a } = this.backing;
    const { ground } = this.backing.engine();
    const { i32 } = ground.cells;
    if (i32[a + ARENA_WAITERS] === 0) return false;
    ground.journal.set(a + ARENA_WAITERS, 0);
    ground.journal.add(a + ARENA_WAIT_SEQ, 1);
    return true;
  }

  /** Under the lock, in a transaction of its own: takes the wholly free imported span at `marker` in hand. */
  private lift(marker: number): SpanInHand | null {
    const { a } = this.backing;
    const { spans, ground } = this.backing.engine();
    const { f64 } = ground.cells;
    const span = this.porter?.lift(f64[(marker + TAG_START) >> 1], f64[(marker + TAG_SIZE) >> 1]) ?? null;
    if (span === null) return null;
    spans.remove(a, marker);
    this.backing.commit();
    return span;
  }

  private refused(outcome: number, start: number, size: number): UmaCorruptionError {
    const details = { zone: this.name, value: start };
    if (outcome === FREE_WRONG_SIZE) {
      return new UmaCorruptionError("ERR_VMEM_SIZE", `free of ${start} in arena "${this.name}" with size ${size}: it has another`, details);
    }
    if (outcome === FREE_WRONG_KIND) {
      return new UmaCorruptionError(
        "ERR_VMEM_KIND",
        `free of ${start} in arena "${this.name}": what alloc gave goes back by free, what xalloc gave by xfree`,
        details,
      );
    }
    return new UmaCorruptionError(
      "ERR_VMEM_UNKNOWN",
      `free of ${start} in arena "${this.name}": it is not allocated (or was freed before)`,
      details,
    );
  }

  reap(): void {
    const { backing } = this;
    this.cache?.drain();
    for (;;) {
      if (!backing.enter(true)) throw this.busy("reap");
      let span: SpanInHand | null = null;
      try {
        this.checkAlive();
        const { i32 } = backing.engine().ground.cells;
        const { spans } = backing.engine();
        let marker = i32[backing.a + ARENA_SPAN_FIRST];
        while (marker !== 0 && spans.wholeImport(i32[marker + TAG_NEXT]) === 0) marker = i32[marker + TAG_LINK_NEXT];
        if (marker !== 0 && this.porter !== null && this.porter.canRelease) span = this.lift(marker);
      } finally {
        backing.leave();
      }
      if (span === null) return;
      this.porter?.giveBack(span);
    }
  }

  // ── Spans and settings ──────────────────────────────────────────────────────────────────────────────────────────────────

  add(start: number, size: number): void {
    const { quantum, backing } = this;
    const { a } = backing;
    if (!Number.isSafeInteger(start) || start < 0 || start % quantum !== 0)
      throw this.spanError(`start ${String(start)} is no multiple of the quantum ${quantum} from 0 on`, start);
    if (!Number.isSafeInteger(size) || size <= 0 || size % quantum !== 0)
      throw this.spanError(`size ${String(size)} is no multiple of the quantum ${quantum}, or not above 0`, size);
    if (start > MOST_END - size) throw this.spanError(`[${start}, +${size}) goes past 2^53 − 1`, start);
    if (backing.guarded) throw this.spanError("its one span is the memory itself", start);
    backing.begin();
    for (;;) {
      if (!backing.enter(true)) throw this.busy("add");
      let want: number;
      let wake = false;
      try {
        this.checkAlive();
        const engine = backing.engine();
        want = engine.wants(a, backing.commit);
        if (want !== WANTS_TAGS) {
          want = WANTS_NOTHING;
          const after = engine.spans.placeFor(a, start, size);
          if (after === OVERLAPS) throw this.spanError(`[${start}, +${size}) overlaps a span that it has`, start);
          engine.spans.insert(a, after, start, size, TAG_SPAN);
          wake = this.callWaiters();
          backing.commit();
        }
      } finally {
        backing.leave();
      }
      if (wake) backing.wake();
      if (want === WANTS_NOTHING) return;
      if (this.provide(want, true) !== PROVIDED) {
        this.lastFailure = "TAGS";
        throw this.failed(size);
      }
    }
  }

  setImport(options: ImportOptions): void {
    if (this.number(ARENA_TOTAL) !== 0) {
      throw new UmaError("ERR_UMA_TOO_LATE", `setImport of arena "${this.name}": it has spans already`, { zone: this.name });
    }
    const min = checkCount("importMin", options.importMin ?? 0, this.name);
    this.porter = this.parts.porterFor(this, options);
    this.source = options.source ?? null;
    this.store(ARENA_IMPORT_MIN, min);
  }

  setLimit(limit: number): void {
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
    const { backing } = this;
    const { a } = backing;
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(size) || start < 0 || size <= 0) return false;
    if (!backing.enter(true)) throw this.busy("contains");
    try {
      this.checkAlive();
      const { spans, ground } = backing.engine();
      const { f64 } = ground.cells;
      const marker = spans.holding(a, start, size);
      f64[(a + ARENA_CONTAINS) >> 1]++;
      f64[(a + ARENA_CONTAINS_SEARCHES) >> 1] += spans.steps();
      return marker !== 0;
    } finally {
      backing.leave();
    }
  }

  size(what: SizeKind): number {
    const { a } = this.backing;
    const engine = this.backing.engine();
    if (what === "alloc") return engine.inUse(a);
    if (what === "free") return engine.total(a) - engine.inUse(a);
    if (what === "total") return engine.total(a);
    if (what === "largest") return engine.largestFree(a);
    throw optionError("what", what, '"alloc", "free", "total" or "largest"', this.name);
  }

  whatis(at: number): Segment | null {
    if (!Number.isSafeInteger(at) || at < 0) return null;
    this.checkAlive();
    // From the beginning of its span: a walk that began at `at` would show the rest of a segment only.
    const walker = createWalker(this.walked(), this.spanStartBefore(at));
    while (walker.next()) {
      const { start, size, kind } = walker.found;
      if (start > at) return null;
      if (at < start + size) return { start, size, state: stateOfKind(kind) };
    }
    return null;
  }

  /** Start of the span that `at` lies in, or 0; without a lock. */
  private spanStartBefore(at: number): number {
    const { i32, f64 } = this.backing.engine().ground.cells;
    for (let marker = i32[this.backing.a + ARENA_SPAN_FIRST]; marker > 0; marker = i32[marker + TAG_LINK_NEXT]) {
      const start = f64[(marker + TAG_START) >> 1];
      const kind = i32[marker + TAG_KIND];
      if (kind !== TAG_SPAN && kind !== TAG_SPAN_IMPORTED) break;
      if (start <= at && at < start + f64[(marker + TAG_SIZE) >> 1]) return start;
    }
    return 0;
  }

  walk(visit: (segment: Segment) => boolean | void, options: WalkOptions = {}): void {
    this.checkAlive();
    if (options.snapshot === true) {
      for (const segment of this.snapshot(options.which)) if (visit(segment) === false) return;
      return;
    }
    const walker = createWalker(this.walked(), 0);
    while (walker.next()) {
      const { start, size, kind } = walker.found;
      if (isShown(kind, options.which) && visit({ start, size, state: stateOfKind(kind) }) === false) return;
    }
  }

  /** All segments as they stand together: the only look that holds the lock for as long as there are segments. */
  private snapshot(which: WalkOptions["which"]): Segment[] {
    const { backing } = this;
    const copies: number[] = [];
    if (!backing.enter(true)) throw this.busy("walk");
    try {
      this.checkAlive();
      const { i32, f64 } = backing.engine().ground.cells;
      for (let tag = i32[backing.a + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
        const kind = i32[tag + TAG_KIND];
        if (kind <= TAG_SEGMENT_CACHE && isShown(kind, which)) copies.push(f64[(tag + TAG_START) >> 1], f64[(tag + TAG_SIZE) >> 1], kind);
      }
    } finally {
      backing.leave();
    }
    const segments: Segment[] = [];
    for (let n = 0; n < copies.length; n += 3) {
      segments.push({ start: copies[n] as number, size: copies[n + 1] as number, state: stateOfKind(copies[n + 2] as number) });
    }
    return segments;
  }

  /** What a walker of this arena needs. */
  walked(): { a: number; engine: Backing["engine"]; isAlive: () => boolean; synchronise: () => void } {
    const { backing } = this;
    return {
      a: backing.a,
      engine: () => backing.engine(),
      isAlive: () => backing.isAlive(),
      synchronise: () => {
        if (backing.enter(true)) backing.leave();
      },
    };
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

  // ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  destroy(options: { readonly force?: boolean } = {}): ArenaLeaks {
    this.checkAlive();
    this.backing.begin();
    if (this.backing.hasChildren()) {
      throw new UmaError("ERR_VMEM_CHILDREN", `arena "${this.name}" cannot be destroyed: arenas import from it`, { zone: this.name });
    }
    this.cache?.drain();
    const found = this.snapshot("alloc");
    const taken = found.reduce((sum, segment) => sum + segment.size, 0);
    const size = this.cache === null ? taken : taken - this.cache.held() + this.cache.outstanding();
    const leaks: ArenaLeaks = { arena: this.name, size, count: found.length, segments: found.slice(0, LISTED) };
    if (size > 0 && options.force !== true) {
      const what = this.identifiers ? "identifiers" : "integers";
      throw new UmaError(
        "ERR_VMEM_LEAK",
        `arena "${this.name}" would leak ${size} ${what} in ${found.length} segments; free them, or force it`,
        {
          zone: this.name,
          value: size,
        },
      );
    }
    this.cache?.close();
    this.cache = null;
    if (!this.backing.beginEnd()) throw this.busy("destroy");
    this.dismantle();
    this.backing.end();
    return leaks;
  }

  /** Frees every segment and takes every span out, imported ones back to the source. */
  dismantle(): void {
    const { backing } = this;
    for (;;) {
      if (!backing.enter(true)) throw this.busy("destroy");
      let span: SpanInHand | null = null;
      try {
        span = this.dismantleUntilImport();
        if (span === null) return;
      } finally {
        backing.leave();
      }
      this.porter?.giveBack(span);
    }
  }

  /** Under the lock. @returns an imported span, in hand; null when no span is left. */
  private dismantleUntilImport(): SpanInHand | null {
    const { a } = this.backing;
    const { segments, spans, ground } = this.backing.engine();
    const { i32 } = ground.cells;
    for (let marker = i32[a + ARENA_SPAN_FIRST]; marker !== 0; marker = i32[a + ARENA_SPAN_FIRST]) {
      let tag = i32[marker + TAG_NEXT];
      if (i32[tag + TAG_KIND] === TAG_SEGMENT_FREE) tag = i32[tag + TAG_NEXT];
      const kind = tag === 0 ? TAG_SPAN : i32[tag + TAG_KIND];
      if (kind >= TAG_SEGMENT_BUSY && kind <= TAG_SEGMENT_CACHE) {
        segments.release(a, tag);
        this.backing.commit();
        continue;
      }
      if (i32[marker + TAG_KIND] === TAG_SPAN_IMPORTED && this.porter !== null && this.porter.canRelease) {
        const span = this.lift(marker);
        if (span !== null) return span;
      }
      spans.remove(a, marker);
      this.backing.commit();
    }
    return null;
  }

  private checkAlive(): void {
    if (this.backing.isAlive()) return;
    throw new UmaError("ERR_VMEM_DESTROYED", `arena "${this.name}" was destroyed`, { zone: this.name });
  }

  private busy(what: string): UmaError {
    return new UmaError(
      "ERR_VMEM_BUSY",
      `${what} in arena "${this.name}": its lock could not be had in time; nothing has changed, try again`,
      {
        zone: this.name,
      },
    );
  }

  private spanError(what: string, value: number): UmaError {
    return new UmaError("ERR_VMEM_SPAN", `arena "${this.name}": ${what}`, { zone: this.name, value });
  }

  private number(w: number): number {
    return this.backing.engine().ground.cells.f64[(this.backing.a + w) >> 1];
  }

  private store(w: number, value: number): void {
    const { f64 } = this.backing.engine().ground.cells;
    f64[(this.backing.a + w) >> 1] = value;
  }

  /** Counters of failures are no part of a transaction; two workers at once may lose a count. */
  private count(w: number): void {
    const { f64 } = this.backing.engine().ground.cells;
    f64[(this.backing.a + w) >> 1]++;
  }
}

function checkTimeout(timeout: unknown, arena: string): number {
  if (timeout === undefined) return Infinity;
  if (typeof timeout === "number" && timeout >= 0) return timeout;
  throw optionError("timeout", timeout, "milliseconds from 0 on", arena);
}

function checkCount(option: string, value: unknown, arena: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw optionError(option, value, "an integer from 0 (none) on", arena);
}
