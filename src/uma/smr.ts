/**
 * Safe memory reclamation: how a writer knows that nobody can still be reading what it has taken away.
 *
 * After FreeBSD's "global unbounded sequences". There is one write sequence for the memory, odd, raised by 2. A reader that enters
 * its section stores the sequence it sees in its own slot; one that leaves stores 0. A writer unlinks an item so that no new reader
 * can find it, and then advances the sequence: the new value is its goal. Readers whose slot shows the goal or more entered after
 * the unlinking. Once all readers are there, or outside, the item is nobody's.
 *
 * ```
 *        read sequence            goal            write sequence
 *  ────────────┴───────────────────┴─────────────────────┴──────►   sequence numbers, modulo 2³²
 *    all readers have left     this item may         readers that enter
 *    what lies below           still be read         now store this one
 * ```
 * The read sequence is what is known of the slowest reader: a poll whose goal is below it looks no further. A reader is slow by
 * being inside its section, not by being asleep outside: nothing here counts time. Numbers are compared by the sign of their
 * difference, so they may wrap; a writer that gets 2³⁰ ahead of the slowest reader waits for it.
 *
 * Each worker has one slot, which nobody else enters through, so sections do not nest. A section of a worker that died ends with
 * its death certificate. Where FreeBSD relies on store buffers being flushed by its fence, every store here is an atomic one.
 */
import { UmaError } from "../backend/memory/errors.ts";
import type { Floor } from "../backend/memory/floor.ts";
import { SB_SMR_READ, SB_SMR_WRITE, SLOT_SMR, SLOT_WAIT, STATE_LIVE } from "../backend/memory/layout.ts";

/** How an advance counts: at once, at most once a millisecond, or once in so many calls. @source FreeBSD smr.h SMR_LAZY, SMR_DEFERRED */
export type AdvanceMode = "now" | "lazy" | "deferred";

export interface Smr {
  /** Enters this thread's section. @throws UmaError ERR_UMA_SMR when it is inside one. @source FreeBSD smr.h smr_enter */
  enter(): void;
  /** Leaves it. @throws UmaError ERR_UMA_SMR when it is in none. @source FreeBSD smr.h smr_exit */
  exit(): void;
  /** Whether this thread is inside its section. @source FreeBSD smr.h smr_entered */
  entered(): boolean;
  /** @returns a goal: once it is reached, nobody reads what was unlinked before this call. @source FreeBSD smr.h smr_advance */
  advance(mode?: AdvanceMode): number;
  /** Whether `goal` is reached. Never waits. @source FreeBSD smr.h smr_poll */
  poll(goal: number): boolean;
  /**
   * Waits until `goal` is reached.
   * @param timeout - milliseconds at the most; default: without end.
   * @throws UmaError ERR_UMA_SMR inside a section; ERR_UMA_TIMEOUT; ERR_UMA_WAIT_HERE where a thread may not block. @source FreeBSD smr.h smr_wait
   */
  wait(goal: number, timeout?: number): void;
  /** Waits for all readers that are inside now. @source FreeBSD smr.h smr_synchronize */
  synchronize(timeout?: number): void;
}

/** What this library's own readers use beside it. */
export interface InnerSmr extends Smr {
  /** Enters and leaves as `enter` and `exit` do, where `entered` has just said no. In between nothing else here may be called. */
  begin(): void;
  end(): void;
  /**
   * Set, by a plain store where nothing can be called any more, when an exception (a stack overflow) has kept a reader of the library's
   * own from leaving its section, be it the leaving itself that was cut short. This thread is in no section then: what looks like one
   * ends where it next uses any of this.
   */
  isCut: boolean;
  /** Ends such a section. */
  mend(): void;
}

/** Writers this far ahead of the slowest reader wait: numbers must not come round to each other. */
const FAR_AHEAD = 2 ** 30;
/** A goal of a lazy or deferred advance may be this far ahead of the write sequence; one beyond has wrapped. */
const SLIGHTLY_AHEAD = 2;
/** Deferred advances that count as one. */
const DEFERRED_CALLS = 32;
const SPINS = 100;
const NAP_MS = 1;

export function createSmr(floor: Floor): InnerSmr {
  const { i32, canWait } = floor.cells;
  const { slots, slotWord } = floor;
  const sb = floor.cells.base;
  const WRITE = sb + SB_SMR_WRITE;
  const READ = sb + SB_SMR_READ;
  const MINE = slotWord + SLOT_SMR;
  let deferred = 0;
  let lazyAt = 0;

  function misuse(what: string): UmaError {
    return new UmaError("ERR_UMA_SMR", what);
  }

  function enter(): void {
    mend();
    if (i32[MINE] !== 0) throw misuse("this thread is inside its section already: sections do not nest");
    Atomics.store(i32, MINE, Atomics.load(i32, WRITE));
  }

  function exit(): void {
    if (!entered()) throw misuse("this thread is in no section");
    Atomics.store(i32, MINE, 0);
  }

  function entered(): boolean {
    return i32[MINE] !== 0 && !inner.isCut;
  }

  function begin(): void {
    Atomics.store(i32, MINE, Atomics.load(i32, WRITE));
  }

  function end(): void {
    Atomics.store(i32, MINE, 0);
  }

  function mend(): void {
    if (!inner.isCut) return;
    Atomics.store(i32, MINE, 0);
    inner.isCut = false;
  }

  function advance(mode: AdvanceMode = "now"): number {
    mend();
    if (mode === "lazy") {
      const now = Math.floor(performance.now());
      if (now === lazyAt) return (Atomics.load(i32, WRITE) + SLIGHTLY_AHEAD) | 0;
      lazyAt = now;
    } else if (mode === "deferred" && ++deferred % DEFERRED_CALLS !== 0) {
      return (Atomics.load(i32, WRITE) + SLIGHTLY_AHEAD) | 0;
    }
    const goal = (Atomics.add(i32, WRITE, 2) + 2) | 0;
    if (((goal - Atomics.load(i32, READ)) | 0) >= FAR_AHEAD) catchUp((goal - FAR_AHEAD / 2) | 0);
    return goal;
  }

  /** The slowest reader is half a world behind. Bounded: a thread that may not wait does what it can. */
  function catchUp(goal: number): void {
    for (let n = 0; n < 1000 && !poll(goal); n++) if (canWait) Atomics.wait(i32, slotWord + SLOT_WAIT, i32[slotWord + SLOT_WAIT], NAP_MS);
  }

  function poll(goal: number): boolean {
    mend();
    const read = Atomics.load(i32, READ);
    if (((goal - read) | 0) <= 0) return true;
    let write = Atomics.load(i32, WRITE);
    const ahead = (goal - write) | 0;
    if (ahead > 0) {
      // A goal from so long ago that the numbers have come round.
      if (ahead > SLIGHTLY_AHEAD) return true;
      // A lazy or deferred one that nobody has advanced to yet.
      Atomics.compareExchange(i32, WRITE, write, goal);
      write = Atomics.load(i32, WRITE);
    }
    let slowest = write;
    for (let slot = 1; slot <= slots.count; slot++) {
      let seen = Atomics.load(i32, slots.wordOf(slot) + SLOT_SMR);
      if (seen === 0 || slots.state(slot) !== STATE_LIVE) continue;
      // Behind the read sequence: it saw the write sequence long before it stored it, and entered after this scan began.
      if (((seen - read) | 0) < 0) seen = read;
      if (((seen - slowest) | 0) < 0) slowest = seen;
    }
    raise(slowest);
    return ((goal - slowest) | 0) <= 0;
  }

  function raise(to: number): void {
    for (;;) {
      const read = Atomics.load(i32, READ);
      if (((to - read) | 0) <= 0 || Atomics.compareExchange(i32, READ, read, to) === read) return;
    }
  }

  function wait(goal: number, timeout = Infinity): void {
    if (entered()) throw misuse("a thread inside its section would wait for itself");
    for (let n = 0; n < SPINS; n++) if (poll(goal)) return;
    const until = performance.now() + timeout;
    while (!poll(goal)) {
      if (performance.now() >= until) throw new UmaError("ERR_UMA_TIMEOUT", "a reader has not left its section in time", { value: goal });
      if (!canWait) throw new UmaError("ERR_UMA_WAIT_HERE", "this thread may not block, and a reader is inside its section: poll later");
      Atomics.wait(i32, slotWord + SLOT_WAIT, Atomics.load(i32, slotWord + SLOT_WAIT), NAP_MS);
    }
  }

  const inner: InnerSmr = {
    enter,
    exit,
    entered,
    begin,
    end,
    isCut: false,
    mend,
    advance,
    poll,
    wait,
    synchronize: (timeout) => wait(advance(), timeout),
  };
  return inner;
}
