/**
 * Waiting for a free: blocking, and without blocking.
 *
 * A waiter tries, asks under the arena's lock for a wake-up (so that no free can come between), and sleeps; it looks again from time
 * to time, as a killed worker may have swallowed its wake-up. It never spins, and what no free could help is refused at once.
 */
import { UmaError } from "../memory/errors.ts";
import { ARENA_WAITS } from "../memory/layout.ts";
import type { AsyncOptions, WaitOptions } from "./arena.ts";
import { checkTimeout, failed } from "./complaints.ts";
import { busyKind } from "./engine.ts";
import type { ArenaHandle } from "./handle.ts";
import type { Request } from "./request.ts";
import { BUSY, takeRegistered } from "./taking.ts";

/** A waiter looks again at least this often, milliseconds. */
const RECHECK_MS = 1000;
/** The same where the workers' caches were asked for what they hold: they give it when they look, and call nobody. */
const RECHECK_CACHES_MS = 20;

export function waitFor(h: ArenaHandle, r: Request, xalloc: boolean, { timeout }: WaitOptions, size: number): number {
  const until = performance.now() + checkTimeout(timeout, h.name);
  for (let waited = false; ; waited = true) {
    const start = attempt(h, r, xalloc, true);
    if (start >= 0) return start;
    const left = mustGoOn(h, start, until, size, waited);
    if (!h.backing.sleep(h.seenSeq, Math.min(left, recheckMs(h)))) {
      throw new UmaError("ERR_UMA_WAIT_HERE", `arena "${h.name}": this thread may not block, or nobody else could free; use allocAsync`, {
        zone: h.name,
      });
    }
  }
}

export async function waitAsync(h: ArenaHandle, r: Request, xalloc: boolean, options: AsyncOptions, size: number): Promise<number> {
  const { timeout, signal } = options;
  const until = performance.now() + checkTimeout(timeout, h.name);
  for (let waited = false; ; waited = true) {
    if (signal?.aborted === true) throw aborted(h, signal.reason);
    const start = attempt(h, r, xalloc, false);
    if (start >= 0) return start;
    const left = mustGoOn(h, start, until, size, waited);
    const nap = h.backing.sleepAsync(h.seenSeq, start === BUSY ? 1 : Math.min(left, recheckMs(h)));
    signal?.addEventListener("abort", nap.cancel, { once: true });
    try {
      await nap.done;
    } finally {
      signal?.removeEventListener("abort", nap.cancel);
    }
  }
}

/** The cache, then the arena. */
function attempt(h: ArenaHandle, r: Request, xalloc: boolean, mayWait: boolean): number {
  if (!xalloc && h.cache !== null && r.size <= h.qcacheMax && r.policy === 0 && !r.end) {
    const start = h.cache.alloc(r.size, false);
    if (start >= 0) return start;
  }
  return takeRegistered(h, r, busyKind(xalloc), mayWait);
}

function recheckMs(h: ArenaHandle): number {
  return h.cache !== null && h.cache.isShared ? RECHECK_CACHES_MS : RECHECK_MS;
}

/** Whether a waiter that got nothing may wait on. @returns milliseconds left. */
function mustGoOn(h: ArenaHandle, outcome: number, until: number, size: number, waited: boolean): number {
  if (outcome !== BUSY && h.hopeless) throw failed(h, size);
  if (!waited) h.count(ARENA_WAITS);
  const left = until - performance.now();
  if (left > 0) return left;
  throw new UmaError("ERR_UMA_TIMEOUT", `arena "${h.name}": no ${size} integers were freed in time`, { zone: h.name, value: size });
}

function aborted(h: ArenaHandle, reason: unknown): UmaError {
  return new UmaError("ERR_UMA_ABORTED", `waiting for arena "${h.name}" was aborted`, { zone: h.name, cause: reason });
}
