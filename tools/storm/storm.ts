/**
 * A storm: workers at full speed on all zones, terminated at random instants and replaced.
 *
 * Where exact kills go through every store one by one, a storm looks for what no list of points has: kills inside the engine, several
 * dead at a time, ends by process.exit, by uncaught exceptions, by full stacks, with a parent that allocates and reclaims beside it all.
 * What is checked all the time: no item is handed out twice (the oracle), no hook runs out of order, nobody throws what it should not,
 * what a dead worker surely held is reported and kept. And at each *calm*, when all workers have left: verify(), all orphans freed,
 * nothing outstanding, all pages given back, verify() again.
 */
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import type * as Library from "../../src/index.ts";
import { zoneDefinitions } from "../crash/zones.js";
import {
  BAD_ACTION,
  BAD_BY,
  BAD_ITEM,
  BAD_STAMP,
  BAD_ZONE,
  DUPLICATED,
  LEDGER_HEAD,
  MAIL,
  MAILED,
  MAIL_BOXES,
  OPERATIONS,
  OVERFLOWS,
  PLACES,
  SLOT_OF,
  STOLEN,
  STOP,
  VIOLATIONS,
  controlWords,
  generator,
  ledgerOf,
  ledgerWords,
} from "./control.js";

export interface StormOptions {
  /** The emitted library. */
  readonly dist: string;
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

const MEMORY_BYTES = 8 * 2 ** 20;
const CALM_EVERY_MS = 1500;
const STUCK_MS = 20_000;
const MOST_PROBLEMS = 20;
const FREE_ON_DEATH = 0x10;
const UNCHECKED = 0x4;
const ENDS = ["terminate", "terminate", "terminate", "terminate", "exit", "throw", "leave", "exit in a hook", "throw in a hook"] as const;

interface Running {
  readonly w: number;
  readonly worker: Worker;
  readonly ticket: Library.Ticket;
  readonly stamp: number;
  readonly exit: Promise<void>;
}

export async function runStorm(options: StormOptions): Promise<StormTally> {
  const library = (await import(pathToFileURL(`${options.dist}/index.js`).href)) as typeof Library;
  const storm = new Storm(library, options);
  return storm.run();
}

class Storm {
  private readonly library: typeof Library;
  private readonly options: StormOptions;
  private readonly uma: Library.Uma;
  private readonly zones: Library.Zone[];
  private readonly control: Int32Array;
  private readonly oracle: Int32Array;
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

  constructor(library: typeof Library, options: StormOptions) {
    this.library = library;
    this.options = options;
    this.random = generator(options.seed);
    this.uma = library.Uma.create({ bytes: MEMORY_BYTES, workers: 24 });
    const count = zoneDefinitions(library, new Int32Array(1), () => undefined).length;
    this.control = new Int32Array(new SharedArrayBuffer(4 * controlWords(count)));
    this.oracle = new Int32Array(new SharedArrayBuffer(MEMORY_BYTES / 4));
    this.zones = (zoneDefinitions(library, this.control, () => undefined) as Library.ZoneDefinition[]).map((d) => this.uma.open(d));
  }

  async run(): Promise<StormTally> {
    const until = performance.now() + this.options.milliseconds;
    while (performance.now() < until && this.tally.problems.length === 0) {
      const calmAt = Math.min(until, performance.now() + CALM_EVERY_MS);
      for (let w = 0; w < (this.options.workers ?? 3); w++) this.start(w);
      while (performance.now() < calmAt) {
        this.work();
        await pause(1 + this.random(3));
      }
      await this.calm();
      this.options.progress?.(this.tally);
    }
    return this.tally;
  }

  private say(problem: string): void {
    if (this.tally.problems.length < MOST_PROBLEMS) this.tally.problems.push(problem);
  }

  private start(w: number): void {
    const ticket = this.uma.ticket();
    const stamp = ++this.stamps;
    const seed = (this.options.seed * 7919 + stamp) >>> 0;
    const end = ENDS[this.random(ENDS.length)] as (typeof ENDS)[number];
    const endAfter = end === "terminate" ? -1 : this.random(3000);
    const treeUrl = pathToFileURL(this.options.dist).href;
    const { control, oracle } = this;
    const worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData: { treeUrl, ticket, control, oracle, w, stamp, seed, end, endAfter },
      execArgv: [],
    });
    const exit = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    worker.on("error", (error: Error & { cause?: Error }) => {
      if (error.message.includes("the storm's own") || error.cause?.message === "the storm's own") return;
      this.say(`a worker (seed ${seed}) threw ${String(error.stack)}`);
    });
    const one: Running = { w, worker, ticket, stamp, exit };
    this.running.set(w, one);
    // A fifth of them while they load or attach, the others at work.
    if (end === "terminate") setTimeout(() => void worker.terminate(), this.random(5) === 0 ? this.random(60) : 50 + this.random(120));
    void exit.then(() => this.bury(one, end));
  }

  /** What follows a worker's end: its stamps go, it is recovered, its ledger is compared, another takes its place. */
  private async bury(one: Running, end: string): Promise<void> {
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
    this.account(one);
    const from = ledgerOf(this.zones.length, one.w);
    control.fill(0, from, from + ledgerWords(this.zones.length));
    this.running.delete(one.w);
    if (Atomics.load(control, STOP) === 0) this.start(one.w);
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
  private account(one: Running): void {
    const from = ledgerOf(this.zones.length, one.w) + LEDGER_HEAD;
    for (const [z, zone] of this.zones.entries()) {
      if ((zone.definition.flags & (FREE_ON_DEATH | UNCHECKED)) !== 0) continue;
      for (let k = 0; k < PLACES; k++) {
        const item = this.control[from + z * PLACES + k] ?? 0;
        if (item <= 0) continue;
        const owner = zone.ownerOf(item);
        if (owner !== 127) this.say(`zone "${zone.name}": the item ${item} was a dead worker's and belongs to ${owner}`);
      }
    }
  }

  /** The parent's own part: a little of everything between two turns of its event loop. */
  private work(): void {
    try {
      const zone = this.zones[this.random(this.zones.length)] as Library.Zone;
      const items: number[] = [];
      for (let n = this.random(40); n > 0; n--) items.push(zone.tryAlloc());
      for (const item of items) zone.free(item);
      if (this.random(20) === 0) zone.reclaim();
      this.uma.poll();
      if (this.random(8) === 0) for (const problem of this.uma.verify({ online: true }).problems) this.say(`in the storm: ${problem}`);
    } catch (error) {
      if ((error as { code?: string }).code !== "ERR_UMA_BUSY") this.say(`the parent met ${String((error as Error).stack)}`);
    }
  }

  /** All workers leave, or are terminated on the way; then everything must be in its place. */
  private async calm(): Promise<void> {
    const { control, oracle, zones, tally } = this;
    Atomics.store(control, STOP, 1);
    const until = performance.now() + STUCK_MS;
    while (this.running.size > 0 && performance.now() < until) {
      this.uma.poll();
      await pause(1);
    }
    if (this.running.size > 0) this.say(`stuck: ${this.running.size} workers do not come to an end`);
    this.checkCounters();
    this.verify("in the calm");
    try {
      for (const zone of zones) for (const item of [...zone.ownedBy(127)]) zone.free(item);
      for (const zone of zones) zone.reclaim();
      for (let n = 0; n < 3; n++) this.destroyPassing(n);
      for (const zone of this.uma.stats().zones) {
        // With checks off nobody knows what was a dead worker's.
        if (zone.name === "unchecked" || (zone.used === 0 && zone.pages === 0)) continue;
        this.say(`zone "${zone.name}" keeps ${zone.used} items and ${zone.pages} pages when everything was given back`);
      }
    } catch (error) {
      this.say(`life does not go on: ${String((error as Error).stack)}`);
    }
    this.verify("when everything was given back");
    for (const [z, zone] of zones.entries()) {
      if ((zone.definition.flags & UNCHECKED) === 0) control.fill(0, MAIL + z * MAIL_BOXES, MAIL + (z + 1) * MAIL_BOXES);
    }
    for (let n = 0; n < oracle.length; n++) if (oracle[n] === MAILED) oracle[n] = 0;
    tally.calms++;
    tally.operations = control[OPERATIONS] ?? 0;
    tally.overflows = control[OVERFLOWS] ?? 0;
    Atomics.store(control, STOP, 0);
  }

  private destroyPassing(n: number): void {
    for (const { name } of this.uma.stats().zones) {
      if (name !== `passing ${n}`) continue;
      this.uma
        .open(this.library.defineZone(name, { size: 80 + 16 * n, init: () => undefined, fini: () => undefined }))
        .destroy({ force: true });
    }
  }

  private checkCounters(): void {
    const { control } = this;
    const at = (what: string): string =>
      `${what}; first the item ${control[BAD_ITEM]} of zone "${this.zones[control[BAD_ZONE] ?? 0]?.name}", by ${control[BAD_BY]} in action ${control[BAD_ACTION]}, with the stamp ${control[BAD_STAMP]}`;
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
