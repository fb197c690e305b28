/**
 * What a shared arena stands on: its record in the memory, a robust lock, the journal of this thread's slot, pages of the heap.
 *
 * Tags and hash tables come in pages from the heap. Such a page is in an intent frame from the heap's transaction until the
 * arena's, as everything that is in flight between two locks. Pages stay with the record, also when the arena has ended: the
 * next arena made with it begins with them.
 */
import type { Floor } from "../memory/floor.ts";
import { isShared } from "../memory/buffer.ts";
import {
  ARENA_CLOSER,
  ARENA_LOCK,
  ARENA_OWN,
  ARENA_SERIAL,
  ARENA_STATE,
  ARENA_STATE_DYING,
  ARENA_STATE_LIVE,
  ARENA_TAG_END,
  ARENA_TAG_NEXT,
  ARENA_WAIT_SEQ,
  INTENT_EXTENT,
  INTENT_PAGE,
  PAGE_BYTES,
  SPAN_HELD,
  SPAN_SIZE,
  SPAN_START,
  TAG_PAGE_HEADER_WORDS,
} from "../memory/layout.ts";
import { type Backing, type Claim, NOT_PROVIDED, PROVIDED, PROVIDE_BUSY } from "./backing.ts";
import { type Engine, WANTS_TABLE } from "./engine.ts";
import { HEAP_BUSY, type Heap, NO_PAGES } from "./heap.ts";

/** SPAN_HELD of what goes home to the heap, which has no serial. */
const HEAP_HOME = -1;

/** What the backing asks of those who know all arenas. */
export interface ArenaServices {
  /** Completes what this worker had to leave. */
  finishFrames(): void;
  claim(a: number, serial: number): Claim;
  /** Puts the record of the arena `serial` back among the free ones, that worker `closer` has taken apart. */
  retire(a: number, serial: number, closer: number): void;
}

/** @param serial - of the arena that the record at word `a` is: the backing is of no other that the record may come to be. */
export function createSharedBacking(floor: Floor, heap: Heap, engine: Engine, a: number, serial: number, services: ArenaServices): Backing {
  const { i32, f64, canWait, buffer } = floor.cells;
  const { locks, intents, journal, patienceMs } = floor;
  const { set, add, commit } = journal;
  const LOCK = a + ARENA_LOCK;
  const isHeap = a === heap.arena;
  const home = isHeap ? HEAP_HOME : serial;
  const canWaitAsync = isShared(buffer) && typeof Atomics.waitAsync === "function";
  /** Sleepers of this thread: what waitAsync cannot do everywhere, a wake by this thread can. */
  const sleepers = new Set<() => void>();

  function begin(mayWait: boolean): void {
    locks.mend();
    if (!intents.abandoned()) return;
    if (!mayWait) locks.hurry++;
    try {
      services.finishFrames();
    } finally {
      if (!mayWait) locks.hurry--;
    }
  }

  function hurry(by: number): void {
    locks.hurry += by;
  }

  function isAlive(): boolean {
    return i32[a + ARENA_STATE] === ARENA_STATE_LIVE && i32[a + ARENA_SERIAL] === serial;
  }

  function provide(want: number, mayWait: boolean): number {
    const patience = mayWait ? patienceMs : 0;
    if (isHeap) return populateHeap(patience);
    const table = want === WANTS_TABLE ? engine.segments.hash.missingTable(a) : -1;
    const pages = table >= 0 ? engine.segments.hash.pagesOfTable(table) : 1;
    const frame = intents.push(INTENT_PAGE);
    const page = heap.alloc(pages, 0, frame + INTENT_EXTENT, patience);
    if (page === NO_PAGES || page === HEAP_BUSY) {
      intents.pop(frame);
      return page === NO_PAGES ? NOT_PROVIDED : PROVIDE_BUSY;
    }
    if (table >= 0) i32.fill(0, page >>> 2, (page + pages * PAGE_BYTES) >>> 2);
    if (!locks.acquire(LOCK, patience)) {
      giveBackPages(page, frame);
      return PROVIDE_BUSY;
    }
    let linked = true;
    try {
      // An arena that has ended meanwhile gets nothing: its tags are its closer's, or the next arena's.
      if (!isAlive()) linked = false;
      else if (table < 0) addTags(page);
      else if (engine.segments.hash.missingTable(a) === table) engine.segments.hash.linkTable(a, table, page >>> 2);
      else linked = false;
      if (linked) {
        add(a + ARENA_OWN, pages);
        set(frame + INTENT_EXTENT, 0);
      }
      commit();
    } finally {
      locks.release();
    }
    // Not linked: somebody else was faster with the same table, or the caller will see that the arena has ended.
    if (linked) intents.pop(frame);
    else giveBackPages(page, frame);
    return PROVIDED;
  }

  /** The heap feeds itself. */
  function populateHeap(patience: number): number {
    if (!locks.acquire(LOCK, patience)) return PROVIDE_BUSY;
    try {
      return heap.populate() ? PROVIDED : NOT_PROVIDED;
    } finally {
      locks.release();
    }
  }

  function giveBackPages(page: number, frame: number): void {
    // Out of reach, the frame stays: what is in it is given back at the next slow path.
    if (heap.free(page, frame + INTENT_EXTENT)) intents.pop(frame);
  }

  /** The page becomes the one that tags are carved from; what is left of the old one goes to the list first. */
  function addTags(page: number): void {
    engine.segments.retireRest(a, commit);
    set(a + ARENA_TAG_NEXT, (page >>> 2) + TAG_PAGE_HEADER_WORDS);
    set(a + ARENA_TAG_END, (page + PAGE_BYTES) >>> 2);
  }

  function hold(frame: number, start: number, size: number): void {
    f64[(frame + SPAN_START) >> 1] = start;
    f64[(frame + SPAN_SIZE) >> 1] = size;
    set(frame + SPAN_HELD, home);
  }

  function unhold(frame: number): void {
    set(frame + SPAN_HELD, 0);
  }

  function isHomeOf(frame: number): boolean {
    return i32[frame + SPAN_HELD] === home;
  }

  function wake(): void {
    Atomics.notify(i32, a + ARENA_WAIT_SEQ);
    for (const wakeUp of sleepers) wakeUp();
  }

  function sleep(seq: number, ms: number): boolean {
    if (!canWait) return false;
    Atomics.wait(i32, a + ARENA_WAIT_SEQ, seq, ms);
    return true;
  }

  function sleepAsync(seq: number, ms: number): { done: Promise<void>; cancel: () => void } {
    let cancel = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      const timer = setTimeout(() => cancel(), ms);
      cancel = () => {
        clearTimeout(timer);
        sleepers.delete(cancel);
        resolve();
      };
      sleepers.add(cancel);
    });
    if (canWaitAsync) {
      const wait = Atomics.waitAsync(i32, a + ARENA_WAIT_SEQ, seq, ms);
      if (wait.async) void wait.value.then(() => cancel());
      else cancel();
    }
    return { done, cancel: () => cancel() };
  }

  function unclaim(): void {
    // While this thread's name is here, the record can become nobody else's.
    if (isAlive() && i32[a + ARENA_CLOSER] === floor.me) i32[a + ARENA_CLOSER] = 0;
  }

  function isEnding(closer: number): boolean {
    const by = closer === 0 ? floor.me : closer;
    return i32[a + ARENA_STATE] === ARENA_STATE_DYING && i32[a + ARENA_SERIAL] === serial && i32[a + ARENA_CLOSER] === by;
  }

  function beginEnd(mayEnd: () => void): boolean {
    if (!locks.acquire(LOCK, patienceMs)) return false;
    try {
      mayEnd();
      set(a + ARENA_STATE, ARENA_STATE_DYING);
      commit();
      return true;
    } finally {
      locks.release();
    }
  }

  return {
    a,
    serial,
    home,
    owner: floor.me,
    memory: floor,
    guarded: isHeap,
    engine: () => engine,
    begin,
    hurry,
    enter: (mayWait) => locks.acquire(LOCK, mayWait ? patienceMs : 0),
    leave: () => locks.release(),
    commit,
    isAlive,
    provide,
    hold,
    unhold,
    isHomeOf,
    wake,
    sleep,
    sleepAsync,
    claim: () => services.claim(a, serial),
    unclaim,
    beginEnd,
    isEnding,
    end: (closer) => services.retire(a, serial, closer === 0 ? floor.me : closer),
  };
}
