/**
 * A campaign of exact kills: one memory, one theme, one victim after another, each terminated while it is parked at a chosen point of
 * the instrumented library; after each kill recovery, the ledger's account, life going on, everything freed, and verify().
 *
 * In some rounds the recovery itself is done by a second worker that is killed at a point of its own, and the parent then recovers
 * both. What is counted: items *lost* (in nobody's hands), *duplicated* (in two places, or allocated by two), and rounds *stuck*
 * (recovery or an allocation that did not come through within its time).
 */
import { pathToFileURL } from "node:url";
import type * as Library from "../../src/index.ts";
import { PointControl } from "../instrument/points-control.ts";
import { Crew, type Hand } from "./crew.ts";
import { HOOK_POINTS } from "./hooks.ts";
import { ERRORS, Ledger, MAIL, NAP, PAUSE, PAUSED, QUIET, VIOLATIONS } from "./ledger.ts";
import type { PeerOrders } from "./peer.ts";
import { emptyBlocks } from "./blocks.ts";
import { type Actor, FREE_ON_DEATH, type Theme, UNCHECKED, allocFrom, allowing, freeTo, generator, isOf } from "./theme.ts";
import { themeOf } from "./themes/index.ts";
import type { CampaignTrees } from "./trees.ts";
import type { VictimOrders } from "./victim.ts";

export interface CampaignOptions {
  readonly trees: CampaignTrees;
  readonly theme: string;
  readonly seed: number;
  /** Have another worker at work on the same zones all the time. */
  readonly peer?: boolean;
}

/** Which pass of which point; `point` "any" counts all points. */
export interface Pass {
  readonly point: number | "any";
  readonly occurrence: number;
  /** Or else whichever point comes after so many in all; without it none. */
  readonly latest?: number;
}

/** What a history passes. */
export interface Passes {
  /** How often each point. */
  readonly counts: Int32Array;
  /** How many points had been passed in all at the last pass of each. */
  readonly lasts: Int32Array;
}

export interface Kill extends Pass {
  /** Kill the recoverer as well, there. */
  readonly recoverer?: Pass;
}

export interface Outcome {
  /** Whether the victim was killed at its point, or at another (histories with a live peer may take another turn). */
  readonly killed: boolean;
  readonly recovererKilled: boolean;
  /** Points at which workers were killed. */
  readonly at: readonly number[];
  readonly problems: string[];
}

const MEMORY_BYTES = 6 * 2 ** 20;
const WORKERS = 12;
/** For what must come: a machine with much else to do takes its time. */
const PATIENCE_MS = 30_000;
/** The mark of items whose owner is dead. */
const ORPHAN = 127;

export class Campaign {
  private readonly options: CampaignOptions;
  private readonly theme: Theme;
  private readonly parent: Actor;
  private readonly crew: Crew;
  private readonly peerCrew: Crew;
  private readonly pointCount: number;
  private peer: { readonly hand: Hand; readonly ticket: Library.Ticket } | null = null;
  private at: number[] = [];

  private constructor(tree: typeof Library, options: CampaignOptions, crew: Crew) {
    this.options = options;
    this.crew = crew;
    this.peerCrew = new Crew(options.trees.peer, options.theme);
    this.theme = themeOf(options.theme);
    this.pointCount = options.trees.points.length;
    const uma = tree.Uma.create({ bytes: MEMORY_BYTES, workers: WORKERS });
    const count = this.theme.definitions({ tree, violations: new Int32Array(1), point: () => undefined }).length;
    const ledger = Ledger.make(count, true);
    const definitions = this.theme.definitions({ tree, violations: ledger.words, point: () => undefined });
    const zones = definitions.map((definition) => uma.open(definition));
    this.parent = {
      tree,
      uma,
      definitions,
      zones,
      ledger,
      random: generator(options.seed),
      who: -1,
      crowd: [0],
      alone: options.peer !== true,
      memo: new Map(),
    };
  }

  /** @param crew - of victims, which several campaigns of one theme may share. */
  static async create(options: CampaignOptions, crew: Crew): Promise<Campaign> {
    const tree = (await import(pathToFileURL(`${options.trees.dist}/index.js`).href)) as typeof Library;
    const campaign = new Campaign(tree, options, crew);
    if (options.peer === true) campaign.startPeer();
    return campaign;
  }

  static crewFor(options: CampaignOptions): Crew {
    return new Crew(options.trees.victim, options.theme);
  }

  private startPeer(): void {
    const { ledger, uma } = this.parent;
    const ticket = uma.ticket();
    const orders: PeerOrders = { theme: this.theme.name, ticket, ledger: ledger.words, seed: this.options.seed };
    this.peer = { hand: this.peerCrew.send(orders), ticket };
    // Whoever waits for the peer's quiet is told.
    this.peer.hand.worker.once("error", () => Atomics.add(ledger.words, ERRORS, 1));
  }

  /** Ends the peer and the memory. */
  async close(): Promise<void> {
    const { peer } = this;
    if (peer !== null) {
      await peer.hand.worker.terminate();
      await peer.hand.ended;
      this.parent.uma.reap(peer.ticket);
    }
    this.parent.uma.detach();
  }

  private tellPeer(wish: number): void {
    const { words } = this.parent.ledger;
    Atomics.store(words, PAUSE, wish);
    Atomics.notify(words, PAUSE);
  }

  /** Lets the peer give everything back and sleep; or get up, and nap until the next victim is there. */
  private async quiet(wish: boolean, problems: string[]): Promise<void> {
    if (this.peer === null) return;
    const { words } = this.parent.ledger;
    this.tellPeer(wish ? QUIET : NAP);
    const until = performance.now() + PATIENCE_MS;
    while (Atomics.load(words, PAUSED) !== (wish ? 1 : 0)) {
      if (performance.now() > until) return void problems.push("stuck: the peer does not come to rest");
      if (Atomics.load(words, ERRORS) !== 0) return void problems.push(`the peer died of ${String(this.peer.hand.failure())}`);
      this.parent.uma.poll();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  nameOf(point: number | "any"): string {
    if (point === "any") return "any point";
    return this.options.trees.points[point]?.name ?? `hook:${HOOK_POINTS[point - this.pointCount]}`;
  }

  /** Runs the history to its end and counts how often each point is passed, and when last. */
  async count(): Promise<Passes> {
    const control = this.control();
    control.count();
    await this.prepare([]);
    const ticket = await this.ticket();
    const hand = this.send(ticket, control);
    await hand.ended;
    const problems: string[] = [];
    await this.recover([ticket], problems);
    const failure = hand.failure();
    if (failure !== undefined) problems.push(`the worker threw ${String(failure.stack)}`);
    await this.quiet(true, problems);
    problems.push(...this.settle());
    if (problems.length > 0) throw new Error(`${this.label()}: a history without a kill ends in: ${problems.join("; ")}`);
    return { counts: control.counts(), lasts: control.lasts() };
  }

  /** Kills a victim and counts how often its recoverer, which lives, passes each point, and when last. */
  async countRecovery(kill: Pass): Promise<Passes> {
    const problems: string[] = [];
    await this.prepare(problems);
    const ticket = await this.ticket();
    const second = await this.ticket();
    const killed = await this.runUntilKilled(ticket, kill, undefined, problems);
    const control = this.control();
    control.count();
    if (killed) await this.send(second, control, ticket).ended;
    await this.recover([ticket, second], problems);
    await this.quiet(true, problems);
    this.settle();
    return { counts: control.counts(), lasts: control.lasts() };
  }

  private label(): string {
    return `theme ${this.theme.name}, seed ${this.options.seed}${this.options.peer === true ? ", with a peer" : ""}`;
  }

  /** A slot for a worker to come; the peer may have the lock for longer than the parent's patience where processors are few. */
  private async ticket(): Promise<Library.Ticket> {
    for (const until = performance.now() + PATIENCE_MS; ; ) {
      const ticket = allowing(performance.now() > until ? [] : ["ERR_UMA_BUSY"], () => this.parent.uma.ticket());
      if (ticket !== undefined) return ticket;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  private control(): PointControl {
    return new PointControl(this.pointCount + HOOK_POINTS.length);
  }

  private send(ticket: Library.Ticket, control: PointControl, reap?: Library.Ticket): Hand {
    const orders: VictimOrders = {
      theme: this.theme.name,
      ticket,
      words: control.words,
      ledger: this.parent.ledger.words,
      seed: this.options.seed,
      alone: this.parent.alone,
      points: this.pointCount,
      ...(reap === undefined ? {} : { reap }),
    };
    return this.crew.send(orders, true);
  }

  /** Kills a victim (and perhaps its recoverer) and says what was wrong afterwards. */
  async kill(kill: Kill): Promise<Outcome> {
    const problems: string[] = [];
    const { uma } = this.parent;
    this.at = [];
    await this.prepare(problems);
    const ticket = await this.ticket();
    // Reserved beforehand: a victim killed while it leaves may have given its slot back already.
    const second = await this.ticket();
    const killed = await this.runUntilKilled(ticket, kill, undefined, problems);
    let recovererKilled = false;
    const dead = [ticket];
    if (killed && kill.recoverer !== undefined) {
      recovererKilled = await this.runUntilKilled(second, kill.recoverer, ticket, problems);
      // Certificates come in any order; the second one's first is the harder case.
      dead.unshift(second);
    } else {
      // It never lived, but its recovery looks into arenas, whose locks the victim may have taken with it: tried again like the other.
      dead.push(second);
    }
    this.crew.prepare();
    await this.recover(dead, problems);
    await this.quiet(true, problems);
    this.theme.recovered?.(this.parent);
    uma.poll();
    // Of a history that ended before its point as well: what it had is there, and nobody's.
    this.account(problems);
    problems.push(...this.settle());
    return { killed, recovererKilled, at: this.at, problems };
  }

  private async runUntilKilled(
    ticket: Library.Ticket,
    { point, occurrence, latest = 0 }: Pass,
    reap: Library.Ticket | undefined,
    problems: string[],
  ): Promise<boolean> {
    const control = this.control();
    control.arm(point, occurrence, latest);
    if (this.peer !== null && reap !== undefined) this.tellPeer(NAP);
    const { worker, ended, failure } = this.send(ticket, control, reap);
    const first = await Promise.race([control.whenReached(PATIENCE_MS), ended.then(() => null)]);
    if (first === null && control.reached === null) {
      const late = new Promise<boolean>((resolve) => void setTimeout(() => resolve(false), PATIENCE_MS).unref());
      if (!(await Promise.race([ended.then(() => true), late]))) {
        const last = control.log().slice(-5);
        problems.push(`stuck: the worker neither reached its point nor ended; last points: ${last.map((n) => this.nameOf(n)).join(", ")}`);
      }
    }
    const killed = control.reached !== null;
    if (control.reached !== null) this.at.push(control.reached);
    void worker.terminate();
    await ended;
    const thrown = failure();
    if (thrown !== undefined) problems.push(`the worker threw ${String(thrown.stack)}`);
    return killed;
  }

  /** Empties the ledger, puts items into the mail that the victim will free, and wakes the peer. */
  private async prepare(problems: string[]): Promise<void> {
    const { ledger, zones } = this.parent;
    ledger.clear();
    this.theme.prepare?.(this.parent);
    for (const [z, zone] of zones.entries()) {
      for (let n = 0; n < MAIL; n++) ledger.words[ledger.mailAt(z, n)] = allocFrom(zone);
    }
    await this.quiet(false, problems);
  }

  /** Recovers the dead, each as far as it gets: one may hold a lock that another's recovery needs. */
  private async recover(dead: readonly Library.Ticket[], problems: string[]): Promise<void> {
    const until = performance.now() + PATIENCE_MS;
    let left = [...dead];
    for (;;) {
      left = left.filter((ticket) => {
        const report = this.parent.uma.reap(ticket);
        return report !== null && !report.done;
      });
      if (left.length === 0) return;
      if (performance.now() > until) return void problems.push("stuck: recovery never came through");
      // The peer, too, may have a lock for longer than the parent's patience where processors are few.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Compares what the zones say with what the victim's ledger says. */
  private account(problems: string[]): void {
    const { ledger, zones } = this.parent;
    const violations = ledger.words[VIOLATIONS];
    if (violations !== 0) problems.push(`${violations} hooks ran out of order`);
    for (const [z, zone] of zones.entries()) {
      // With checks off nobody knows whose the items were: they stay taken until the zone is destroyed.
      if (isOf(zone.definition, UNCHECKED)) continue;
      this.accountZone(z, zone, (what) => problems.push(`zone "${zone.name}": ${what}`));
    }
    this.theme.account?.(this.parent, (problem) => problems.push(problem));
  }

  private accountZone(z: number, zone: Library.Zone, say: (what: string) => void): void {
    const { ledger, uma } = this.parent;
    const { sure, unsure } = ledger.entries(z);
    const mail = ledger.mailOf(z);
    const orphans = new Set(zone.ownedBy(ORPHAN));
    const { used } = zone.stats();
    const mine = [...zone.ownedBy(uma.slot)];
    if (used !== orphans.size + mine.length) say(`${used} outstanding, ${orphans.size} a dead worker's and ${mine.length} the parent's`);
    if (isOf(zone.definition, FREE_ON_DEATH)) {
      if (orphans.size > 0) say(`${orphans.size} items of a dead worker were not freed`);
    } else {
      const missing = sure.filter((item) => !orphans.has(item));
      for (const item of missing) say(`lost: the item ${item} was the victim's and belongs to ${zone.ownerOf(item)}`);
      const known = new Set([...sure, ...unsure]);
      const extra = [...orphans].filter((item) => !known.has(item) && !mail.unsure.includes(item));
      const may = ledger.open(z);
      if (extra.length > may)
        say(`lost: ${extra.length} items are outstanding that the ledger does not know, it expects ${may} at the most`);
    }
    const kept = new Set(mine);
    for (const item of mail.sure) if (!kept.has(item)) say(`lost: the item ${item} was in the mail and belongs to ${zone.ownerOf(item)}`);
    const strange = mine.filter((item) => !mail.sure.includes(item) && !mail.unsure.includes(item));
    if (strange.length > 0) say(`duplicated: ${strange.length} items bear the parent's name without having been allocated by it`);
  }

  /** Life goes on: frees everything, allocates anew, gives all pages back, verifies. */
  private settle(): string[] {
    const problems: string[] = [];
    const { uma, zones } = this.parent;
    const say = (problem: string): void => void problems.push(problem);
    const verify = (when: string): void => {
      const verdict = uma.verify();
      if (!verdict.ok) for (const problem of verdict.problems.slice(0, 5)) say(`${when}: ${problem}`);
    };
    verify("after recovery");
    try {
      this.theme.settle?.(this.parent, say);
      emptyBlocks(uma.core, this.parent);
      for (const zone of zones) {
        for (const owner of [ORPHAN, uma.slot]) {
          if (zone.stats().used === 0) break;
          for (const item of [...zone.ownedBy(owner)]) freeTo(zone, item);
        }
        const items: number[] = [];
        for (let n = 0; n < 30; n++) items.push(allocFrom(zone));
        if (new Set(items).size !== items.length) say(`zone "${zone.name}" handed an item out twice: duplicated`);
        for (const item of items) if (item !== 0) freeTo(zone, item);
        if (items.includes(0)) say(`zone "${zone.name}" has no items left (${uma.lastFailure})`);
        zone.reclaim();
      }
      // A zone with checks off keeps what dead workers held: nobody knows it was theirs.
      for (const zone of uma.stats().zones) {
        if (!zone.name.startsWith("unchecked") && this.theme.keeps?.(zone.name) !== true && (zone.used !== 0 || zone.pages !== 0))
          say(`lost: zone "${zone.name}" keeps ${zone.used} items, ${zone.pages} pages`);
      }
    } catch (error) {
      say(`stuck: life does not go on: ${String((error as Error).stack)}`);
    }
    verify("at the end");
    return problems;
  }
}
