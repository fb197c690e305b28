/**
 * Backing: what an arena stands on, and where the two kinds of arenas differ.
 *
 * A local arena has a private buffer, one thread, no lock; an arena in the shared memory has a robust lock, records its spans in
 * flight in intent frames, and gets tags from the heap. Everything else is the same code (handle.ts over engine.ts).
 */
import type { Engine } from "./engine.ts";

/** A span between two arenas: in nobody's spans, in this thread's hands. */
export interface SpanInHand {
  readonly start: number;
  readonly size: number;
  /** Intent frame that says so; 0 = none. */
  readonly frame: number;
}

/** Carries spans between an arena and its source. */
export interface Porter {
  /** Every span begins at a multiple of this. */
  readonly unit: number;
  /** Whether `fetch` heeds align and phase. */
  readonly aligned: boolean;
  /** Whether spans can go back; otherwise they stay when they become free. */
  readonly canRelease: boolean;
  /** Gets a span, in hand; null when there is none. Called with no lock held. */
  fetch(size: number, align: number, phase: number, mayWait: boolean): SpanInHand | null;
  /** Whether the last `fetch` failed for a lock that was out of reach. */
  wasBusy(): boolean;
  /** Part of the arena's transaction: the span in hand is the arena's now. */
  land(span: SpanInHand): void;
  /** After that transaction. */
  landed(span: SpanInHand): void;
  /** Part of the arena's transaction: the span is taken in hand. null when this cannot be done now. */
  lift(start: number, size: number): SpanInHand | null;
  /** Gives the span in hand back to the source. Called with no lock held. */
  giveBack(span: SpanInHand): void;
  /**
   * The span could not land. It goes back to the source; or, where spans cannot go back, stays in its frame, from which the next slow
   * path lands it. Called with no lock held.
   */
  putOff(span: SpanInHand): void;
}

/** How claiming an arena went, to end it: {@link Backing.claim}. */
export type Claim = "claimed" | "children" | "busy" | "ended";

/** How providing tags or a table went. */
export const PROVIDED = 0;
export const NOT_PROVIDED = 1;
export const PROVIDE_BUSY = 2;

export interface Backing {
  /** Word index of the arena's control block. */
  readonly a: number;
  /** Tells the arena from others that its record was before, or will be. */
  readonly serial: number;
  /** What a frame says of a span that goes home to this arena. */
  readonly home: number;
  /** Whose the segments are that this thread takes; 0 = nobody's in particular. */
  readonly owner: number;
  /** The memory that the arena's tags lie in; null = a local arena. */
  readonly memory: object | null;
  /** Only what somebody owns may be freed through a handle (the heap, whose other pages are the allocator's). */
  readonly guarded: boolean;
  engine(): Engine;
  /** First thing of every operation: completes what was left behind. @param mayWait - false: as far as locks are to be had at once. */
  begin(mayWait: boolean): void;
  /** While the sum of these is above 0, no lock is waited for, whatever is called. */
  hurry(by: number): void;
  /** Takes the lock. @param mayWait - false: gives up instead of blocking. @returns false when it could not be had. */
  enter(mayWait: boolean): boolean;
  /** Lets it go; what was not committed is undone. */
  leave(): void;
  readonly commit: () => void;
  isAlive(): boolean;
  /** Provides what {@link Engine.wants} said. Called with no lock held. */
  provide(want: number, mayWait: boolean): number;
  /** Part of a transaction: [start, start + size) is in the hands that `frame` stands for, and goes home to this arena; is no more. */
  hold(frame: number, start: number, size: number): void;
  unhold(frame: number): void;
  /** Whether what `frame` holds goes home to this arena. */
  isHomeOf(frame: number): boolean;
  /** Wakes those who wait for a free. Called with no lock held. */
  wake(): void;
  /** Sleeps until a free or `ms` have passed; `seq` is what WAIT_SEQ was when nothing was found. @returns false: this thread cannot. */
  sleep(seq: number, ms: number): boolean;
  /** As `sleep`, without blocking; resolves early when woken. `cancel` ends it. */
  sleepAsync(seq: number, ms: number): { readonly done: Promise<void>; readonly cancel: () => void };
  /** This thread means to end the arena: no other can, and none begins to import from it. "children": arenas import from it. */
  claim(): Claim;
  /** It does not after all. */
  unclaim(): void;
  /**
   * The arena is about to end: from now on others find it destroyed.
   * @param mayEnd - called under the lock, in which the state changes, too; throws if the arena is to live on.
   * @returns false when its lock could not be had.
   */
  beginEnd(mayEnd: () => void): boolean;
  /** Whether this is still the arena that worker `closer` takes apart (0 = this one). */
  isEnding(closer: number): boolean;
  /** The arena, taken apart by worker `closer` (0 = this one), has ended: its record may be used again. @throws UmaError ERR_VMEM_BUSY. */
  end(closer: number): void;
}
