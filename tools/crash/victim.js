// @ts-check
/**
 * The victim: attaches by its ticket and works through a seeded history on all zones, keeping its ledger, until it is killed at
 * the armed point or the history ends. Plain JavaScript, importing the instrumented tree, so that it starts fast.
 */
import { parentPort, workerData } from "node:worker_threads";
import { IN_FLIGHT, MINE, SLOTS, STEPS, place } from "./ledger.js";
import { giveBack, maps, ranges } from "./ranges.js";
import { HOOK_POINTS, zoneDefinitions } from "./zones.js";

const { treeUrl, ticket, words, ledger, mail, seed, steps, points, reapTicket } = workerData;
const tree = await import(`${treeUrl}/index.js`);
const { attachPoints, $point } = await import(`${treeUrl}/$points.js`);
attachPoints(words);

let state = seed >>> 0;
/** @param {number} below */
function random(below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

const definitions = zoneDefinitions(tree, ledger, (name) => $point(points + HOOK_POINTS.indexOf(name)));
const uma = tree.Uma.attach(ticket);
if (reapTicket !== undefined) {
  for (const definition of definitions.slice(0, seed % (definitions.length + 1))) uma.open(definition);
  uma.reap(reapTicket);
} else {
  history();
  giveBack(0, random);
}
uma.detach();
parentPort?.postMessage("done");

function history() {
  const zones = definitions.map((definition) => uma.open(definition));
  for (let step = 0; step < steps; step++) {
    ledger[STEPS] = step;
    const z = random(zones.length);
    const action = random(100);
    if (action < 64) work(zones, z);
    else if (action < 70) ranges(uma, random);
    else if (action < 85) freeMail(zones, z);
    else if (action < 88) zones[z].prealloc(random(40));
    else if (action < 92) zones[z].reclaim();
    else if (action < 95) reopen(zones, z);
    else if (action < 96) maps(tree, uma, random);
    else if (action < 97) passing(step);
    else if (action < 98) blocks(step);
    else if (action < 99) others(zones);
    else burst(zones, z);
    uma.poll();
  }
}

/** Allocates into an empty place, or frees a full one. @param {any[]} zones @param {number} z */
function work(zones, z) {
  const at = place(z, random(SLOTS));
  const item = ledger[at] ?? 0;
  if (item === 0) {
    ledger[IN_FLIGHT] = z + 1;
    ledger[at] = zones[z].tryAlloc();
    ledger[IN_FLIGHT] = 0;
  } else {
    ledger[at] = -item;
    zones[z].free(item);
    ledger[at] = 0;
  }
}

/** Frees items that the parent allocated and handed over. @param {any[]} zones @param {number} z */
function freeMail(zones, z) {
  const from = place(zones.length, 0) + z * mail;
  for (let n = 0; n < 3; n++) {
    const at = from + random(mail);
    const item = ledger[at] ?? 0;
    if (item <= 0) continue;
    ledger[at] = -item;
    zones[z].free(item);
    ledger[at] = 0;
  }
}

/** @param {any[]} zones @param {number} z */
function reopen(zones, z) {
  zones[z].close();
  zones[z] = uma.open(definitions[z]);
}

/** A zone that lives for a moment. @param {number} step */
function passing(step) {
  const zone = uma.open(tree.defineZone(`passing ${step % 3}`, { size: 80 + 16 * (step % 3), init() {}, fini() {} }));
  const items = [];
  for (let n = 0; n < 20; n++) items.push(zone.tryAlloc());
  for (const item of items.slice(0, 15)) zone.free(item);
  zone.destroy({ force: true });
}

/** Blocks straight from the arena: now and then enough of them for a page of tags and for the hash to grow. @param {number} step */
function blocks(step) {
  const { heap, floor } = uma.core;
  const held = [];
  const count = step % 2 === 0 ? 90 : 6;
  for (let n = 1; n < count; n++) held.push(heap.alloc(1 + (n % 3), floor.me, 0));
  for (const address of held.filter((_, n) => n % 2 === 0)) if (address > 0) heap.free(address, 0);
  for (const address of held.filter((_, n) => n % 2 === 1)) if (address > 0) heap.free(address, 0);
}

/** A reservation that nobody takes up, a refused construction, an item handed to oneself. @param {any[]} zones */
function others(zones) {
  uma.reap(uma.ticket());
  const refusing = zones[definitions.findIndex((d) => d.name === "refusing")];
  refusing.tryAlloc("refuse");
  const plain = zones[0];
  ledger[MINE] = -1;
  const item = plain.tryAlloc();
  if (item !== 0) {
    ledger[MINE] = item;
    plain.transfer(item, uma.slot);
    plain.free(item);
  }
  ledger[MINE] = 0;
}

/** Fills and empties all places of a zone. @param {any[]} zones @param {number} z */
function burst(zones, z) {
  for (const full of [false, true]) {
    for (let k = 0; k < SLOTS; k++) {
      const at = place(z, k);
      const item = ledger[at] ?? 0;
      if (!full && item === 0) {
        ledger[IN_FLIGHT] = z + 1;
        ledger[at] = zones[z].tryAlloc();
        ledger[IN_FLIGHT] = 0;
      } else if (full && item > 0) {
        ledger[at] = -item;
        zones[z].free(item);
        ledger[at] = 0;
      }
    }
  }
}
