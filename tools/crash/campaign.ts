/**
 * A campaign of exact kills: one memory, one victim after another, each terminated while it is parked at a chosen point of the
 * instrumented library; after each kill recovery, the ledger's account, life going on, everything freed, and verify().
 *
 * In some rounds the recovery itself is done by a second worker that is killed at a point of its own, and the parent then recovers
 * both. What is counted: items *lost* (in nobody's hands), *duplicated* (in two places, or allocated by two), and rounds *stuck*
 * (recovery or an allocation that did not come through within its time).
 */
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import type * as Library from "../../src/index.ts";
import type { Point } from "../instrument/index.ts";
import { PointControl } from "../instrument/points-control.ts";
import { ERRORS, IN_FLIGHT, MINE, PAUSE, PAUSED, SLOTS, VIOLATIONS, makeLedger, place } from "./ledger.js";
import { HOOK_POINTS, zoneDefinitions } from "./zones.js";

export interface CampaignOptions {
  /** Folder of the plain and of the instrumented tree, and the points of the latter. */
  readonly dist: string;
  readonly instrumented: string;
  readonly points: readonly Point[];
  readonly seed: number;
  /** Operations in a victim's history. */
  readonly steps: number;
  /** Have another worker at work on the same zones all the time. */
  readonly peer?: boolean;
}

export interface Kill {
  readonly point: number;
  readonly occurrence: number;
  readonly seed: number;
  /** Kill the recoverer as well, at this point's occurrence. */
  readonly recovererPoint?: number;
  readonly recovererOccurrence?: number;
}

export interface Outcome {
  /** Whether the victim reached the point (histories with a live peer may take another turn). */
  readonly killed: boolean;
  readonly recovererKilled: boolean;
  /** Points at which workers were killed. */
  readonly at: readonly number[];
  readonly problems: string[];
}

const MAIL = 8;
/** FLAG_FREE_ON_DEATH of a zone's definition. */
const FREE_ON_DEATH = 0x10;
/** FLAG_UNCHECKED of a zone's definition. */
const UNCHECKED = 0x4;
const PATIENCE_MS = 4000;
/** The mark of items whose owner is dead, and the slots of the campaign's memory: in the order in which they are likely to own something. */
const OWNERS: readonly number[] = [127, ...Array.from({ length: 20 }, (_, n) => n + 1)];

export class Campaign {
  readonly pointCount: number;
  private readonly library: typeof Library;
  private readonly uma: Library.Uma;
  private readonly zones: Library.Zone[];
  private readonly ledger: Int32Array;
  private readonly options: CampaignOptions;
  private peer: { readonly worker: Worker; readonly ticket: Library.Ticket } | null = null;
  private at: number[] = [];

  private constructor(library: typeof Library, options: CampaignOptions) {
    this.library = library;
    this.options = options;
    this.pointCount = options.points.length;
    this.uma = library.Uma.create({ bytes: 16 * 2 ** 20, workers: 20 });
    const definitions = zoneDefinitions(library, new Int32Array(4), () => undefined) as Library.ZoneDefinition[];
    this.ledger = makeLedger(definitions.length, MAIL);
    this.zones = (zoneDefinitions(library, this.ledger, () => undefined) as Library.ZoneDefinition[]).map((d) => this.uma.open(d));
  }

  static async create(options: CampaignOptions): Promise<Campaign> {
    const library = (await import(pathToFileURL(`${options.dist}/index.js`).href)) as typeof Library;
    const campaign = new Campaign(library, options);
    if (options.peer === true) campaign.startPeer();
    return campaign;
  }

  private startPeer(): void {
    const ticket = this.uma.ticket();
    const treeUrl = pathToFileURL(this.options.dist).href;
    const worker = new Worker(new URL("./peer.js", import.meta.url), {
      workerData: { treeUrl, ticket, ledger: this.ledger, seed: this.options.seed },
      execArgv: [],
    });
    worker.on("error", () => Atomics.add(this.ledger, ERRORS, 1));
    this.peer = { worker, ticket };
  }

  /** Ends the peer; the campaign is over. */
  async close(): Promise<void> {
    await this.peer?.worker.terminate();
    if (this.peer !== null) this.uma.reap(this.peer.ticket);
  }

  /** Lets the peer give everything back and sleep, or go on. */
  private async quiet(wish: boolean, problems: string[]): Promise<void> {
    if (this.peer === null) return;
    Atomics.store(this.ledger, PAUSE, wish ? 1 : 0);
    Atomics.notify(this.ledger, PAUSE);
    const until = performance.now() + PATIENCE_MS;
    while (Atomics.load(this.ledger, PAUSED) !== (wish ? 1 : 0)) {
      if (performance.now() > until) return void problems.push("stuck: the peer does not come to rest");
      if (Atomics.load(this.ledger, ERRORS) !== 0) return void problems.push("the peer died of an error");
      this.uma.poll();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  nameOf(point: number): string {
    return this.options.points[point]?.name ?? `hook:${HOOK_POINTS[point - this.pointCount]}`;
  }

  /** Runs a history to its end and counts how often each point is passed. */
  async count(seed: number): Promise<Int32Array> {
    const control = new PointControl(this.pointCount + HOOK_POINTS.length);
    control.count();
    this.prepare();
    await this.quiet(false, []);
    const ticket = this.uma.ticket();
    const worker = this.start(ticket, control.words, seed);
    await exitOf(worker);
    this.uma.reap(ticket);
    const problems: string[] = [];
    await this.quiet(true, problems);
    problems.push(...this.settle());
    if (problems.length > 0) throw new Error(`a history without a kill ends in: ${problems.join("; ")}`);
    return control.counts();
  }

  /** Kills a victim (and perhaps its recoverer) and says what was wrong afterwards. */
  async kill(kill: Kill): Promise<Outcome> {
    const problems: string[] = [];
    this.at = [];
    this.prepare();
    await this.quiet(false, problems);
    const ticket = this.uma.ticket();
    // Reserved beforehand: a victim killed while it leaves may have given its slot back already.
    const second = this.uma.ticket();
    const killed = await this.runUntilKilled(ticket, kill.point, kill.occurrence, kill.seed, undefined, problems);
    let recovererKilled = false;
    const reports: Library.RecoveryReport[] = [];
    const dead = [ticket];
    if (killed && kill.recovererPoint !== undefined) {
      recovererKilled = await this.runUntilKilled(second, kill.recovererPoint, kill.recovererOccurrence ?? 1, kill.seed, ticket, problems);
      // Certificates come in any order; the second one's first is the harder case.
      dead.unshift(second);
    } else {
      // It never lived, but its recovery looks into arenas, whose locks the victim may have taken with it: tried again like the other.
      dead.push(second);
    }
    this.recover(dead, reports, problems);
    await this.quiet(true, problems);
    this.uma.poll();
    if (killed) this.account(problems);
    problems.push(...this.settle());
    return { killed, recovererKilled, at: this.at, problems };
  }

  private async runUntilKilled(
    ticket: Library.Ticket,
    point: number,
    occurrence: number,
    seed: number,
    reapTicket: Library.Ticket | undefined,
    problems: string[],
  ): Promise<boolean> {
    const control = new PointControl(this.pointCount + HOOK_POINTS.length);
    control.arm(point, occurrence);
    const worker = this.start(ticket, control.words, seed, reapTicket);
    const exit = exitOf(worker);
    let failure: Error | undefined;
    worker.once("error", (error: Error) => {
      failure = error;
    });
    const first = await Promise.race([control.whenReached(PATIENCE_MS), exit.then(() => null)]);
    if (first === null && control.reached === null) {
      const stopped = await Promise.race([
        exit.then(() => true),
        new Promise<boolean>((resolve) => setTimeout(() => resolve(false), PATIENCE_MS)),
      ]);
      if (!stopped)
        problems.push(
          `stuck: the worker neither reached its point nor ended; last points: ${control
            .log()
            .slice(-5)
            .map((n) => this.nameOf(n))
            .join(", ")}`,
        );
    }
    const killed = control.reached !== null;
    if (control.reached !== null) this.at.push(control.reached);
    await worker.terminate();
    await exit;
    if (failure !== undefined) problems.push(`the worker threw ${failure.message}`);
    return killed;
  }

  private start(ticket: Library.Ticket, words: Int32Array, seed: number, reapTicket?: Library.Ticket): Worker {
    return new Worker(new URL("./victim.js", import.meta.url), {
      workerData: {
        treeUrl: pathToFileURL(this.options.instrumented).href,
        ticket,
        words,
        ledger: this.ledger,
        mail: MAIL,
        seed,
        steps: this.options.steps,
        points: this.pointCount,
        reapTicket,
      },
      execArgv: [],
    });
  }

  /** Empties the ledger and puts items into the mail that the victim will free. */
  private prepare(): void {
    this.ledger.fill(0, 0, PAUSE);
    this.ledger.fill(0, ERRORS);
    for (const [z, zone] of this.zones.entries()) {
      for (let n = 0; n < MAIL; n++) this.ledger[place(this.zones.length, 0) + z * MAIL + n] = zone.alloc();
    }
  }

  /** Recovers the dead, each as far as it gets: one may hold a lock that another's recovery needs. */
  private recover(dead: readonly Library.Ticket[], reports: Library.RecoveryReport[], problems: string[]): void {
    let left = [...dead];
    for (let tries = 0; tries < 50 && left.length > 0; tries++) {
      left = left.filter((ticket) => {
        const report = this.uma.reap(ticket);
        if (report !== null) reports.push(report);
        return report !== null && !report.done;
      });
    }
    if (left.length > 0) problems.push("stuck: recovery never came through");
  }

  /** Compares what the zones say with what the victim's ledger says. */
  private account(problems: string[]): void {
    if (this.ledger[VIOLATIONS] !== 0) problems.push(`${this.ledger[VIOLATIONS]} hooks ran out of order`);
    const inFlight = (this.ledger[IN_FLIGHT] ?? 0) - 1;
    for (const [z, zone] of this.zones.entries()) {
      const open = inFlight === z ? 1 : 0;
      const { sure, unsure } = this.entries(z);
      const used = zone.stats().used;
      const freedOnDeath = (zone.definition.flags & FREE_ON_DEATH) !== 0;
      // With checks off nobody knows whose the items were: they stay taken until the zone is destroyed.
      if ((zone.definition.flags & UNCHECKED) !== 0) continue;
      const passing = z === 0 ? Math.sign(Math.abs(this.ledger[MINE] ?? 0)) : 0;
      const mailSure = this.mailOf(z).filter((item) => item > 0).length;
      const mailUnsure = this.mailOf(z).filter((item) => item < 0).length;
      const low = (freedOnDeath ? 0 : sure.length) + mailSure;
      const high = (freedOnDeath ? 0 : sure.length + unsure.length + open + passing) + mailSure + mailUnsure;
      if (used < low)
        problems.push(`zone "${zone.name}": ${used} outstanding, the ledger has ${low} (${low - used} given away twice or lost)`);
      if (used > high) problems.push(`zone "${zone.name}": ${used} outstanding, the ledger has ${high} at the most (${used - high} lost)`);
      if (freedOnDeath) continue;
      for (const item of sure)
        if (zone.ownerOf(item) !== 127)
          problems.push(`zone "${zone.name}": the item ${item} was the victim's and belongs to ${zone.ownerOf(item)}`);
    }
  }

  private entries(z: number): { sure: number[]; unsure: number[] } {
    const sure: number[] = [];
    const unsure: number[] = [];
    for (let k = 0; k < SLOTS; k++) {
      const item = this.ledger[place(z, k)] ?? 0;
      if (item > 0) sure.push(item);
      else if (item < 0) unsure.push(-item);
    }
    return { sure, unsure };
  }

  private mailOf(z: number): number[] {
    const from = place(this.zones.length, 0) + z * MAIL;
    return [...this.ledger.subarray(from, from + MAIL)];
  }

  /** Life goes on: frees everything, allocates anew, gives all pages back, verifies. */
  private settle(): string[] {
    const problems: string[] = [];
    const say = (problem: string): void => void problems.push(problem);
    const verify = (when: string): void => {
      const verdict = this.uma.verify();
      if (!verdict.ok) for (const problem of verdict.problems.slice(0, 5)) say(`${when}: ${problem}`);
    };
    verify("after recovery");
    try {
      for (const zone of this.zones) {
        for (const owner of OWNERS) {
          if (zone.stats().used === 0) break;
          for (const item of [...zone.ownedBy(owner)]) zone.free(item);
        }
        const items: number[] = [];
        for (let n = 0; n < 30; n++) items.push(zone.alloc());
        if (new Set(items).size !== items.length) say(`zone "${zone.name}" handed an item out twice`);
        for (const item of items) zone.free(item);
        zone.reclaim();
      }
      this.emptyAreas(say);
      this.emptyArenas(say);
      for (let n = 0; n < 3; n++) {
        const leftover = this.library.defineZone(`passing ${n}`, { size: 80 + 16 * n, init: () => undefined, fini: () => undefined });
        this.uma.open(leftover).destroy({ force: true });
      }
      // A zone with checks off keeps what dead workers held: nobody knows it was theirs.
      for (const zone of this.uma.stats().zones) {
        if (zone.name !== "unchecked" && (zone.used !== 0 || zone.pages !== 0))
          say(`zone "${zone.name}" keeps ${zone.used} items, ${zone.pages} pages`);
      }
    } catch (error) {
      say(`life does not go on: ${String(error)}`);
    }
    verify("at the end");
    return problems;
  }

  /** Takes the areas away that a victim had mapped. */
  private emptyAreas(say: (problem: string) => void): void {
    if (!this.uma.arenas.list().includes("vmalloc")) return;
    const vm = this.library.openVmalloc(this.uma, { bytes: 2 ** 22, warnBytes: 0 });
    for (const { address } of vm.info()) vm.free(address);
    const { areas, bytes, used } = vm.stats();
    if (areas + bytes + used !== 0) say(`${areas} mapped areas are left, ${bytes} bytes`);
  }

  /** Frees what a victim had in arenas: the leaves first, so that what they had imported goes back to their sources. */
  private emptyArenas(say: (problem: string) => void): void {
    const names = ["crash passing", "crash leaf", "crash ids", "crash pages"].filter((name) => this.uma.arenas.list().includes(name));
    for (const name of names) {
      const arena = this.uma.arenas.open(name);
      const left: { start: number; size: number; state: string }[] = [];
      arena.walk((segment) => void left.push(segment), { which: "alloc", snapshot: true });
      for (const { start, size, state } of left) {
        if (state === "xalloc") arena.xfree(start, size);
        else arena.free(start, size);
      }
      // What a worker that died had freed last may have left a span empty.
      arena.reap();
      if (arena.size("alloc") !== 0) say(`arena "${name}" keeps ${arena.size("alloc")} integers`);
      if (arena.source !== null && arena.size("total") !== 0) say(`arena "${name}" keeps ${arena.size("total")} imported integers`);
      if (name === "crash passing") arena.destroy();
    }
  }
}

function exitOf(worker: Worker): Promise<void> {
  return new Promise((resolve) => worker.once("exit", () => resolve()));
}
