/**
 * Beginnings and ends: memories made, attached to and left, tickets, workers of workers, zones in such numbers that their tables
 * grow, zones destroyed while others have them open.
 */
import type * as Library from "../../../src/index.ts";
import { burst, work } from "../basics.ts";
import { watchedHooks } from "../hooks.ts";
import { type Actor, type Makers, type Theme, allowing } from "../theme.ts";

/** Zones that are made and destroyed in numbers. */
const CROWD = 70;
const BYTES = 2 ** 19;

export const birthsTheme: Theme = {
  name: "births",
  steps: 40,

  definitions(makers: Makers) {
    const { defineZone } = makers.tree;
    return [
      defineZone("births plain", { size: 64, bucket: 4 }),
      defineZone("births hooked", { size: 120, bucket: 3, ...watchedHooks(makers) }),
    ];
  },

  step(a) {
    const z = a.random(a.zones.length);
    const action = a.random(100);
    if (action < 20) work(a, z);
    else if (action < 30) burst(a, z);
    else if (action < 45) shared(a);
    else if (action < 55) crowd(a);
    else if (action < 68) child(a);
    else if (action < 76) memory(a);
    else if (action < 80) supplied(a);
    else if (action < 86) return locks(a);
    else if (action < 91) refusals(a);
    else if (action < 92) crew(a);
    else for (const zone of a.zones) zone.reclaim();
    return undefined;
  },

  peerStep(a) {
    if (a.random(4) === 0) shared(a);
    else work(a, a.random(a.zones.length));
  },

  end(a) {
    // What it has open would keep the parent from ending them.
    for (let n = 0; n < 4; n++) destroy(a, sharedZone(a, n));
  },

  settle(parent) {
    for (let n = 0; n < CROWD; n++) destroy(parent, crowdZone(parent, n));
    for (let n = 0; n < 4; n++) destroy(parent, sharedZone(parent, n));
    for (const who of parent.crowd) destroy(parent, parent.tree.defineZone(`supplied ${who}`, { size: 500, bucket: 2 }));
  },
};

function crowdZone({ tree }: Actor, n: number): Library.ZoneDefinition {
  return tree.defineZone(`crowd ${n} ${"x".repeat(n % 40)}`, { size: 32 + 16 * (n % 5), bucket: 2 });
}

function sharedZone({ tree }: Actor, n: number): Library.ZoneDefinition {
  const hooks = n % 2 === 0 ? { init() {}, fini() {} } : {};
  return tree.defineZone(`shared ${n}`, { size: 90 + 20 * n, bucket: 3, ...hooks });
}

/** Destroys a zone that there is; the other worker may be faster. */
function destroy({ uma }: Actor, definition: Library.ZoneDefinition): void {
  if (!uma.stats().zones.some((zone) => zone.name === definition.name)) return;
  allowing(["ERR_UMA_ZONE_CLOSED"], () => uma.open(definition).destroy({ force: true }));
}

/** Zones that peer and victim make, use, close and destroy under each other's feet. */
function shared(a: Actor): void {
  allowing(["ERR_UMA_ZONE_CLOSED", "ERR_UMA_BUSY", "ERR_UMA_OUTSTANDING"], () => {
    const zone = a.uma.open(sharedZone(a, a.random(4)));
    const items: number[] = [];
    for (let n = 0; n < 12; n++) items.push(zone.tryAlloc());
    for (const item of items.slice(a.random(2))) zone.free(item);
    const end = a.random(4);
    if (end === 0) zone.close();
    else if (end === 1) zone.destroy({ force: true });
    else if (end === 2) zone.destroy();
    else a.uma.poll();
  });
}

/** So many zones that the tables of records and cache lines grow. */
function crowd(a: Actor): void {
  const zones: Library.Zone[] = [];
  const from = a.random(2) * (CROWD >> 1);
  for (let n = 0; n < CROWD >> 1; n++) zones.push(a.uma.open(crowdZone(a, from + n)));
  for (const zone of zones.slice(0, 6)) zone.free(zone.tryAlloc());
  if (a.random(2) === 0) for (const zone of zones) zone.destroy({ force: true });
}

/** A worker of this worker's, as far as the memory can tell: it lives, or has only been announced. */
function child({ uma, random }: Actor): void {
  const { slots } = uma.core.floor;
  const ticket = allowing(["ERR_UMA_NO_SLOT"], () => uma.ticket());
  if (ticket === undefined) return;
  if (random(2) === 0) slots.adopt(ticket.name);
  if (random(2) === 0) uma.reap(ticket);
  else slots.certify(ticket.name);
  if (random(3) > 0) uma.reap(ticket);
}

/** All slots that there are. */
function crew({ uma }: Actor): void {
  const tickets: Library.Ticket[] = [];
  for (let n = 0; n < 64; n++) {
    const ticket = allowing(["ERR_UMA_NO_SLOT"], () => uma.ticket());
    if (ticket === undefined) break;
    tickets.push(ticket);
  }
  for (const ticket of tickets) uma.reap(ticket);
}

/** A memory of the worker's own, in a buffer that has been used before. */
function memory(a: Actor): void {
  let buffer = a.memo.get("buffer") as SharedArrayBuffer | undefined;
  if (buffer === undefined) a.memo.set("buffer", (buffer = new SharedArrayBuffer(BYTES)));
  const uma = a.tree.Uma.create({ buffer, workers: 2, bootPages: a.random(3), listen: false });
  const zone = uma.open(a.tree.defineZone("own", { size: 64 }));
  zone.free(zone.alloc());
  uma.detach();
}

/** Locks for life, as a browser's worker holds them: granted by a stand-in. */
async function locks({ uma }: Actor): Promise<void> {
  let letGo: () => void = () => undefined;
  const request = (_name: string, _options: object, granted: (lock: object) => unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      letGo = () => reject(new Error("stolen"));
      void Promise.resolve(granted({})).then(resolve, reject);
    });
  await uma.holdLock({ locks: { request } as unknown as Library.LocksLike });
  letGo();
  await Promise.resolve();
}

/** A zone that gets its supplier after it was opened. */
function supplied(a: Actor): void {
  const zone = a.uma.open(a.tree.defineZone(`supplied ${a.who}`, { size: 500, bucket: 2 }));
  const { heap } = a.uma.core;
  zone.setAllocf(({ bytes }) => Math.max(0, heap.alloc(bytes / 4096, a.uma.core.floor.me, 0)));
  zone.setFreef((address) => void heap.free(address, 0));
  zone.destroy({ force: true });
}

/** What is refused changes nothing. */
function refusals(a: Actor): void {
  const [zone] = a.zones;
  if (zone === undefined) return;
  const wrong = ["ERR_UMA_ADDRESS", "ERR_UMA_WRONG_ZONE", "ERR_UMA_DOUBLE_FREE", "ERR_UMA_FREED"];
  const { sure } = a.ledger.entries(0);
  const item = sure[0] ?? 0;
  if (item !== 0) allowing(wrong, () => zone.free(item + 8));
  if (item !== 0) allowing(wrong, () => a.zones[1]?.free(item));
  const k = a.ledger.emptyPlace(0, 0);
  if (k < 0) return;
  const fresh = a.ledger.take(0, k, () => zone.tryAlloc());
  a.ledger.give(0, a.ledger.at(0, k), (p) => zone.free(p));
  if (fresh !== 0) allowing(wrong, () => zone.free(fresh));
}
