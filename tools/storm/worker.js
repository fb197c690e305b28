// @ts-check
/**
 * A worker of the storm: attaches, works on all zones at full speed, and comes to one of several ends. It may be terminated at any
 * instant of all this, from its first import on. Plain JavaScript on the emitted library, so that it starts fast.
 */
import { workerData } from "node:worker_threads";
import {
  BAD_ACTION,
  BAD_BY,
  BAD_ITEM,
  BAD_STAMP,
  BAD_ZONE,
  DUPLICATED,
  LEDGER_HEAD,
  LEDGER_IN_FLIGHT,
  MAILED,
  MAIL_BOXES,
  MOST_WORKERS,
  OPERATIONS,
  OVERFLOWS,
  PLACES,
  SLOT_OF,
  STOLEN,
  STOP,
  boxOf,
  generator,
  ledgerOf,
} from "./control.js";
import { zoneDefinitions } from "../crash/zones.js";

const { treeUrl, ticket, control, oracle, w, stamp, seed, end, endAfter } = workerData;
const random = generator(seed);
const tree = await import(`${treeUrl}/index.js`);

/** Set while a hook is to misbehave: what it does instead of returning. @type {null | (() => void)} */
let mischief = null;
const definitions = zoneDefinitions(tree, control, () => {
  const what = mischief;
  mischief = null;
  what?.();
});
const FREE_ON_DEATH = 0x10;
const UNCHECKED = 0x4;
const keeps = definitions.map((d) => (d.flags & (FREE_ON_DEATH | UNCHECKED)) === 0);
const checked = definitions.map((d) => (d.flags & UNCHECKED) === 0);

const uma = tree.Uma.attach(ticket, { patience: 2000 });
Atomics.store(control, SLOT_OF + w, uma.slot);
const zones = definitions.map((d) => uma.open(d));
const ledger = ledgerOf(zones.length, w);
/** Items of other workers, taken from the mail: whose they are is not this worker's to account for. @type {{ z: number, item: number }[]} */
const received = [];

/** What the library may answer while others die, memory is short, and hooks misbehave. */
const EXPECTED = new Set([
  "ERR_UMA_BUSY",
  "ERR_UMA_EMPTY",
  "ERR_UMA_LIMIT",
  "ERR_UMA_NO_SLOT",
  "ERR_UMA_HOOK",
  "ERR_UMA_ZONE_TABLE_FULL",
  "ERR_UMA_ZONE_CLOSED",
]);

let operations = 0;
let action = 0;
let reached = 0;
for (let step = 0; Atomics.load(control, STOP) === 0; step++) {
  if (step === endAfter) finish();
  try {
    act();
  } catch (error) {
    const { code } = /** @type {{ code?: string }} */ (error);
    if (code === undefined || !EXPECTED.has(code)) throw error;
  }
  if ((step & 63) === 0) {
    Atomics.add(control, OPERATIONS, operations);
    operations = 0;
    uma.poll();
  }
}
leave();

/** @param {number} z @param {number} k */
function placeOf(z, k) {
  return ledger + LEDGER_HEAD + z * PLACES + k;
}

/** @param {number} item */
function stampIt(item) {
  const met = Atomics.compareExchange(oracle, item >>> 4, 0, stamp);
  if (met !== 0) bad(DUPLICATED, item, met);
}

/** @param {number} item */
function unstamp(item) {
  const met = Atomics.compareExchange(oracle, item >>> 4, stamp, 0);
  if (met !== stamp) bad(STOLEN, item, met);
}

/** @param {number} counter @param {number} item @param {number} met */
function bad(counter, item, met) {
  // The first is the one to look at: what follows may follow from it.
  if (Atomics.compareExchange(control, BAD_ITEM, 0, item) === 0) {
    control[BAD_STAMP] = met;
    control[BAD_BY] = stamp;
    control[BAD_ACTION] = action;
    control[BAD_ZONE] = zones.findIndex((zone) => owns(zone, item));
  }
  Atomics.add(control, counter, 1);
}

/** @param {any} zone @param {number} item */
function owns(zone, item) {
  try {
    zone.ownerOf(item);
    return true;
  } catch {
    return false;
  }
}

function act() {
  const z = random(zones.length);
  action = random(1000);
  if (action < 800) burst(z, 1 + random(24));
  else if (action < 880) mail(z);
  else if (action < 940) take(z);
  else if (action < 950) zones[z].prealloc(random(60));
  else if (action < 962) zones[z].reclaim();
  else if (action < 970) reopen(z);
  else if (action < 976) passing();
  else if (action < 982) blocks();
  else if (action < 986) uma.reap(uma.ticket());
  else if (action < 990) throwing(z);
  else if (action < 994) overflowInHook(z);
  else if (action < 997) dive(z);
  else for (const _ of zones[z].owned()) break;
}

/** Allocates into empty places and frees full ones. @param {number} z @param {number} count */
function burst(z, count) {
  const from = random(PLACES);
  const filling = random(2) === 0;
  for (let n = 0; n < count; n++) {
    const at = placeOf(z, (from + n) % PLACES);
    const item = control[at];
    operations++;
    if (item === 0 && filling) {
      control[ledger + LEDGER_IN_FLIGHT] = z + 1;
      const fresh = zones[z].tryAlloc();
      if (fresh !== 0) stampIt(fresh);
      control[at] = fresh;
      control[ledger + LEDGER_IN_FLIGHT] = 0;
    } else if (item > 0 && !filling) {
      control[at] = -item;
      unstamp(item);
      zones[z].free(item);
      control[at] = 0;
    }
  }
}

/** Puts an item of its own into the mail, handed over to another worker first in half of the cases. @param {number} z */
function mail(z) {
  if (!keeps[z]) return;
  const at = placeOf(z, random(PLACES));
  const item = control[at];
  if (item <= 0) return;
  control[at] = -item;
  if (Atomics.compareExchange(oracle, item >>> 4, stamp, MAILED) !== stamp) bad(STOLEN, item, Atomics.load(oracle, item >>> 4));
  const to = Atomics.load(control, SLOT_OF + random(MOST_WORKERS));
  if (to !== 0 && random(2) === 0) {
    try {
      zones[z].transfer(item, to);
    } catch {
      // The addressee has died meanwhile, or this worker was called away: the item stays this worker's, and is mailed all the same.
    }
  }
  if (Atomics.compareExchange(control, boxOf(z, random(MAIL_BOXES)), 0, item) === 0) {
    control[at] = 0;
    return;
  }
  // The box is full: it becomes one of those that are nobody's to account for.
  if (Atomics.compareExchange(oracle, item >>> 4, MAILED, stamp) !== MAILED) bad(STOLEN, item, 0);
  received.push({ z, item });
  control[at] = 0;
}

/** Takes items from the mail, and frees the oldest of them. @param {number} z */
function take(z) {
  const item = Atomics.exchange(control, boxOf(z, random(MAIL_BOXES)), 0);
  if (item !== 0) {
    const met = Atomics.compareExchange(oracle, item >>> 4, MAILED, stamp);
    if (met !== MAILED) bad(STOLEN, item, met);
    received.push({ z, item });
  }
  if (received.length > 6) giveBack();
}

function giveBack() {
  const one = received.shift();
  if (one === undefined) return;
  operations++;
  unstamp(one.item);
  zones[one.z].free(one.item);
}

/** @param {number} z */
function reopen(z) {
  zones[z].close();
  zones[z] = uma.open(definitions[z]);
}

/** A zone that lives for a moment: others make and destroy it at the same time. */
function passing() {
  const n = random(3);
  const zone = uma.open(tree.defineZone(`passing ${n}`, { size: 80 + 16 * n, init() {}, fini() {} }));
  const items = [];
  for (let k = 0; k < 20; k++) items.push(zone.tryAlloc());
  for (const item of items.slice(0, 15)) zone.free(item);
  zone.destroy({ force: true });
}

/** Blocks straight from the arena: enough of them now and then for a page of tags and for the hash to grow. */
function blocks() {
  const { heap, floor } = uma.core;
  const held = [];
  for (let n = random(60); n > 0; n--) held.push(heap.alloc(1 + (n % 3), floor.me, 0));
  for (const address of held) if (address > 0) heap.free(address, 0);
}

/** A hook that throws. @param {number} z */
function throwing(z) {
  misbehave(z, () => {
    throw new Error("a hook of the storm throws");
  });
}

/** A hook that recurses until the stack is full. @param {number} z */
function overflowInHook(z) {
  const deeper = () => {
    deeper();
  };
  Atomics.add(control, OVERFLOWS, 1);
  misbehave(z, deeper);
}

/** One allocation and one free during which a hook, if the zone has one, does `what`. @param {number} z @param {() => void} what */
function misbehave(z, what) {
  mischief = what;
  try {
    const item = zones[z].tryAlloc();
    if (item !== 0) zones[z].free(item);
  } finally {
    mischief = null;
  }
}

/**
 * Works with the stack nearly full: a call anywhere in the library may find no room. Not in zones whose hooks keep count of each
 * other: the call of a hook may find no room either, and then the next one takes it amiss.
 * @param {number} z
 */
function dive(z) {
  if (!checked[z] || definitions[z].init !== null) return;
  Atomics.add(control, OVERFLOWS, 1);
  const depth = roomLeft() - random(90);
  try {
    sink(depth, () => {
      const item = zones[z].tryAlloc();
      if (item !== 0) zones[z].free(item);
      if (random(4) === 0) zones[z].reclaim();
    });
  } catch (error) {
    const { cause } = /** @type {{ cause?: unknown }} */ (error);
    if (!(error instanceof RangeError) && !(cause instanceof RangeError)) throw error;
  }
}

/** How deep `sink` gets. */
function roomLeft() {
  reached = 0;
  try {
    sink(1e9, () => {});
  } catch {
    // That is what it is for.
  }
  return reached;
}

/** @param {number} depth @param {() => void} then */
function sink(depth, then) {
  reached++;
  if (depth <= 0) then();
  else sink(depth - 1, then);
}

/** The end that was chosen for this worker, other than being terminated. */
function finish() {
  if (end === "exit") process.exit(0);
  if (end === "throw") throw new Error("the storm's own");
  if (end === "leave") {
    leave();
    process.exit(0);
  }
  // Inside a hook, whichever runs next: the zone with all four hooks.
  mischief =
    end === "exit in a hook"
      ? () => process.exit(0)
      : () => {
          throw new Error("the storm's own");
        };
  zones[2].free(zones[2].alloc());
  process.exit(0);
}

/** Gives back what it can and detaches: what it forgets here is dealt with as if it had died. */
function leave() {
  Atomics.store(control, SLOT_OF + w, 0);
  while (received.length > 0 && random(8) !== 0) giveBack();
  for (const z of zones.keys()) {
    for (let k = 0; k < PLACES; k++) {
      const at = placeOf(z, k);
      const item = control[at];
      if (item <= 0) continue;
      // Detaching may free what is forgotten here.
      control[at] = -item;
      unstamp(item);
      // Of a zone with checks off everything must be given back: nobody knows whose it was.
      if (checked[z] && random(4) === 0) continue;
      zones[z].free(item);
      control[at] = 0;
    }
  }
  for (let tries = 0; tries < 100 && !uma.detach().done; tries++);
}
