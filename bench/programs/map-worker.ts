/** A reader or the writer of a shared map, with or without one lock round the whole map. */
import { openMap, type Ticket, Uma } from "../../src/index.ts";
import type { Slice } from "../harness/suite.ts";
import { crewData, serve } from "./crew.ts";
import { createLock } from "./one-lock.ts";
import { KEYS, SharedKeys } from "./shared-keys.ts";

export interface MapUser {
  readonly role: "read" | "write";
  readonly ticket: Ticket;
  /** Its first word is the lock; null: the map as it is. */
  readonly locked: SharedArrayBuffer | null;
  readonly seed: number;
}

/** Operations between two looks at the clock. */
const AT_A_TIME = 256;

const { role, ticket, locked, seed } = crewData<MapUser>();
const map = openMap(Uma.attach(ticket), SharedKeys);
let at = seed;

/** The keys come in an order that no cache likes. */
function nextKey(): number {
  at = (at * 48271) % 2147483647;
  return at % KEYS;
}

const read = (): void => void map.get(nextKey());
const write = (): void => map.set(nextKey(), at);
const bare = role === "read" ? read : write;

function underLock(buffer: SharedArrayBuffer): () => void {
  const { lock, unlock } = createLock(new Int32Array(buffer), 0);
  return () => {
    lock();
    bare();
    unlock();
  };
}

const use = locked === null ? bare : underLock(locked);

serve((ms): Slice => {
  const start = performance.now();
  let ops = 0;
  let now = start;
  for (; now - start < ms; now = performance.now()) {
    for (let n = 0; n < AT_A_TIME; n++) use();
    ops += AT_A_TIME;
  }
  return { ops, ns: (now - start) * 1e6 };
});
