/**
 * Waiting for an item: blocking (`allocWait`) and with a promise (`allocAsync`).
 *
 * A waiter first joins the zone's queue, so that every free from then on wakes somebody; then it asks the other workers for the
 * items that lie in their caches, looks once more, and only then sleeps on its slot's wait word. Every sleep is short: the waiter
 * looks again by itself, and asks again, whatever wake-up a killed worker may have swallowed. A worker that sleeps also does what
 * others ask of it in its other zones.
 *
 * The promises of one thread stand in one list, first come, first served in each zone; the thread is one waiter of the zone for
 * all of them. They are served when the thread is woken (Atomics.waitAsync, where there is one) and by a timer. The same ear
 * has an idle thread give up what lies in its caches when others ask for it.
 */
import { isShared } from "../backend/memory/buffer.ts";
import { UmaError, optionError } from "../backend/memory/errors.ts";
import { LINE_FAILS, LINE_REASONS, LINE_SLEEPS, MARK_BUSY, SLOT_WAIT, ZONE_SLEEPS } from "../backend/memory/layout.ts";
import type { Core } from "./core.ts";
import { createMarkScan } from "./marks.ts";
import { REFUSED } from "./outcome.ts";
import type { Queue } from "./queue.ts";
import type { Zone } from "./zone.ts";

export interface WaitOptions {
  /** How long to wait at the most, milliseconds; Infinity (default) waits until there is an item. */
  readonly timeout?: number;
}

export interface AsyncWaitOptions extends WaitOptions {
  /** Ends the wait with ERR_UMA_ABORTED, the signal's reason as cause. */
  readonly signal?: AbortSignal;
}

export interface Waiting {
  wait(z: Zone, arg: unknown, options: WaitOptions): number;
  later(z: Zone, arg: unknown, options: AsyncWaitOptions): Promise<number>;
  /** Ends all waits of this thread for a zone that is being closed. @returns false when a lock was out of reach. */
  closing(z: Zone): boolean;
  /** Leaves the queues that could not be left at once, a lock being out of reach. */
  leaveStale(): void;
  /** Serves the promises that can be served. */
  serve(): void;
  /** Whether this thread is inside a ctor or dtor of the zone. */
  isInHook(z: Zone): boolean;
  /** Ends the promises of a thread that has left, and its timer. */
  end(): void;
  /** Has the thread's event loop do what other workers ask, and serve promises, as soon as it is woken. */
  listen(): void;
}

/** What waiting needs of the parts around it. */
export interface WaitServices {
  /** Asks the other openers for what lies in their caches. */
  askBack(z: Zone): void;
  /** Asks the other zones on its keg for what lies in theirs. */
  askSiblings(z: Zone): void;
  attend(z: Zone): void;
}

/** Between two looks of a sleeper that nobody wakes, milliseconds. */
const NAP_MS = 20;

interface Promised {
  readonly z: Zone;
  readonly arg: unknown;
  readonly until: number;
  readonly resolve: (item: number) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

export function createWaiting(core: Core, queue: Queue, services: WaitServices): Waiting {
  const { i32, canWait, buffer } = core.floor.cells;
  const { slotWord, slot } = core.floor;
  const { heapStart, heapEnd } = core.floor.geometry;
  const scan = createMarkScan(core.floor, core.slabs);
  const { caches, staleWaits } = core;
  const WAIT = slotWord + SLOT_WAIT;
  const promised: Promised[] = [];
  /** Waits that block this thread at the moment, by zone: a ctor may wait for an item of another zone. */
  const blocked: Zone[] = [];
  /** The wait word as it was before this thread last looked at everything. */
  let heard = 0;
  let alarm: ReturnType<typeof setTimeout> | null = null;

  function isNeeded(z: Zone): boolean {
    return blocked.includes(z) || promised.some((p) => p.z === z);
  }

  /** Ends this worker's place in the queue unless another of its waits needs it, and passes on what it leaves. */
  function leave(z: Zone): void {
    if (z.closed || isNeeded(z)) return;
    if (!queue.leave(slotWord, z.zone)) staleWaits.add(z);
    queue.pass(z.zone);
  }

  function leaveStale(): void {
    for (const z of Array.from(staleWaits)) {
      staleWaits.delete(z);
      leave(z);
    }
  }

  /** A try as one of those who wait; it is not counted as a failure. */
  function attempt(z: Zone, arg: unknown): number {
    const fails = i32[z.line + LINE_FAILS];
    caches.asWaiter(z.zone);
    try {
      const p = z.tryAlloc(arg);
      if (p === 0 && !z.closed && core.failure !== REFUSED) i32[z.line + LINE_FAILS] = fails;
      return p;
    } finally {
      caches.asWaiter(0);
    }
  }

  function refused(z: Zone): UmaError {
    return new UmaError("ERR_UMA_HOOK", `a hook of zone "${z.name}" refused the item`, { zone: z.name });
  }

  function timedOut(z: Zone): UmaError {
    return new UmaError("ERR_UMA_TIMEOUT", `no item of zone "${z.name}" came free in time`, { zone: z.name });
  }

  function untilOf(z: Zone, timeout: number | undefined): number {
    if (timeout === undefined) return Infinity;
    if (typeof timeout !== "number" || !(timeout >= 0)) throw optionError("timeout", timeout, "0 or more (milliseconds)", z.name);
    return performance.now() + timeout;
  }

  function wait(z: Zone, arg: unknown, options: WaitOptions): number {
    const until = untilOf(z, options.timeout);
    if (!canWait) {
      throw new UmaError("ERR_UMA_WAIT_HERE", `this thread may not block; use allocAsync of zone "${z.name}"`, { zone: z.name });
    }
    leaveStale();
    const first = z.tryAlloc(arg);
    if (first !== 0) return first;
    // By what the limit's action, or a callback, has done.
    if (z.closed) throw gone(z);
    if (core.failure === REFUSED) throw refused(z);
    if (isInHook(z)) {
      throw new UmaError("ERR_UMA_HOOK_RECURSION", `a ctor or dtor of zone "${z.name}" would wait for an item of its own zone`, {
        zone: z.name,
      });
    }
    i32[z.line + LINE_SLEEPS]++;
    Atomics.add(i32, z.zone + ZONE_SLEEPS, 1);
    blocked.push(z);
    try {
      return sleepUntil(z, arg, until);
    } finally {
      blocked.pop();
      leave(z);
    }
  }

  /** Whether this thread is inside a ctor or dtor of the zone: an item of it is BUSY in its name. Where there are no marks, it is counted. */
  function isInHook(z: Zone): boolean {
    if (!z.checks) return (core.hookDepth[z.id] as number) > 0;
    if (z.definition.ctor === null && z.definition.dtor === null) return false;
    let from = heapStart;
    while (scan.next(slot, from, heapEnd, z.keg)) {
      const { item, mark, value } = scan.found;
      from = item + 1;
      if ((value & MARK_BUSY) === 0 || core.items.zoneOf(z.keg, mark) !== z.zone) continue;
      if (!core.unfinished.some((one) => one.item === item)) return true;
    }
    return false;
  }

  function sleepUntil(z: Zone, arg: unknown, until: number): number {
    for (;;) {
      // While it slept, another may have destroyed it: its record is nobody's now, or another zone's.
      if (z.closed) throw gone(z);
      // Joined anew each time: the lock may have been out of reach before.
      queue.join(slotWord, z.zone);
      const seen = Atomics.load(i32, WAIT);
      services.askBack(z);
      services.askSiblings(z);
      const p = attempt(z, arg);
      if (p !== 0) return p;
      if (core.failure === REFUSED) throw refused(z);
      const left = until - performance.now();
      if (left <= 0) throw timedOut(z);
      Atomics.wait(i32, WAIT, seen, Math.min(left, NAP_MS));
      attendAll();
    }
  }

  /** Does what others ask of a worker that sleeps. */
  function attendAll(): void {
    for (let id = core.open.length - 1; id > 0; id--) {
      const z = core.open[id];
      if (z === undefined || z.closed || z.inHook > 0) continue;
      if (Atomics.load(i32, z.line + LINE_REASONS) !== 0) services.attend(z);
    }
  }

  function later(z: Zone, arg: unknown, options: AsyncWaitOptions): Promise<number> {
    const { signal } = options;
    const until = untilOf(z, options.timeout);
    return new Promise<number>((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(aborted(z, signal));
        return;
      }
      const first = isNeeded(z) ? 0 : z.tryAlloc(arg);
      if (first !== 0) {
        resolve(first);
        return;
      }
      if (z.closed) {
        reject(gone(z));
        return;
      }
      if (!isNeeded(z) && core.failure === REFUSED) {
        reject(refused(z));
        return;
      }
      i32[z.line + LINE_SLEEPS]++;
      const entry: Promised = { z, arg, until, resolve, reject, signal, onAbort: () => abort(entry) };
      promised.push(entry);
      signal?.addEventListener("abort", entry.onAbort, { once: true });
      serve();
    });
  }

  function aborted(z: Zone, signal: AbortSignal): UmaError {
    return new UmaError("ERR_UMA_ABORTED", `the wait for an item of zone "${z.name}" was aborted`, { zone: z.name, cause: signal.reason });
  }

  function abort(entry: Promised): void {
    if (!remove(entry)) return;
    leave(entry.z);
    entry.reject(aborted(entry.z, entry.signal as AbortSignal));
  }

  function remove(entry: Promised): boolean {
    const at = promised.indexOf(entry);
    if (at < 0) return false;
    promised.splice(at, 1);
    entry.signal?.removeEventListener("abort", entry.onAbort);
    return true;
  }

  function serve(): void {
    if (alarm !== null) clearTimeout(alarm);
    alarm = null;
    leaveStale();
    attendAll();
    const inVain: Zone[] = [];
    for (const entry of Array.from(promised)) {
      if (!promised.includes(entry)) continue;
      if (!inVain.includes(entry.z) && !tryToServe(entry)) inVain.push(entry.z);
      if (promised.includes(entry) && performance.now() >= entry.until) settle(entry, timedOut(entry.z));
    }
    // The timer looks again by itself, and keeps the thread from ending.
    if (promised.length > 0) alarm = setTimeout(serve, NAP_MS);
  }

  /** @returns whether the entry is settled, one way or the other. */
  function tryToServe(entry: Promised): boolean {
    const { z, arg } = entry;
    let p: number;
    try {
      queue.join(slotWord, z.zone);
      services.askBack(z);
      services.askSiblings(z);
      p = attempt(z, arg);
    } catch (thrown) {
      settle(entry, thrown);
      return true;
    }
    if (p === 0 && core.failure !== REFUSED) return false;
    if (p === 0) settle(entry, refused(z));
    else if (remove(entry)) {
      entry.resolve(p);
      leave(z);
    } else z.free(p);
    return true;
  }

  function settle(entry: Promised, error: unknown): void {
    if (!remove(entry)) return;
    leave(entry.z);
    entry.reject(error);
  }

  function listen(): void {
    heard = Atomics.load(i32, WAIT);
    hear();
  }

  /** Hears of wake-ups for as long as the thread is attached; keeps nothing alive by that. */
  function hear(): void {
    if (typeof Atomics.waitAsync !== "function" || !isShared(buffer)) return;
    const woken = Atomics.waitAsync(i32, WAIT, heard);
    if (woken.async) void woken.value.then(roused);
    else queueMicrotask(roused);
  }

  function roused(): void {
    if (!core.attached) return;
    heard = Atomics.load(i32, WAIT);
    try {
      serve();
    } catch {
      // A fini of the user's, most likely: nobody is there to be told, and the slab is gone either way.
    }
    hear();
  }

  function gone(z: Zone): UmaError {
    return new UmaError("ERR_UMA_ZONE_CLOSED", `zone "${z.name}" was closed while an item was waited for`, { zone: z.name });
  }

  function closing(z: Zone): boolean {
    if (!queue.leave(slotWord, z.zone)) return false;
    staleWaits.delete(z);
    for (const entry of Array.from(promised)) {
      if (entry.z === z && remove(entry)) entry.reject(gone(z));
    }
    return true;
  }

  function end(): void {
    if (alarm !== null) clearTimeout(alarm);
    alarm = null;
    for (const entry of Array.from(promised)) {
      if (!remove(entry)) continue;
      const { name } = entry.z;
      entry.reject(
        new UmaError("ERR_UMA_DETACHED", `this thread has detached while an item of zone "${name}" was waited for`, { zone: name }),
      );
    }
  }

  return { wait, later, closing, leaveStale, serve, isInHook, end, listen };
}
