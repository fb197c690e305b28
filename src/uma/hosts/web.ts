/**
 * The death certificate of browsers: a Web Lock, held for life.
 *
 * A page is not told when its worker ends, and no message comes from one that was terminated. But a lock of `navigator.locks` is let
 * go when its holder's agent ends, however it ends. So a worker takes the lock of its name *before* it counts as live, and holds it
 * until it has left; who watches it asks for the same lock now and then, with `ifAvailable`: if it is granted although the slot says
 * that its worker is live and holds it, that worker is dead.
 *
 * The watcher polls, and does not queue behind the holder: a request that was queued before the death may stay pending until another
 * request comes (seen in Node 24). A lock stolen from a living holder (`steal`) is no certificate either: the holder is told, and
 * takes its word back.
 *
 * `terminate()` of a worker that does not go back to its event loop takes two seconds and more in Chromium: it is asked first, forced
 * then, and stores until the end. The lock is let go after its last store (seen in Chromium 156), so the certificate holds; a worker
 * that is to be replaced at once must let its event loop have a turn now and then (`Atomics.waitAsync` instead of `Atomics.wait`).
 *
 * The workers that a worker has started are ended after it, and may be at work for as long as those two seconds: its lock says nothing
 * about them. Each has a lock of its own, which is watched in its turn; one without is never found dead.
 *
 * Nothing of the host is imported: `navigator.locks`, or what is handed in and behaves like it.
 */
import { UmaError } from "../../backend/memory/errors.ts";

/** As much of `navigator.locks` as is used here. */
export interface LocksLike {
  request<T>(name: string, options: { readonly ifAvailable?: boolean }, callback: (lock: unknown) => T | Promise<T>): Promise<T>;
}

/** The lock manager of this thread. @throws UmaError ERR_UMA_NO_LOCKS where there is none. */
export function findLocks(given: LocksLike | undefined): LocksLike {
  const found = given ?? (typeof navigator === "undefined" ? undefined : (navigator.locks as LocksLike | undefined));
  if (found !== undefined) return found;
  throw new UmaError(
    "ERR_UMA_NO_LOCKS",
    "navigator.locks is missing here (Node before 24, or an insecure page): watch the worker's exit event, or reap it by hand",
  );
}

/** Name of the lock that the worker `name` of a memory holds for life. */
export function lockNameOf(memory: { readonly idLow: number; readonly idHigh: number; readonly base: number }, name: number): string {
  const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
  return `zalloc:${hex(memory.idHigh)}${hex(memory.idLow)}:${memory.base}:${name}`;
}

/**
 * Takes a lock for good.
 * @param lost - called if somebody steals it.
 * @returns resolves once it is granted, with a function that lets it go.
 */
export function holdForLife(locks: LocksLike, lockName: string, lost: () => void): Promise<() => void> {
  return new Promise((resolve, reject) => {
    let granted = false;
    const held = locks.request(lockName, {}, () => {
      granted = true;
      return new Promise<void>((release) => resolve(release));
    });
    held.catch((reason: unknown) => {
      // Chromium breaks the promise off in a worker that is terminated, with null for a reason, and that is heard. A theft has an error.
      if (granted) {
        if (reason instanceof Error) lost();
      } else reject(reason instanceof Error ? reason : new Error(String(reason)));
    });
  });
}

/** What the slot of a watched worker says: not (yet) with a lock, live and holding it, or a tenant of the past. */
export type Watched = "without" | "held" | "over";

/**
 * Waits for the death of a lock's holder.
 * @param look - asked while the lock is in the watcher's own hands.
 * @param intervalMs - between two tries, milliseconds.
 * @returns resolves when the holder is dead ("held") or the tenant is gone ("over"); rejects when the signal is aborted.
 */
export async function untilReleased(
  locks: LocksLike,
  lockName: string,
  look: () => Watched,
  intervalMs: number,
  signal: AbortSignal | undefined,
): Promise<"held" | "over"> {
  for (;;) {
    if (signal?.aborted === true) throw new UmaError("ERR_UMA_ABORTED", "the watch was ended by its signal", { cause: signal.reason });
    const found = await locks.request(lockName, { ifAvailable: true }, (lock) => (lock === null ? null : look()));
    if (found === "held" || found === "over") return found;
    if (look() === "over") return "over";
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, intervalMs);
      signal?.addEventListener("abort", done, { once: true });
      function done(): void {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      }
    });
  }
}
