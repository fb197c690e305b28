// @ts-check
/**
 * The peer: a worker that lives on through a campaign and is at work on the same zones while victims die beside it, so that locks
 * are contended and a dead holder's lock has somebody waiting for it. Frees all that it holds whenever the parent wants quiet.
 */
import { workerData } from "node:worker_threads";
import { ERRORS, PAUSE, PAUSED } from "./ledger.js";
import { zoneDefinitions } from "./zones.js";

const { treeUrl, ticket, ledger, seed } = workerData;
const tree = await import(`${treeUrl}/index.js`);
const uma = tree.Uma.attach(ticket);
const zones = zoneDefinitions(tree, ledger, () => undefined).map((definition) => uma.open(definition));
/** @type {number[][]} */
const held = zones.map(() => []);
let state = seed >>> 0;
/** @param {number} below */
function random(below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

for (;;) {
  const wish = Atomics.load(ledger, PAUSE);
  if (wish === 1) quiet();
  try {
    step();
  } catch (error) {
    if (/** @type {{ code?: string }} */ (error).code !== "ERR_UMA_BUSY") {
      Atomics.add(ledger, ERRORS, 1);
      throw error;
    }
  }
}

function step() {
  const z = random(zones.length);
  const mine = held[z] ?? [];
  if (random(40) === 0) zones[z].reclaim();
  else if (mine.length < 12 && random(2) === 0) {
    const item = zones[z].tryAlloc();
    if (item !== 0) mine.push(item);
  } else if (mine.length > 0) zones[z].free(mine.pop());
  uma.poll();
}

/** Lets everything go, says so, and sleeps until the parent is done. */
function quiet() {
  for (const [z, items] of held.entries()) {
    for (const item of items.splice(0)) zones[z].free(item);
    zones[z].reclaim();
  }
  uma.poll();
  Atomics.store(ledger, PAUSED, 1);
  Atomics.notify(ledger, PAUSED);
  while (Atomics.load(ledger, PAUSE) === 1) Atomics.wait(ledger, PAUSE, 1, 1000);
  Atomics.store(ledger, PAUSED, 0);
}
