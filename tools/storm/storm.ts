/**
 * A storm: workers at full speed on everything there is, terminated at random instants and replaced.
 *
 * Where exact kills go through every store one by one, a storm looks for what no list of points has: kills inside the engine, several
 * dead at a time, ends by process.exit, by uncaught exceptions, by full stacks, with a parent that allocates and reclaims beside it all.
 * What is checked all the time: no item is handed out twice (the oracle), no hook runs out of order, nobody throws what it should not,
 * what a dead worker surely held is reported and kept. And at each *calm*, when all workers have left: verify(), everything given
 * back, nothing outstanding, no page kept, verify() again.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type * as Library from "../../src/index.ts";
import { emptyBlocks } from "../crash/blocks.ts";
import { type Scripts, bundleLibrary, bundlePart } from "../crash/bundle.ts";
import { Crew, type Hand } from "../crash/crew.ts";
import { Ledger } from "../crash/ledger.ts";
import { type Actor, FREE_ON_DEATH, type Theme, UNCHECKED, allocFrom, freeTo, generator, isOf } from "../crash/theme.ts";
import { THEMES } from "../crash/themes/index.ts";
import {
  BAD_BY,
  BAD_ITEM,
  BAD_STAMP,
  BAD_THEME,
  BAD_ZONE,
  CONTROL_WORDS,
  DUPLICATED,
  MAIL,
  MAILED,
  OPERATIONS,
  OVERFLOWS,
  SLOT_OF,
  STOLEN,
  STOP,
  VIOLATIONS,
} from "./control.ts";
import type { End, StormOrders } from "./worker.ts";

export interface StormOptions {
  /** The emitted library. */
  readonly dist: string;
  /** Where scripts for the workers may be put. */
  readonly folder: string;
  readonly seed: number;
  readonly milliseconds: number;
  /** Workers at a time. Default 3. */
  readonly workers?: number;
  /** Told at each calm. */
  readonly progress?: (tally: StormTally) => void;
}

export interface StormTally {
  operations: number;
  /** Ends of workers, by kind. */
  readonly ends: Record<string, number>;
  recoveries: number;
  /** Recoveries that had to be run again because a lock was out of reach. */
  repeats: number;
  calms: number;
  overflows: number;
  kept: number;
  freed: number;
  remade: number;
  readonly problems: string[];
}

const MEMORY_BYTES = 24 * 2 ** 20;
const CALM_EVERY_MS = 2000;
const STUCK_MS = 60_000;
const MOST_PROBLEMS = 20;
const ORPHAN = 127;
const ENDS: readonly End[] = [
  "terminate",
  "terminate",
  "terminate",
  "terminate",
  "exit",
  "throw",
  "leave",
  "exit in a hook",
  "throw in a hook",
];

interface Running {
  readonly w: number;
  readonly hand: Hand;
  readonly ticket: Library.Ticket;
  readonly stamp: number;
}

/** A theme as the parent has it. */
interface Part {
  readonly theme: Theme;
  readonly actor: Actor;
}

export async function runStorm(options: StormOptions): Promise<StormTally> {
  const tree = (await import(pathToFileURL(`${options.dist}/index.js`).href)) as typeof Library;
  const scripts: Scripts = {
    library: bundleLibrary(options.dist, join(options.folder, "storm-library.cjs")),
    part: bundlePart(join(import.meta.dirname, "worker.ts"), options.folder),
  };
  const storm = new Storm(tree, options, new Crew(scripts, "storm"));
  return storm.run();
}

class Storm {
  private readonly options: StormOptions;
  private readonly crew: Crew;
  private readonly uma: Library.Uma;
  private readonly parts: readonly Part[];
  private readonly control: Int32Array;
  private readonly oracle: Int32Array;
  /** Ledgers of each worker, by theme. */
  private readonly ledgers: readonly (readonly Ledger[])[];
  private readonly random: (below: number) => number;
  private readonly running = new Map<number, Running>();
  private stamps = 0;
  private readonly tally: StormTally = {
    operations: 0,
    ends: {},
    recoveries: 0,
    repeats: 0,
    calms: 0,
    overflows: 0,
    kept: 0,
    freed: 0,
    remade: 0,
    problems: [],
  };

  constructor(tree: typeof Library, options: StormOptions, crew: Crew) {
    this.options = options;
    this.crew = crew;
    this.random = generator(options.seed);
    const uma = tree.Uma.create({ bytes: MEMORY_BYTES, workers: 32 });
    this.uma = uma;
    this.control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
    this.oracle = new Int32Array(new SharedArrayBuffer(MEMORY_BYTES / 4));
    const crowd = Array.from({ length: this.workers }, (_, w) => w);
    this.parts = THEMES.map((theme) => {
      const definitions = theme.definitions({ tree, violations: this.control, point: () => undefined });
      const zones = definitions.map((definition) => uma.open(definition));
      const ledger = Ledger.make(definitions.length, true);
      const actor: Actor = { tree, uma, definitions, zones, ledger, random: this.random, who: -1, crowd, alone: true, memo: new Map() };
      return { theme, actor };
    });
    this.ledgers = crowd.map(() => this.parts.map(({ actor }) => Ledger.make(actor.zones.length, true)));
  }

  private get workers(): number {
    return this.options.workers ?? 3;
  }

  async run(): Promise<StormTally> {
    const until = performance.now() + this.options.milliseconds;
    for (const { theme, actor } of this.parts) theme.prepare?.(actor);
    while (performance.now() < until && this.tally.problems.length === 0) {
      const calmAt = Math.min(until, performance.now() + CALM_EVERY_MS);
      for (let w = 0; w < this.workers; w++) this.start(w);
      while (performance.now() < calmAt && this.tally.problems.length === 0) {
        this.work();
        await pause(1 + this.random(3));
      }
      await this.calm();
      this.options.progress?.(this.tally);
    }
    await this.crew.dismiss();
    return this.tally;
  }

  private say(problem: string): void {
    if (this.tally.problems.length < MOST_PROBLEMS) this.tally.problems.push(problem);
  }

  private start(w: number): void {
    const ticket = this.uma.ticket();
    const stamp = ++this.stamps;
    const seed = (this.options.seed * 7919 + stamp) >>> 0;
    const end = ENDS[this.random(ENDS.length)] as End;
    const endAfter = end === "terminate" ? -1 : this.random(1500);
    const { control, oracle } = this;
    const ledgers = (this.ledgers[w] as readonly Ledger[]).map((ledger) => ledger.words);
    const orders: StormOrders = { ticket, control, oracle, ledgers, w, stamp, seed, end, endAfter };
    const hand = this.crew.send(orders, true);
    hand.worker.once("error", (error: Error & { cause?: Error }) => {
      if (error.message.includes("the storm's own") || error.cause?.message === "the storm's own") return;
      this.say(`a worker (seed ${seed}) threw ${String(error.stack)}`);
    });
    const one: Running = { w, hand, ticket, stamp };
    this.running.set(w, one);
    // A fifth of them while they load or attach, the others at work.
    if (end === "terminate") {
      setTimeout(() => void hand.worker.terminate(), this.random(5) === 0 ? this.random(40) : 60 + this.random(400));
    }
    void hand.ended.then(() => this.bury(one, end));
  }

  /** What follows a worker's end: its stamps go, it is recovered, its ledgers are compared, another takes its place. */
  private async bury(one: Running, end: End): Promise<void> {
    const { control, oracle } = this;
    Atomics.store(control, SLOT_OF + one.w, 0);
    // Before the recovery, which may free what bears them.
    for (let n = 0; n < oracle.length; n++) if (oracle[n] === one.stamp) Atomics.compareExchange(oracle, n, one.stamp, 0);
    const calledAway = Atomics.load(control, STOP) === 1;
    const until = performance.now() + STUCK_MS;
    for (;;) {
      const report = this.uma.reap(one.ticket);
      if (report !== null) this.count(report);
      if (report === null || report.done) break;
      this.tally.repeats++;
      if (performance.now() > until) return this.say(`stuck: the recovery of a worker that ended by ${end} does not come through`);
      await pause(2);
    }
    this.tally.recoveries++;
    const kind = calledAway && end !== "terminate" ? "left when asked" : end;
    this.tally.ends[kind] = (this.tally.ends[kind] ?? 0) + 1;
    for (const [t, { actor }] of this.parts.entries()) this.account(actor, (this.ledgers[one.w] as readonly Ledger[])[t] as Ledger);
    this.running.delete(one.w);
    if (Atomics.load(control, STOP) === 0 && this.tally.problems.length === 0) this.start(one.w);
  }

  private count(report: Library.RecoveryReport): void {
    for (const zone of report.zones) {
      this.tally.kept += zone.kept;
      this.tally.freed += zone.freed;
      this.tally.remade += zone.remade;
    }
    for (const child of report.children) this.count(child);
  }

  /** What the worker surely held in a zone that keeps a dead worker's items must be there, without a live owner. */
  private account({ zones }: Actor, ledger: Ledger): void {
    for (const [z, zone] of zones.entries()) {
      if (isOf(zone.definition, FREE_ON_DEATH) || isOf(zone.definition, UNCHECKED)) continue;
      for (const item of ledger.entries(z).sure) {
        const owner = zone.ownerOf(item);
        if (owner !== ORPHAN) this.say(`lost: the item ${item} of zone "${zone.name}" was a dead worker's and belongs to ${owner}`);
      }
    }
    ledger.words.fill(0);
  }

  /** The parent's own part: a little of everything between two turns of its event loop. */
  private work(): void {
    try {
      const { actor } = this.parts[this.random(this.parts.length)] as Part;
      const zone = actor.zones[this.random(Math.max(1, actor.zones.length))];
      if (zone !== undefined && !isOf(zone.definition, UNCHECKED)) {
        const items: number[] = [];
        for (let n = this.random(30); n > 0; n--) items.push(allocFrom(zone));
        for (const item of items) if (item !== 0) freeTo(zone, item);
        if (this.random(20) === 0) zone.reclaim();
      }
      this.uma.poll();
      if (this.random(8) === 0) for (const problem of this.uma.verify({ online: true }).problems) this.say(`in the storm: ${problem}`);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== "ERR_UMA_BUSY" && code !== "ERR_UMA_EMPTY") this.say(`the parent met ${String((error as Error).stack)}`);
    }
  }

  /** All workers leave, or are terminated on the way; then everything must be in its place. */
  private async calm(): Promise<void> {
    const { control, oracle, tally, uma } = this;
    Atomics.store(control, STOP, 1);
    const until = performance.now() + STUCK_MS;
    while (this.running.size > 0 && performance.now() < until) {
      uma.poll();
      await pause(1);
    }
    if (this.running.size > 0) this.say(`stuck: ${this.running.size} workers do not come to an end`);
    this.checkCounters();
    this.verify("in the calm");
    try {
      for (const { theme, actor } of this.parts) this.giveBack(theme, actor);
      emptyBlocks(uma.core, (this.parts[0] as Part).actor);
      for (const { actor } of this.parts) for (const zone of actor.zones) zone.reclaim();
      for (const zone of uma.stats().zones) {
        // With checks off nobody knows what was a dead worker's.
        if (zone.name.startsWith("unchecked") || this.parts.some(({ theme }) => theme.keeps?.(zone.name) === true)) continue;
        if (zone.used === 0 && zone.pages === 0) continue;
        this.say(`lost: zone "${zone.name}" keeps ${zone.used} items and ${zone.pages} pages when everything was given back`);
      }
    } catch (error) {
      this.say(`stuck: life does not go on: ${String((error as Error).stack)}`);
    }
    this.verify("when everything was given back");
    control.fill(0, MAIL, CONTROL_WORDS);
    for (let n = 0; n < oracle.length; n++) if (oracle[n] === MAILED) oracle[n] = 0;
    tally.calms++;
    tally.operations = control[OPERATIONS] ?? 0;
    tally.overflows = control[OVERFLOWS] ?? 0;
    Atomics.store(control, STOP, 0);
  }

  private giveBack(theme: Theme, actor: Actor): void {
    for (const zone of actor.zones) if (zone.exhausted()) this.say(`stuck: somebody still stands in the queue of zone "${zone.name}"`);
    theme.settle?.(actor, (problem) => this.say(problem));
    for (const zone of actor.zones) {
      if (isOf(zone.definition, UNCHECKED)) continue;
      for (const item of [...zone.ownedBy(ORPHAN)]) freeTo(zone, item);
      zone.reclaim();
    }
  }

  private checkCounters(): void {
    const { control } = this;
    const { theme, actor } = this.parts[control[BAD_THEME] ?? 0] as Part;
    const zone = actor.zones[control[BAD_ZONE] ?? 0];
    const at = (what: string): string =>
      `${what}; first the item ${control[BAD_ITEM]} of zone "${zone?.name}" (${theme.name}), by ${control[BAD_BY]}, with the stamp ${control[BAD_STAMP]}`;
    if (control[DUPLICATED] !== 0) this.say(at(`duplicated: ${control[DUPLICATED]} items were handed out twice`));
    if (control[STOLEN] !== 0) this.say(at(`duplicated: ${control[STOLEN]} items were another's when their holder freed them`));
    if (control[VIOLATIONS] !== 0) this.say(`${control[VIOLATIONS]} hooks ran out of order`);
  }

  private verify(when: string): void {
    const verdict = this.uma.verify();
    for (const problem of verdict.problems.slice(0, 5)) this.say(`${when}: ${problem}`);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
