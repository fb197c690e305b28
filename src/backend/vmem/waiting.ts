/**
 * Waiting for a free: blocking, and without blocking.
 *
 * A waiter tries, asks under the arena's lock for a wake-up (so that no free can come between), and sleeps; it looks again from time
 * to time, as a killed worker may have swallowed its wake-up. It never spins, and what no free could help is refused at once.
 *
 * Where it could not ask (the lock was out of reach, or no tags were to be had) it naps on the sequence as it stands: on one that an
 * earlier wake-up has moved past it would not sleep at all. And a waiter that does not block lets timers have their turn before it
 * tries a third time, whatever woke it: the certificate of a dead holder comes through the event loop that it waits in.
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
/** A nap of a waiter that could not ask for a wake-up, milliseconds; and of one that does not block and found the lock taken. */
const UNASKED_NAP_MS = 20;
const BUSY_TURN_MS = 1;

export function waitFor(h: ArenaHandle, r: Request, xalloc: boolean, { timeout }: WaitOptions, size: number): number {
  const until = performance.now() + checkTimeout(timeout, h.name);
  for (let waited = false; ; waited = true) {
    const start = attempt(h, r, xalloc, true);
    if (start >= 0) return start;
    const left = mustGoOn(h, start, until, size, waited);
    if (!h.backing.sleep(h.seenSeq, Math.min(left, napMs(h)))) {
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
    const nap = h.backing.sleepAsync(h.seenSeq, Math.min(left, start === BUSY ? BUSY_TURN_MS : napMs(h)));
    signal?.addEventListener("abort", nap.cancel, { once: true });
    try {
      await nap.done;
    } finally {
      signal?.removeEventListener("abort", nap.cancel);
    }
    if (waited) await new Promise<void>((resolve) => void setTimeout(resolve, 0));
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

function napMs(h: ArenaHandle): number {
  if (!h.hasAsked) return UNASKED_NAP_MS;
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
