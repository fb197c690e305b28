/**
 * The peer: a worker that lives on through a campaign and is at work on the same zones while victims die beside it, so that locks
 * are contended and a dead holder's lock has somebody waiting for it. Frees all that it holds whenever the parent wants quiet. While a
 * victim's thread is being started it sleeps: it would only keep the processor from that.
 */
import type * as Library from "../../src/index.ts";
import { giveAll } from "./basics.ts";
import { ERRORS, Ledger, NAP, PAUSE, PAUSED, QUIET, STEP } from "./ledger.ts";
import { type Actor, type Theme, type Tree, generator } from "./theme.ts";
import { themeOf } from "./themes/index.ts";

export interface PeerOrders {
  readonly theme: string;
  readonly ticket: Library.Ticket;
  readonly ledger: Int32Array;
  readonly seed: number;
}

/** About two steps of a victim's. */
const STEP_MS = 0.5;

const EXPECTED: readonly (string | undefined)[] = ["ERR_UMA_BUSY", "ERR_VMEM_BUSY", "ERR_UMA_LIMIT", "ERR_UMA_EMPTY", "ERR_UMA_TIMEOUT"];

export async function main(tree: Tree, _points: unknown, { theme: name, ticket, ledger, seed }: PeerOrders): Promise<void> {
  const theme = themeOf(name);
  const definitions = theme.definitions({ tree, violations: ledger, point: () => undefined });
  const uma = tree.Uma.attach(ticket);
  const actor: Actor = {
    tree,
    uma,
    definitions,
    zones: definitions.map((definition) => uma.open(definition)),
    ledger: Ledger.make(definitions.length, false),
    random: generator(seed),
    who: 1,
    crowd: [],
    alone: false,
    memo: new Map(),
  };
  const step = (): void | Promise<void> => (theme.peerStep === undefined ? theme.step(actor) : theme.peerStep(actor));
  for (;;) {
    if (Atomics.load(ledger, PAUSE) === QUIET) quiet(actor, theme, ledger);
    sleepWhile(NAP, ledger);
    const seen = Atomics.load(ledger, STEP);
    try {
      const waits = step();
      if (waits !== undefined) await waits;
      uma.poll();
    } catch (error) {
      if (EXPECTED.includes((error as { code?: string }).code)) continue;
      Atomics.add(ledger, ERRORS, 1);
      throw error;
    }
    // A breath, unless the victim has made a step meanwhile: the processor is for both, and for others' victims.
    if (Atomics.load(ledger, STEP) === seen) Atomics.wait(ledger, STEP, seen, STEP_MS);
  }
}

/** Lets everything go, says so, and sleeps until the parent is done. */
function quiet(a: Actor, theme: Theme, ledger: Int32Array): void {
  theme.end?.(a);
  for (const [z, zone] of a.zones.entries()) {
    giveAll(a, z);
    zone.reclaim();
  }
  // What a theme has opened beside them.
  a.uma.reclaim("drain");
  a.uma.poll();
  Atomics.store(ledger, PAUSED, 1);
  Atomics.notify(ledger, PAUSED);
  sleepWhile(QUIET, ledger);
  Atomics.store(ledger, PAUSED, 0);
}

function sleepWhile(wish: number, ledger: Int32Array): void {
  while (Atomics.load(ledger, PAUSE) === wish) Atomics.wait(ledger, PAUSE, wish, 1000);
}
