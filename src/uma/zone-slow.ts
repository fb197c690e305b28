/**
 * The slow path of a zone: what alloc and free do when the bucket does not serve.
 *
 * Every slow path begins with {@link SlowPath.enter}: what an exception left behind is undone, what other workers have asked for is
 * done, what a lock out of reach had cut short is finished. An item on its way is BUSY in this worker's name, so that its owner is
 * known at each instant; a free that cannot be finished keeps it so, on a list of this thread, until the next slow path.
 */
import { UmaError } from "../backend/memory/errors.ts";
import * as layout from "../backend/memory/layout.ts";
import { type Core, SHORTCUT_TAGS, finishUnfinished } from "./core.ts";
import { type Dtor } from "./hooks.ts";
import { hookError } from "./keg.ts";
import * as outcomes from "./outcome.ts";
import { failureName, type Outcome } from "./outcome.ts";
import type { Zone, ZoneServices } from "./zone.ts";

const {
  BUCKET_EMPTY,
  BUCKET_MASK,
  LINE_ALLOCS,
  LINE_ALLOCS_HIGH,
  LINE_FAILS,
  LINE_REASONS,
  LINE_PREFILL,
  LINE_SP,
  LINE_SPARE,
  LINE_TOP,
  MARK_BUSY,
  MARK_FREE,
  NO_BUCKET,
  PTE_DELTA,
  SB_DEAD_LINE,
  SB_PAGE_LIMIT,
  SLOT_JOURNAL_COUNT,
  SLOT_PENDING_LOCK,
  ZONE_BUCKET_CAP,
} = layout;
const { BUSY, EMPTY, LIMIT, OK, REFUSED } = outcomes;

export interface SlowPath {
  /** The beginning of every slow path. @throws UmaError ERR_UMA_ZONE_CLOSED, ERR_UMA_HOOK_RECURSION. */
  readonly enter: (z: Zone) => void;
  /** The same for a zone that may be closed by now. */
  readonly prepare: (z: Zone) => void;
  /** Does `work`, keeping the zone off its line if an exception that is none of ours goes through it. */
  readonly guarded: <T>(z: Zone, work: () => T) => T;
  /**
   * The slow end of every alloc: takes an item and marks it with `mark`.
   * @returns 0, and why in `core.failure`, when there is none; unless there `must` be one: then it throws.
   */
  readonly take: (z: Zone, mark: number, must: boolean) => number;
  /** An allocation that was counted has been refused after all. */
  readonly uncountAlloc: (z: Zone) => void;
  /** Puts an item that is this worker's into a bucket or its slab. @returns false when a lock was out of reach. */
  readonly put: (z: Zone, p: number) => boolean;
  /** The hot path's checks of an address once more. @returns the byte index of its mark; 0 = something is wrong. */
  readonly quickMark: (z: Zone, p: number) => number;
  /** Frees an item of this worker's, without dtor, by swapping full bucket and spare. @returns false when it is not that simple. */
  readonly swapFull: (z: Zone, p: number) => boolean;
  /** Claims another worker's item for being freed, by its mark. @returns false when something is wrong. */
  readonly claimOther: (mark: number) => boolean;
  /** The end of a free without dtor of an item that is marked this worker's. */
  readonly finishOwnFree: (z: Zone, p: number) => void;
  /** The end of every other free: the item is BUSY in this worker's name and done with dtor. Never fails. */
  readonly finishFree: (z: Zone, p: number) => void;
  /** Runs dtor over a claimed item and finishes its free. */
  readonly runDtor: (z: Zone, p: number, dtor: Dtor | null, arg: unknown) => void;
  /** Byte index of the item's mark. */
  readonly markIndex: (z: Zone, p: number) => number;
  /** Why there is no item, as an error. */
  readonly failed: (z: Zone) => UmaError;
  readonly notSmr: (z: Zone) => UmaError;
}

export function createSlowPath(core: Core, services: ZoneServices): SlowPath {
  const { i32, u8 } = core.floor.cells;
  const { caches, exchange, views, unfinished, shortcuts } = core;
  const { locks, slot, slotWord } = core.floor;
  const MINE_BUSY = slot | MARK_BUSY;
  const PAGE_LIMIT = core.floor.cells.base + SB_PAGE_LIMIT;
  const DEAD_LINE = core.floor.cells.base + SB_DEAD_LINE;
  const PT = core.floor.geometry.pageTable;
  const LOW = core.floor.geometry.heapStart;
  const SPAN = core.floor.geometry.heapEnd - LOW;

  /** The beginning of every slow path. */
  function enter(z: Zone): void {
    if (z.closed) throw closedError(z);
    prepare(z);
    if (z.closed) throw closedError(z);
  }

  /** Puts right what an exception left, and does what is due: after it the zone may be closed. */
  function prepare(z: Zone): void {
    if (z.inHook > 0) {
      throw new UmaError("ERR_UMA_HOOK_RECURSION", `an init or fini hook of zone "${z.name}" used its own zone`, { zone: z.name });
    }
    if (i32[slotWord + SLOT_PENDING_LOCK] !== 0 || i32[slotWord + SLOT_JOURNAL_COUNT] !== 0) locks.mend();
    if (z.hurt !== 0) heal(z);
    // Before what is asked for, which may need frames of its own.
    if (core.floor.intents.abandoned() || core.closings.length > 0 || core.staleWaits.size > 0) services.finishCut();
    if (i32[z.line + LINE_REASONS] !== 0) services.attend(z);
    if (unfinished.length > 0) finishUnfinished(core);
  }

  /**
   * An exception that is none of ours (a stack overflow can come at any call) went through a slow path, perhaps in the middle of
   * a transaction that the overflow kept from being undone. Until the next slow path has undone it the hot path must not touch
   * the buckets: the zone points to the dead line meanwhile, which is always empty and always full. No call here, so that there
   * is no second overflow.
   */
  function wound(z: Zone, thrown: unknown): void {
    if (thrown instanceof UmaError || z.closed || z.hurt !== 0) return;
    z.hurt = z.line;
    z.line = DEAD_LINE;
    if (z.tag < SHORTCUT_TAGS) shortcuts[z.tag << 2] = DEAD_LINE;
  }

  function guarded<T>(z: Zone, work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      wound(z, thrown);
      throw thrown;
    }
  }

  /** After the journal was undone: back to the zone's own line. */
  function heal(z: Zone): void {
    if (!z.closed) {
      z.line = z.hurt;
      if (z.inHook === 0) caches.show(z);
      caches.resetTop(z);
    }
    z.hurt = 0;
  }

  function notSmr(z: Zone): UmaError {
    return new UmaError("ERR_UMA_SMR", `zone "${z.name}" is no SMR zone (option smr)`, { zone: z.name });
  }

  function closedError(z: Zone): UmaError {
    return new UmaError("ERR_UMA_ZONE_CLOSED", `zone "${z.name}" is closed in this thread, or was destroyed`, { zone: z.name });
  }

  /**
   * The slow end of every alloc: takes an item and marks it with `mark`.
   *
   * In one piece because its size keeps it out of the loops of programs: V8 inlines no function of more than 460 bytes of bytecode.
   * Inlined, it took the registers from the hot path beside it: a pair lasted an eighth longer, in a zone without checks a fifth.
   *
   * @returns 0, and why in `core.failure`, when there is none; unless there `must` be one: then it throws.
   */
  function take(z: Zone, mark: number, must: boolean): number {
    // What was set aside by prefill: one store, ahead of all that could fail or wait.
    const reserve = i32[z.line + LINE_PREFILL];
    if ((reserve & BUCKET_MASK) > BUCKET_EMPTY && (i32[z.line + LINE_SP] & BUCKET_MASK) <= BUCKET_EMPTY && z.inHook === 0) {
      const p = i32[reserve];
      if (z.checks) u8[markIndex(z, p)] = mark;
      i32[z.line + LINE_PREFILL] = reserve - 1;
      countAlloc(z.line);
      return p;
    }
    const { line: own } = z;
    if (exchange.maySwapEmpty(own)) {
      const p = i32[i32[own + LINE_SPARE]];
      if (z.checks) u8[markIndex(z, p)] = mark;
      exchange.takeFromSpare(own);
      return p;
    }
    enter(z);
    try {
      const line = z.line;
      let p = 0;
      for (;;) {
        const sp = i32[line + LINE_SP];
        if ((sp & BUCKET_MASK) > BUCKET_EMPTY) {
          p = i32[sp];
          if (z.checks) u8[markIndex(z, p)] = mark;
          i32[line + LINE_SP] = sp - 1;
          countAlloc(line);
          break;
        }
        let outcome: Outcome = caches.refill(z);
        if (outcome === OK) continue;
        if (outcome === EMPTY) {
          p = caches.takeSingle(z);
          if (p !== 0) {
            if (z.checks) u8[markIndex(z, p)] = mark;
            countAlloc(line);
            break;
          }
          outcome = caches.outcome();
        }
        i32[line + LINE_FAILS]++;
        if (outcome === LIMIT) services.limitMet(z);
        core.failure = outcome;
        break;
      }
      if (i32[PAGE_LIMIT] !== 0) relieve(z, p);
      if (p === 0 && must) throw failed(z);
      return p;
    } catch (thrown) {
      wound(z, thrown);
      throw thrown;
    }
  }

  /** What a callback or a fini throws goes to who allocates, who then has allocated nothing. */
  function relieve(z: Zone, p: number): void {
    try {
      services.relieve();
    } catch (thrown) {
      // A callback that has left the memory has left the item, too.
      if (p !== 0 && core.attached) takeBack(z, p);
      throw thrown;
    }
  }

  /** No call into the caches here: the exception may be a full stack's. */
  function takeBack(z: Zone, p: number): void {
    if (z.checks) u8[markIndex(z, p)] = MINE_BUSY;
    unfinished.push({ zone: z, item: p });
    uncountAlloc(z);
  }

  function countAlloc(line: number): void {
    const n = i32[line + LINE_ALLOCS];
    if (n >= 0 && n < 0x7fffffff) {
      i32[line + LINE_ALLOCS] = n + 1;
      return;
    }
    // Bit 31 above other bits is a call that has been heard; alone, it is the carry.
    const low = (n + 1) & 0x7fffffff;
    i32[line + LINE_ALLOCS] = low;
    if (low === 0 || n === -0x80000000) i32[line + LINE_ALLOCS_HIGH]++;
  }

  function uncountAlloc(z: Zone): void {
    // A ctor that has closed its zone: the line is not its own any more.
    if (z.closed) return;
    const line = z.hurt === 0 ? z.line : z.hurt;
    const n = i32[line + LINE_ALLOCS];
    // A call that came while ctor ran is dropped here, lest with a count of 0 it be taken for the carry: TOP and the reasons stand.
    const low = n & 0x7fffffff;
    i32[line + LINE_ALLOCS] = (low - 1) & 0x7fffffff;
    if (low === 0 && n === 0) i32[line + LINE_ALLOCS_HIGH]--;
    i32[line + LINE_FAILS]++;
  }

  /** Puts an item that is this worker's, as a rule BUSY, into a bucket or its slab. @returns false when a lock was out of reach. */
  function put(z: Zone, p: number): boolean {
    try {
      return putUnguarded(z, p);
    } catch (thrown) {
      wound(z, thrown);
      throw thrown;
    }
  }

  function putUnguarded(z: Zone, p: number): boolean {
    if (exchange.giveToSpare(z.line, p)) {
      if (z.checks) u8[markIndex(z, p)] = MARK_FREE;
      return true;
    }
    // A hook's exception may have come between: its transaction is undone first, as at the beginning of every slow path.
    if (z.hurt !== 0) {
      locks.mend();
      heal(z);
    }
    // No buckets: a hook has closed or destroyed the zone, or its init or fini is running, which hides them. Or somebody waits
    // for an item, or too many are out: within everybody's reach with it.
    if (z.closed || z.inHook > 0 || caches.isScarce(z.zone)) {
      if ((z.closed ? caches.putBack(z, p) : caches.giveSingle(z, p)) !== OK) return false;
      if (!z.closed) core.queue.wake(z.zone);
      return true;
    }
    const line = z.line;
    for (;;) {
      const sp = i32[line + LINE_SP];
      // Not by TOP, which is 0 also when another worker has called.
      if (sp !== NO_BUCKET && (sp & BUCKET_MASK) < BUCKET_EMPTY + i32[z.zone + ZONE_BUCKET_CAP]) {
        i32[sp + 1] = p;
        i32[line + LINE_SP] = sp + 1;
        if (z.checks) u8[markIndex(z, p)] = MARK_FREE;
        // Somebody may have waited until now.
        if (i32[line + LINE_TOP] === 0) caches.resetTop(z);
        return true;
      }
      let outcome: Outcome = caches.makeRoom(z);
      if (outcome === OK) continue;
      if (outcome === EMPTY) outcome = caches.giveSingle(z, p);
      return outcome === OK;
    }
  }

  /** The hot path's checks of an address once more. @returns the byte index of its mark, 0 when {@link Items.check} is to say what is wrong. */
  function quickMark(z: Zone, p: number): number {
    if (!z.checks || (p | 0) !== p || (p - LOW) >>> 0 >= SPAN) return 0;
    const e = ((p >>> 12) << 2) + PT;
    if (i32[e] !== z.tag || (p & z.unitMask) !== 0) return 0;
    const m = (i32[e + PTE_DELTA] + (p >> z.shift)) | 0;
    return z.zoneAt === 0 || u8[m + z.zoneAt] === z.zoneIndex ? m : 0;
  }

  function swapFull(z: Zone, p: number): boolean {
    if (!z.checks) return (p | 0) === p && exchange.giveToSpare(z.line, p);
    const m = quickMark(z, p);
    if (m === 0 || u8[m] !== slot || !exchange.giveToSpare(z.line, p)) return false;
    u8[m] = MARK_FREE;
    return true;
  }

  /** Claims another worker's item for being freed, as {@link Items.claim} does. @returns false when that is to say what is wrong. */
  function claimOther(m: number): boolean {
    const seen = u8[m];
    return seen !== MARK_FREE && (seen & MARK_BUSY) === 0 && Atomics.compareExchange(u8, m, seen, MINE_BUSY) === seen;
  }

  /** The end of a free without dtor of an item that is this worker's: it is not touched until there is a place for it. */
  function finishOwnFree(z: Zone, p: number): void {
    if (put(z, p)) return;
    u8[markIndex(z, p)] = MINE_BUSY;
    unfinished.push({ zone: z, item: p });
  }

  /** The end of every other free: the item is BUSY in this worker's name and done with dtor. Never fails. */
  function finishFree(z: Zone, p: number): void {
    if (!put(z, p)) unfinished.push({ zone: z, item: p });
    else if (unfinished.length > 0) finishUnfinished(core);
  }

  function markIndex(z: Zone, p: number): number {
    return (i32[((p >>> 12) << 2) + PT + PTE_DELTA] + (p >> z.shift)) | 0;
  }

  function failed(z: Zone): UmaError {
    const { failure } = core;
    const name = failureName(failure);
    if (failure === LIMIT)
      return new UmaError("ERR_UMA_LIMIT", `zone "${z.name}" is at its limit; raise the option limit, or free items`, { zone: z.name });
    if (failure === BUSY)
      return new UmaError("ERR_UMA_BUSY", `zone "${z.name}": a lock could not be had in time; try again`, { zone: z.name });
    if (failure === REFUSED) return new UmaError("ERR_UMA_HOOK", `a hook of zone "${z.name}" refused the item`, { zone: z.name });
    return new UmaError(
      "ERR_UMA_EMPTY",
      `no memory for an item of zone "${z.name}" (${z.size} bytes): ${name}; raise the option bytes of the memory`,
      {
        zone: z.name,
        value: z.size,
      },
    );
  }

  function runDtor(z: Zone, p: number, dtor: Dtor | null, arg: unknown): void {
    if (dtor === null) {
      finishFree(z, p);
      return;
    }
    try {
      dtor(p, arg, views);
    } catch (cause) {
      finishFree(z, p);
      throw hookError("dtor", z.name, p, cause);
    }
    finishFree(z, p);
  }

  return {
    enter,
    prepare,
    guarded,
    take,
    uncountAlloc,
    put,
    quickMark,
    swapFull,
    claimOther,
    finishOwnFree,
    finishFree,
    runDtor,
    markIndex,
    failed,
    notSmr,
  };
}
