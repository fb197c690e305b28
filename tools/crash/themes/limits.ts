/** Limits, and waiting at them: with the thread blocked, with a promise, with a deadline that passes. */
import { burst, freeMail, giveAll, work } from "../basics.ts";
import { watchedHooks } from "../hooks.ts";
import { SLOTS } from "../ledger.ts";
import { type Actor, type Makers, type Say, type Theme, allowing } from "../theme.ts";

const LIMIT = 20;

export const limitsTheme: Theme = {
  name: "limits",
  steps: 60,

  definitions(makers: Makers) {
    const { defineZone } = makers.tree;
    const hooks = watchedHooks(makers);
    return [
      defineZone("limits plain", { size: 64, bucket: 4, limit: LIMIT }),
      defineZone("limits hooked", { size: 96, bucket: 3, limit: LIMIT, ...hooks }),
      defineZone("limits no buckets", { size: 128, bucket: 0, limit: LIMIT }),
      defineZone("limits freed on death", { size: 80, bucket: 4, limit: LIMIT, onDeath: "free", ...hooks }),
    ];
  },

  step(a) {
    const z = a.random(a.zones.length);
    const zone = a.zones[z];
    const action = a.random(100);
    if (zone === undefined) return;
    if (action < 30) work(a, z);
    else if (action < 38) freeMail(a, z);
    else if (action < 52) return waitBlocked(a, z);
    else if (action < 66) return waitPromised(a, z);
    else if (action < 72) fill(a, z);
    else if (action < 78) giveAll(a, z);
    else if (action < 84) zone.setMax([LIMIT, LIMIT + 5, LIMIT - 4, 0][a.random(4)] ?? LIMIT);
    else if (action < 88) warn(a, z);
    else if (action < 92) zone.reclaim("drain-cpu");
    else burst(a, z);
  },

  peerStep(a) {
    const z = a.random(a.zones.length);
    if (a.random(6) === 0) giveAll(a, z);
    else if (a.random(40) === 0) return waitBlocked(a, z);
    else work(a, z);
  },

  account(parent, say) {
    judgeQueues(parent, say);
  },

  settle(parent) {
    for (const zone of parent.zones) zone.setMax(60);
  },

  prepare(parent) {
    for (const zone of parent.zones) zone.setMax(LIMIT);
  },
};

/** Nobody is left in a queue. */
function judgeQueues(parent: Actor, say: Say): void {
  for (const zone of parent.zones) if (zone.exhausted()) say(`stuck: somebody still stands in the queue of zone "${zone.name}"`);
}

function fill(a: Actor, z: number): void {
  for (let k = 0; k < SLOTS; k++) if (a.ledger.words[a.ledger.at(z, k)] === 0) a.ledger.take(z, k, () => a.zones[z]?.tryAlloc() ?? 0);
}

function waitBlocked(a: Actor, z: number): void {
  const k = a.ledger.emptyPlace(z, a.random(SLOTS));
  const zone = a.zones[z];
  if (k < 0 || zone === undefined) return;
  if (a.random(2) === 0) fill(a, z);
  const place = a.ledger.emptyPlace(z, k);
  if (place < 0) return;
  allowing(["ERR_UMA_TIMEOUT"], () => a.ledger.take(z, place, () => zone.allocWait({ timeout: a.random(4) })));
}

/** Two promises: what is freed meanwhile goes to the first. */
async function waitPromised(a: Actor, z: number): Promise<void> {
  const zone = a.zones[z];
  if (zone === undefined) return;
  fill(a, z);
  const wanted: Promise<void>[] = [];
  for (let n = 0; n < 2; n++) {
    a.ledger.expect(z, 1);
    const ended = (item: number): void => {
      const k = a.ledger.emptyPlace(z, 0);
      if (k >= 0) {
        if (item !== 0) a.ledger.oracle?.comes(z, item);
        a.ledger.words[a.ledger.at(z, k)] = item;
        a.ledger.expect(z, -1);
      } else {
        // No place for it: it goes back while it is still expected.
        if (item !== 0) zone.free(item);
        a.ledger.expect(z, -1);
      }
    };
    const failed = (error: unknown): void => {
      const { code } = error as { code?: string };
      a.ledger.expect(z, -1);
      if (code !== "ERR_UMA_TIMEOUT" && code !== "ERR_UMA_BUSY") throw error;
    };
    wanted.push(zone.allocAsync({ timeout: 1 + a.random(6) }).then(ended, failed));
  }
  for (let n = 0; n < 2; n++) a.ledger.give(z, a.ledger.at(z, a.random(SLOTS)), (item) => zone.free(item));
  await Promise.all(wanted);
}

function warn(a: Actor, z: number): void {
  const zone = a.zones[z];
  if (zone === undefined) return;
  zone.setWarning("full", { every: 0, to: () => undefined });
  zone.setMaxAction(() => undefined);
  burst(a, z);
  fill(a, z);
  zone.setMaxAction(null);
}
