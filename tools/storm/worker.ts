/**
 * A worker of the storm: attaches, works on everything that the themes of the crash runs work on, at full speed, and comes to one of
 * several ends. It may be terminated at any instant of all this, from its first line on.
 */
import type * as Library from "../../src/index.ts";
import { giveAll } from "../crash/basics.ts";
import { Ledger, SLOTS } from "../crash/ledger.ts";
import { type Actor, FREE_ON_DEATH, SMR, type Theme, type Tree, UNCHECKED, generator, isOf } from "../crash/theme.ts";
import { THEMES } from "../crash/themes/index.ts";
import {
  BAD_BY,
  BAD_ITEM,
  BAD_STAMP,
  BAD_THEME,
  BAD_ZONE,
  DUPLICATED,
  MAILED,
  MAIL_BOXES,
  MOST_WORKERS,
  OPERATIONS,
  OVERFLOWS,
  SLOT_OF,
  STOLEN,
  STOP,
  boxOf,
} from "./control.ts";

export type End = "terminate" | "exit" | "throw" | "leave" | "exit in a hook" | "throw in a hook";

export interface StormOrders {
  readonly ticket: Library.Ticket;
  readonly control: Int32Array;
  readonly oracle: Int32Array;
  /** Words of this worker's ledgers, one for each theme. */
  readonly ledgers: readonly Int32Array[];
  readonly w: number;
  readonly stamp: number;
  readonly seed: number;
  readonly end: End;
  /** Steps until that end. */
  readonly endAfter: number;
}

/** What the library may answer while others die, memory is short, and hooks misbehave. */
const EXPECTED: ReadonlySet<string> = new Set([
  "ERR_UMA_BUSY",
  "ERR_UMA_EMPTY",
  "ERR_UMA_LIMIT",
  "ERR_UMA_TIMEOUT",
  "ERR_UMA_NO_SLOT",
  "ERR_UMA_HOOK",
  "ERR_UMA_SUPPLIER",
  "ERR_UMA_OUTSTANDING",
  "ERR_UMA_ZONE_TABLE_FULL",
  "ERR_UMA_ZONE_CLOSED",
  "ERR_VMEM_BUSY",
  "ERR_VMEM_NOSPACE",
  "ERR_VMEM_NOTAGS",
  "ERR_VMEM_DESTROYED",
]);
/** Zone of the first theme with all four hooks. */
const HOOKED = 2;

/** Set while a hook is to misbehave: what it does instead of returning. */
let mischief: (() => void) | null = null;

export async function main(tree: Tree, _points: unknown, orders: StormOrders): Promise<void> {
  const worker = new StormWorker(tree, orders);
  await worker.run();
}

class StormWorker {
  private readonly orders: StormOrders;
  private readonly uma: Library.Uma;
  private readonly actors: readonly { readonly theme: Theme; readonly actor: Actor }[];
  private readonly random: (below: number) => number;
  /** Items of other workers, taken from the mail: whose they are is not this worker's to account for. */
  private readonly received: { readonly z: number; readonly item: number }[] = [];
  private reached = 0;

  constructor(tree: Tree, orders: StormOrders) {
    const { control, w } = orders;
    this.orders = orders;
    this.random = generator(orders.seed);
    this.uma = tree.Uma.attach(orders.ticket, { patience: 2000 });
    Atomics.store(control, SLOT_OF + w, this.uma.slot);
    const point = (): void => {
      const what = mischief;
      mischief = null;
      what?.();
    };
    this.actors = THEMES.map((theme, t) => {
      const definitions = theme.definitions({ tree, violations: control, point });
      const ledger = new Ledger(orders.ledgers[t] as Int32Array, definitions.length);
      const zones = definitions.map((definition) => this.uma.open(definition));
      const marked = (z: number): boolean => !isOf(definitions[z], UNCHECKED);
      ledger.oracle = {
        comes: (z, item) => void (marked(z) && this.stampIt(item, t, z)),
        goes: (z, item) => void (marked(z) && this.unstamp(item, t, z)),
      };
      const actor: Actor = {
        tree,
        uma: this.uma,
        definitions,
        zones,
        ledger,
        random: this.random,
        who: w,
        crowd: [],
        alone: false,
        memo: new Map(),
      };
      return { theme, actor };
    });
  }

  async run(): Promise<void> {
    const { control, endAfter } = this.orders;
    for (let step = 0; Atomics.load(control, STOP) === 0; step++) {
      if (step === endAfter) this.finish();
      try {
        await this.act();
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === undefined || !EXPECTED.has(code)) throw error;
      }
      Atomics.add(control, OPERATIONS, 1);
      this.uma.poll();
    }
    this.leave();
  }

  private get first(): Actor {
    return (this.actors[0] as (typeof this.actors)[number]).actor;
  }

  private async act(): Promise<void> {
    const action = this.random(1000);
    const { actor, theme } = this.actors[this.random(this.actors.length)] as (typeof this.actors)[number];
    const z = this.random(this.first.zones.length);
    if (action < 850) {
      const waits = theme.step(actor);
      if (waits !== undefined) await waits;
    } else if (action < 900) this.mail(z);
    else if (action < 950) this.take(z);
    else if (action < 965) this.throwing(actor);
    else if (action < 975) this.overflowInHook(actor);
    else if (action < 985) this.dive(actor);
    else if (action < 990) this.uma.reap(this.uma.ticket());
    else for (const zone of actor.zones) for (const _ of zone.owned()) break;
  }

  private stampIt(item: number, theme: number, z: number): void {
    const met = Atomics.compareExchange(this.orders.oracle, item >>> 4, 0, this.orders.stamp);
    if (met !== 0) this.bad(DUPLICATED, item, met, theme, z);
  }

  private unstamp(item: number, theme: number, z: number): void {
    const met = Atomics.compareExchange(this.orders.oracle, item >>> 4, this.orders.stamp, 0);
    if (met !== this.orders.stamp) this.bad(STOLEN, item, met, theme, z);
  }

  private bad(counter: number, item: number, met: number, theme: number, z: number): void {
    const { control, stamp } = this.orders;
    // The first is the one to look at: what follows may follow from it.
    if (Atomics.compareExchange(control, BAD_ITEM, 0, item) === 0) {
      control[BAD_STAMP] = met;
      control[BAD_BY] = stamp;
      control[BAD_THEME] = theme;
      control[BAD_ZONE] = z;
    }
    Atomics.add(control, counter, 1);
  }

  /** Whether what a dead worker leaves in a zone is kept, and may be passed on. */
  private isKept(z: number): boolean {
    const definition = this.first.definitions[z];
    return !isOf(definition, FREE_ON_DEATH) && !isOf(definition, UNCHECKED) && !isOf(definition, SMR);
  }

  /** Puts an item of its own into the mail, handed over to another worker first in half of the cases. */
  private mail(z: number): void {
    const { control, oracle, stamp } = this.orders;
    const { ledger, zones } = this.first;
    const at = ledger.at(z, this.random(SLOTS));
    const item = ledger.words[at] ?? 0;
    const zone = zones[z];
    if (item <= 0 || zone === undefined || !this.isKept(z)) return;
    ledger.words[at] = -item;
    if (Atomics.compareExchange(oracle, item >>> 4, stamp, MAILED) !== stamp)
      this.bad(STOLEN, item, Atomics.load(oracle, item >>> 4), 0, z);
    const to = Atomics.load(control, SLOT_OF + this.random(MOST_WORKERS));
    if (to !== 0 && this.random(2) === 0) {
      try {
        zone.transfer(item, to);
      } catch {
        // The addressee has died meanwhile, or this worker was called away: the item stays this worker's, and is mailed all the same.
      }
    }
    if (Atomics.compareExchange(control, boxOf(z, this.random(MAIL_BOXES)), 0, item) !== 0) {
      // The box is full: it becomes one of those that are nobody's to account for.
      if (Atomics.compareExchange(oracle, item >>> 4, MAILED, stamp) !== MAILED) this.bad(STOLEN, item, 0, 0, z);
      this.received.push({ z, item });
    }
    ledger.words[at] = 0;
  }

  /** Takes items from the mail, and frees the oldest of them. */
  private take(z: number): void {
    const { control, oracle, stamp } = this.orders;
    const item = Atomics.exchange(control, boxOf(z, this.random(MAIL_BOXES)), 0);
    if (item !== 0) {
      const met = Atomics.compareExchange(oracle, item >>> 4, MAILED, stamp);
      if (met !== MAILED) this.bad(STOLEN, item, met, 0, z);
      this.received.push({ z, item });
    }
    if (this.received.length > 6) this.giveBack();
  }

  private giveBack(): void {
    const one = this.received.shift();
    if (one === undefined) return;
    this.unstamp(one.item, 0, one.z);
    this.first.zones[one.z]?.free(one.item);
  }

  /** A hook that throws. */
  private throwing(actor: Actor): void {
    this.misbehave(actor, () => {
      throw new Error("a hook of the storm throws");
    });
  }

  /** A hook that recurses until the stack is full. */
  private overflowInHook(actor: Actor): void {
    const deeper = (): void => {
      deeper();
    };
    Atomics.add(this.orders.control, OVERFLOWS, 1);
    this.misbehave(actor, deeper);
  }

  /** One allocation and one free during which a hook, if the zone has one, does `what`. */
  private misbehave(actor: Actor, what: () => void): void {
    const zone = actor.zones[this.random(Math.max(1, actor.zones.length))];
    if (zone === undefined || isOf(zone.definition, SMR)) return;
    mischief = what;
    try {
      const item = zone.tryAlloc();
      if (item !== 0) zone.free(item);
    } finally {
      mischief = null;
    }
  }

  /**
   * Works with the stack nearly full: a call anywhere in the library may find no room. Not in zones whose hooks keep count of each
   * other: the call of a hook may find no room either, and then the next one takes it amiss. Nor where a free is believed.
   */
  private dive(actor: Actor): void {
    const zone = actor.zones[this.random(Math.max(1, actor.zones.length))];
    if (zone === undefined || isOf(zone.definition, UNCHECKED) || isOf(zone.definition, SMR) || hasHooks(zone.definition)) return;
    Atomics.add(this.orders.control, OVERFLOWS, 1);
    const depth = this.roomLeft() - this.random(90);
    try {
      this.sink(depth, () => {
        const item = zone.tryAlloc();
        if (item !== 0) zone.free(item);
        if (this.random(4) === 0) zone.reclaim();
      });
    } catch (error) {
      const { cause } = error as { cause?: unknown };
      if (!(error instanceof RangeError) && !(cause instanceof RangeError)) throw error;
    }
  }

  /** How deep `sink` gets. */
  private roomLeft(): number {
    this.reached = 0;
    try {
      this.sink(1e9, () => undefined);
    } catch {
      // That is what it is for.
    }
    return this.reached;
  }

  private sink(depth: number, then: () => void): void {
    this.reached++;
    if (depth <= 0) then();
    else this.sink(depth - 1, then);
  }

  /** The end that was chosen for this worker, other than being terminated. */
  private finish(): void {
    const { end } = this.orders;
    if (end === "exit") process.exit(0);
    if (end === "throw") throw new Error("the storm's own");
    if (end === "leave") {
      this.leave();
      process.exit(0);
    }
    // Inside a hook, whichever runs next.
    mischief =
      end === "exit in a hook"
        ? () => process.exit(0)
        : () => {
            throw new Error("the storm's own");
          };
    const zone = this.first.zones[HOOKED] as Library.Zone;
    zone.free(zone.alloc());
    process.exit(0);
  }

  /** Gives back what it can and detaches: what it forgets here is dealt with as if it had died. */
  private leave(): void {
    Atomics.store(this.orders.control, SLOT_OF + this.orders.w, 0);
    while (this.received.length > 0 && this.random(8) !== 0) this.giveBack();
    for (const { theme, actor } of this.actors) {
      try {
        theme.end?.(actor);
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === undefined || !EXPECTED.has(code)) throw error;
      }
      for (const z of actor.zones.keys()) {
        // Of a zone with checks off everything must be given back: nobody knows whose it was.
        if (this.random(3) > 0 || isOf(actor.definitions[z], UNCHECKED)) giveAll(actor, z);
        else this.forget(actor, z);
      }
    }
    for (let tries = 0; tries < 100 && !this.uma.detach().done; tries++);
  }

  /** Detaching may free what is forgotten here. */
  private forget({ ledger }: Actor, z: number): void {
    for (let k = 0; k < SLOTS; k++) {
      const item = ledger.words[ledger.at(z, k)] ?? 0;
      if (item <= 0) continue;
      ledger.oracle?.goes(z, item);
      ledger.words[ledger.at(z, k)] = -item;
    }
  }
}

function hasHooks({ init, fini, ctor, dtor }: Library.ZoneDefinition): boolean {
  return init !== null || fini !== null || ctor !== null || dtor !== null;
}
