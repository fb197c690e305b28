/**
 * Token buckets that all workers draw from, without a lock.
 *
 * A bucket is one word: the time at which it will be full again. Taking a token moves that time on by what one token takes to come
 * back; there is none to be had when it would lie further ahead than the whole bucket takes to fill. So a take is one
 * compare-exchange, and a worker that is killed has taken its token or has not. (The telephone companies call it the generic cell
 * rate algorithm.)
 *
 * Times are ticks of 10 µs in a ring of 32 bits. What seems to lie much too far ahead is a bucket untouched for hours: it is full.
 * Somewhat too far ahead is one that a worker has emptied whose clock was read later, or is ahead.
 */
import type { Shop } from "./zones.ts";

const TICKS_PER_SECOND = 100_000;
/** By how much two workers may disagree about the time. */
const APART_TICKS = 60 * TICKS_PER_SECOND;

export interface RateLimit {
  /** Tokens a second, and tokens that a full bucket holds. */
  readonly rate: number;
  readonly burst: number;
}

export interface RateLimiter {
  /**
   * Takes a token of the client's.
   * @param now - seconds since the server began.
   * @returns 0 when there was one; else how long until there is one, milliseconds. NO_ROOM: too many clients.
   */
  readonly take: (client: number, now: number) => number;
}

export const NO_ROOM = -1;

export function createRateLimiter({ clients, clientOf }: Shop, { rate, burst }: RateLimit): RateLimiter {
  const perToken = Math.max(1, Math.round(TICKS_PER_SECOND / rate));
  const whole = perToken * burst;
  const { shift, offset } = clients.columns.full;
  const full = clients.columns.full.view;

  /** The client's bucket; 0 when there is no room for one. */
  function bucketOf(client: number, ticks: number): number {
    const known = clients.get(clientOf.get(client) ?? 0);
    if (known !== 0) return known;
    const made = clients.tryAlloc();
    if (made === 0) return 0;
    const p = clients.at(made);
    p.key = client;
    p.full = ticks;
    // Another worker may have had the same idea; all take the one that is in the map. The other is swept up by and by.
    return clients.get(clientOf.getOrSet(client, clients.handleOf(made)));
  }

  return {
    take(client, now) {
      const ticks = Math.floor(now * TICKS_PER_SECOND) | 0;
      const bucket = bucketOf(client, ticks);
      if (bucket === 0) return NO_ROOM;
      const word = (bucket >> shift) + offset;
      for (;;) {
        const seen = Atomics.load(full, word);
        const ahead = (seen - ticks) | 0;
        const from = ahead < 0 || ahead > whole + APART_TICKS ? ticks : seen;
        const next = (from + perToken) | 0;
        const tooFar = ((next - ticks) | 0) - whole;
        if (tooFar > 0) return Math.ceil((tooFar * 1000) / TICKS_PER_SECOND);
        if (Atomics.compareExchange(full, word, seen, next) === seen) return 0;
      }
    },
  };
}

/** How long the bucket has been full, seconds; negative while it is not. @param fullAt - its word. */
export function fullFor(fullAt: number, now: number): number {
  return (((Math.floor(now * TICKS_PER_SECOND) | 0) - fullAt) | 0) / TICKS_PER_SECOND;
}
