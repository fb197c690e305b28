/**
 * The loops in which all peers are measured: one source for all, so that they differ in the peer alone.
 *
 * A process calls one of these factories once. The peer is then a constant of the loop's closure, and every call site in it sees
 * one class: the way a program with `const particles = uma.open(Particle)` in a module sees its zone. What was allocated is
 * always stored into `live`, so that no allocation can be optimised away, and taken from there to be freed.
 */

/** Something to allocate from. */
export interface Peer<T> {
  alloc(): T;
  free(item: T): void;
}

/** Where what is live is kept: an Int32Array of addresses, or an array of objects. */
export interface Live<T> {
  [index: number]: T;
}

/** Pairs in a batch of {@link oneLive}. */
const ONE_LIVE_PAIRS = 256;

/** One item at a time. */
export function oneLive<T>(of: Peer<T>, kept: Live<T>): () => number {
  const peer = of;
  const live = kept;
  return () => {
    for (let n = 0; n < ONE_LIVE_PAIRS; n++) {
      const item = peer.alloc();
      live[n & 63] = item;
      peer.free(item);
    }
    return ONE_LIVE_PAIRS;
  };
}

/** `count` items, freed last first. */
export function lastFirst<T>(of: Peer<T>, kept: Live<T>, count: number): () => number {
  const peer = of;
  const live = kept;
  const all = count;
  return () => {
    for (let n = 0; n < all; n++) live[n] = peer.alloc();
    for (let n = all - 1; n >= 0; n--) peer.free(live[n] as T);
    return all;
  };
}

/** `count` items, freed first first. */
export function firstFirst<T>(of: Peer<T>, kept: Live<T>, count: number): () => number {
  const peer = of;
  const live = kept;
  const all = count;
  return () => {
    for (let n = 0; n < all; n++) live[n] = peer.alloc();
    for (let n = 0; n < all; n++) peer.free(live[n] as T);
    return all;
  };
}

/** As many items as `order` has entries, freed in that order. */
export function inOrder<T>(of: Peer<T>, kept: Live<T>, order: Int32Array): () => number {
  const peer = of;
  const live = kept;
  const sequence = order;
  const all = order.length;
  return () => {
    for (let n = 0; n < all; n++) live[n] = peer.alloc();
    for (let n = 0; n < all; n++) peer.free(live[sequence[n] as number] as T);
    return all;
  };
}

/**
 * As many items as `order` has entries (a power of two); one after the other, in that order, is freed and replaced by a new one,
 * which is written to. `pairs` of that a batch.
 */
export function churn<T>(of: Peer<T>, kept: Live<T>, order: Int32Array, touch: (item: T) => void, pairs: number): () => number {
  const peer = of;
  const live = kept;
  const sequence = order;
  const write = touch;
  const mask = order.length - 1;
  const some = pairs;
  let at = 0;
  for (let n = 0; n <= mask; n++) {
    const item = peer.alloc();
    live[n] = item;
    write(item);
  }
  return () => {
    for (let n = 0; n < some; n++) {
      const victim = sequence[(at + n) & mask] as number;
      peer.free(live[victim] as T);
      const item = peer.alloc();
      live[victim] = item;
      write(item);
    }
    at = (at + some) & mask;
    return some;
  };
}
