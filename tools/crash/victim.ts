/**
 * The victim: attaches by its ticket and works through a seeded history of its theme, keeping its ledger, until it is killed at the
 * armed point or the history ends. As a recoverer it attaches, opens some of the zones, and recovers another.
 */
import type * as Points from "../instrument/points-runtime.js";
import { HOOK_POINTS } from "./hooks.ts";
import { Ledger, NAP, PAUSE, STEP, WORK } from "./ledger.ts";
import { hasRefusals, refusedStep, refusing } from "./refusals.ts";
import { type Actor, type Tree, allowing, generator } from "./theme.ts";
import { themeOf } from "./themes/index.ts";
import type * as Library from "../../src/index.ts";

export interface VictimOrders {
  readonly theme: string;
  readonly ticket: Library.Ticket;
  /** Words of the point control. */
  readonly words: Int32Array;
  readonly ledger: Int32Array;
  readonly seed: number;
  /** Whether there is no peer. */
  readonly alone: boolean;
  /** Points of the tree: the hooks' come behind. */
  readonly points: number;
  /** Whom to recover, instead of a history. */
  readonly reap?: Library.Ticket;
}

/** `navigator.locks` that grants whatever is asked for. */
const LOCKS: Library.LocksLike = {
  request: (lockName, _options, granted) => Promise.resolve(granted({ name: lockName })),
};

export async function main(tree: Tree, points: typeof Points, orders: VictimOrders): Promise<void> {
  const { theme: name, ticket, words, ledger, seed, reap } = orders;
  const theme = themeOf(name);
  const { attachPoints, $point } = points;
  attachPoints(words);
  if (Atomics.compareExchange(ledger, PAUSE, NAP, WORK) === NAP) Atomics.notify(ledger, PAUSE);
  const point = (hook: string): void => $point(orders.points + HOOK_POINTS.indexOf(hook));
  const definitions = theme.definitions({ tree, violations: ledger, point });
  // Every other one as a browser's worker does, with a stand-in for the lock that it holds for life.
  const uma = seed % 2 === 0 ? tree.Uma.attach(ticket) : await tree.Uma.attachAsync(ticket, { locks: LOCKS });
  if (reap !== undefined) {
    // First of all, or this thread would wait for a lock that the dead one holds.
    uma.core.floor.slots.certify(reap.name);
    // Where the dead one has taken every page there is none for what it would open.
    for (const definition of definitions.slice(0, seed % (definitions.length + 1))) allowing(["ERR_UMA_EMPTY"], () => uma.open(definition));
    const recover = (): void => void uma.reap(reap);
    if (hasRefusals(seed) && reap.name % 2 === 0) await refusing(uma, generator(reap.name), 40, recover);
    else recover();
    uma.detach();
    return;
  }
  const actor: Actor = {
    tree,
    uma,
    definitions,
    zones: definitions.map((definition) => uma.open(definition)),
    ledger: new Ledger(ledger, definitions.length),
    random: generator(seed),
    who: 0,
    crowd: [],
    alone: orders.alone,
    memo: new Map(),
  };
  // Numbers of their own: the history is the same with them and without.
  const moods = generator(seed ^ 0x10cced);
  for (let step = 0; step < theme.steps; step++) {
    ledger[STEP] = step;
    const waits = hasRefusals(seed) ? refusedStep(actor, moods, () => theme.step(actor)) : theme.step(actor);
    if (waits !== undefined) await waits;
    uma.poll();
  }
  theme.end?.(actor);
  // Out of a lock's reach it leaves what it has behind, and is dead by its own word.
  if (hasRefusals(seed) && seed % 3 === 0) await refusing(uma, moods, 9, () => uma[Symbol.dispose]());
  if (uma.core.attached) uma.detach();
}
