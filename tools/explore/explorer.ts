/**
 * Theory: depth-first search over all schedules of a scenario's workers, one shared access per step, with the kill of a
 * worker possible before any of its steps, and with visited states pruned. A state is the memory's hash with each
 * worker's local state and status; a dead worker counts by its notes alone.
 *
 * Reductions, and why they are sound:
 *  1. *Kills right after the victim's own change.* A worker that will take no further step may as well die at once: its
 *     death changes no memory, and what the death calls into being may be scheduled as late as one likes. Nor does it matter
 *     whether it dies before or after it has only looked at something: what it has learnt dies with it. So a kill of w is
 *     tried only when w has just changed a word, told the check something, woken somebody, or been woken itself, at the start,
 *     and, because a time-out waits for "nothing else can run" and kills may be ordered, after a time-out and a kill. Any
 *     state reached otherwise has, on its path, the state where that kill was tried.
 *  2. *Private accesses.* If the pending access of w touches a word that no other program able to run at the same time ever
 *     touches (reading a word that none of them ever writes will do), then it commutes with all they can do, and is
 *     taken at once without trying the others: {w's step, w's step and death} is a persistent set. The kill choices of (1)
 *     remain, since recovery may read the word. "Able to run at the same time": alive, or startable by a kill still in the budget;
 *     not those that start only after w's own death. Who touches what is learnt while exploring; when something learnt
 *     contradicts a step already taken, the round is soon started again.
 *  3. *Words under a lock.* An access of w to a word counts as private, too, while w holds the lock under which all the others
 *     touch that word: none of them can get there before w lets go, or dies. Which lock that is is learnt (locksets.ts); so
 *     is who breaks the rule, and then the round starts again. That nobody lets go another's lock is checked at each step.
 *  4. *Chains.* Private steps without a kill to try are taken in one go, with nothing saved between them; where such a chain
 *     begins in a state that was seen, or comes to a landmark that another has passed, it is not run on.
 *  5. *Local graphs and clean frames* (local.ts, run.ts): equal local states are one, however they were reached.
 * An `invariant` sees every state, so it switches (2) to (4) off. A preemption bound keeps them: they only remove switches.
 *
 * *Deepening.* Where all schedules are too many for the time, those with at most 0, 1, 2, … preemptions are gone through, each
 * bound to its end, until the time is up; kills are never counted. What is claimed then is the last bound that came to its end. One that
 * kept no switch back has seen everything. Where two kills are too many even without preemptions, the same is done with one.
 */
import { foldA, foldB, mixA, mixB } from "./hash.ts";
import type { LocalNode } from "./local.ts";
import { Locksets } from "./locksets.ts";
import {
  deadlock,
  DEAD,
  KILL,
  KINDS,
  Machine,
  QUIET,
  RUNNING,
  SavedState,
  STEP,
  TIMEOUT,
  Violation,
  WAITING,
  type Choice,
  type ChoiceKind,
} from "./machine.ts";
import type { Scenario } from "./scenario.ts";
import { KNOWN, NEW, Visited } from "./visited.ts";

export interface ExploreOptions {
  readonly maxStates?: number;
  readonly maxSeconds?: number;
  /**
   * Where the time is too short for all schedules: those with 0, 1, 2, … preemptions. A scenario's own bound then only says that to
   * try all first is in vain.
   */
  readonly deepen?: boolean;
  /** Reduction (2) of the theory; on by default. */
  readonly reduce?: boolean;
  /** Reduction (3); on by default. */
  readonly locksets?: boolean;
  /** Clean frames; on by default. */
  readonly mergeFrames?: boolean;
  /** Reduction (1) off: every kill is tried in every state. For checking the explorer itself. */
  readonly killAnywhere?: boolean;
  /** Random schedules are run first until this many in a row have taught nothing: they find gross mistakes at once. */
  readonly warmUp?: number;
}

export interface Exploration {
  readonly scenario: string;
  readonly outcome: "complete" | "bounded" | "violated";
  /** Why it is bounded: states, seconds, or steps of unfair schedules that were cut. */
  readonly bounds: readonly string[];
  readonly states: number;
  /** Steps taken by the search (kills and time-outs too). */
  readonly steps: number;
  /** Complete schedules that were checked at their end. */
  readonly schedules: number;
  readonly localStates: number;
  /** Runs built anew to discover a local state. */
  readonly replays: number;
  readonly rounds: number;
  readonly maxDepth: number;
  readonly seconds: number;
  readonly preemptionBound: number | null;
  readonly violation: { readonly message: string; readonly script: readonly Choice[] } | null;
}

/** Schedules at the most, and of the time a quarter: a bound on the search's states alone then means the same on slow machines. */
const WARM_UP_SCHEDULES = 3000;

/** In a chain of private steps one state in so many, less one, is compared with those of other chains. */
const LANDMARKS = 15;
/** Of the time, for a search without a bound, before bounds are gone through; and of what is left, for the first bound with two kills. */
const SHARE_OF_ALL = 0.3;
const SHARE_OF_FIRST_BOUND = 0.6;

const NOTHING: Exploration = {
  scenario: "",
  outcome: "violated",
  bounds: [],
  states: 0,
  steps: 0,
  schedules: 0,
  localStates: 0,
  replays: 0,
  rounds: 0,
  maxDepth: 0,
  seconds: 0,
  preemptionBound: null,
  violation: null,
};

/** What an exploration has come to so far. */
interface Found {
  readonly bounds: string[];
  states: number;
  schedules: number;
  covered: number | null;
  violation: Exploration["violation"];
}

class Restart extends Error {}
class Budget extends Error {
  readonly bound: string;
  constructor(bound: string) {
    super(bound);
    this.bound = bound;
  }
}

export class Explorer {
  readonly machine: Machine;
  private readonly scenario: Scenario;
  private readonly reduce: boolean;
  private readonly killAnywhere: boolean;
  private readonly maxDepth: number;
  private bound: number;
  /** Whether the bound has kept a switch back. */
  private bitten = false;
  private readers: Int32Array;
  private writers: Int32Array;
  /** For each word the roots that were taken to have it for themselves. */
  private privateTo: Int32Array;
  /** After how many steps the round ends because something learnt contradicts it. */
  private restartAt = Infinity;
  private roundStart = 0;
  private visited!: Visited;
  private states = 0;
  private steps = 0;
  private schedules = 0;
  private deepest = 0;
  private cut = 0;
  private rounds = 0;
  /** New facts about who touches what. */
  private learnt = 0;
  private seed = 12345;
  private deadline = Infinity;
  private stateBudget = Infinity;

  // The path: choices taken, and what to restore; and the choices still to be tried at each depth.
  private readonly path: number[] = [];
  private readonly saved: SavedState[] = [];
  private readonly choices: number[] = [];
  private readonly choiceStart: number[] = [];
  private readonly cursor: number[] = [];
  /** For each depth the length of the path there; steps of a chain have no depth of their own. */
  private readonly pathStart: number[] = [];
  private readonly initial = new SavedState();
  private readonly locksets: Locksets | null;

  constructor(scenario: Scenario, options: { reduce: boolean; locksets: boolean; mergeFrames: boolean; killAnywhere: boolean }) {
    this.scenario = scenario;
    this.killAnywhere = options.killAnywhere;
    this.readers = new Int32Array(0);
    this.writers = new Int32Array(0);
    this.privateTo = new Int32Array(0);
    this.maxDepth = scenario.maxDepth ?? 2000;
    this.bound = scenario.preemptionBound ?? Infinity;
    const early: LocalNode[] = [];
    let learn = (node: LocalNode): void => void early.push(node);
    this.machine = new Machine(scenario, { mergeFrames: options.mergeFrames, onNode: (node) => learn(node) });
    const words = this.machine.memory.words.length;
    this.readers = new Int32Array(words);
    this.writers = new Int32Array(words);
    this.privateTo = new Int32Array(words);
    learn = (node) => this.learn(node);
    early.forEach(learn);
    this.reduce = options.reduce && !this.machine.world.invariant;
    const { locks } = this.machine.world;
    this.locksets = locks && this.reduce && options.locksets ? new Locksets(locks, this.machine.memory.words) : null;
    this.initial.save(this.machine);
  }

  run(options: ExploreOptions): Exploration {
    const started = performance.now();
    const until = started + 1000 * (options.maxSeconds ?? this.scenario.maxSeconds ?? Infinity);
    this.stateBudget = options.maxStates ?? this.scenario.maxStates ?? Infinity;
    this.deadline = until;
    const found: Found = { bounds: [], states: 0, schedules: 0, covered: null, violation: null };
    const isHopeless = this.bound !== Infinity;
    try {
      if (options.deepen === true) this.bound = Infinity;
      this.warmUp(options.warmUp ?? 300);
      if (options.deepen === true) this.deepen(found, isHopeless ? started : started + (until - started) * SHARE_OF_ALL, until);
      else this.plain(found);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      found.violation = { message: error.message, script: this.script() };
      this.count(found);
    }
    this.unwind();
    const { bounds, states, schedules, covered, violation } = found;
    return {
      scenario: this.scenario.name,
      outcome: violation ? "violated" : bounds.length > 0 ? "bounded" : "complete",
      bounds,
      states,
      steps: this.steps,
      schedules,
      localStates: this.machine.graphs.roots.reduce((sum, root) => sum + root.count, 0),
      replays: this.machine.graphs.replays,
      rounds: this.rounds,
      maxDepth: this.deepest,
      seconds: (performance.now() - started) / 1000,
      preemptionBound: covered,
      violation,
    };
  }

  /** One search, within the scenario's own bound. */
  private plain(found: Found): void {
    const cutBy = this.search(found);
    if (cutBy !== null) found.bounds.push(cutBy);
    this.tellCut(found);
    if (this.bound === Infinity) return;
    found.bounds.push(`at most ${this.bound} preemptions`);
    found.covered = this.bound;
  }

  /** All schedules, for a share of the time; if that is not enough, bound after bound; if not even the first ends, with a kill less. */
  private deepen(found: Found, untilAll: number, until: number): void {
    this.deadline = untilAll;
    if (performance.now() < untilAll && this.search(found) === null) return this.tellCut(found);
    const { machine } = this;
    const most = machine.maxKills;
    const now = performance.now();
    this.deadline = most > 1 ? now + (until - now) * SHARE_OF_FIRST_BOUND : until;
    for (;;) {
      const cutBy = this.throughBounds(found, until);
      if (cutBy === null) return;
      if (found.covered !== null || machine.maxKills <= 1) break;
      // Not even without preemptions.
      machine.maxKills--;
      this.deadline = until;
    }
    if (found.covered === null) found.bounds.push("time, before all without preemptions were seen");
    else if (machine.maxKills < most) found.bounds.push(`with ${machine.maxKills} of ${most} kills, beyond that time`);
  }

  /** Bound after bound. @returns what cut the last one short; null when one has kept nothing back. */
  private throughBounds(found: Found, until: number): string | null {
    for (this.bound = 0; ; this.bound++) {
      const cutBy = this.search(found);
      if (cutBy !== null) return cutBy;
      this.deadline = until;
      found.covered = this.bound;
      found.bounds.length = 0;
      this.tellCut(found);
      if (!this.bitten) {
        if (this.machine.maxKills === this.scenario.maxKills) return null;
        found.bounds.push("all");
        return "kills";
      }
      found.bounds.push(`all of at most ${this.bound} preemptions`);
    }
  }

  private tellCut(found: Found): void {
    if (this.cut > 0) found.bounds.push(`${this.cut} unfair schedules cut at ${this.maxDepth} steps`);
  }

  /** Searches within the present bound. @returns what cut it short; null when it came to its end. */
  private search(found: Found): string | null {
    this.bitten = false;
    try {
      for (;;) {
        try {
          this.round();
          return null;
        } catch (error) {
          if (!(error instanceof Restart)) throw error;
        }
      }
    } catch (error) {
      if (!(error instanceof Budget)) throw error;
      return error.bound;
    } finally {
      this.count(found);
    }
  }

  /** Of several searches the largest counts: what the others saw it has mostly seen as well. */
  private count(found: Found): void {
    if (this.states < found.states) return;
    found.states = this.states;
    found.schedules = this.schedules;
  }

  script(): Choice[] {
    return this.path.map((code) => ({ kind: KINDS[code & 3] as ChoiceKind, worker: code >> 2 }));
  }

  // --- the search ------------------------------------------------------------------------------------------------

  private round(): void {
    this.unwind();
    this.rounds++;
    this.visited = new Visited();
    this.states = 0;
    this.schedules = 0;
    this.cut = 0;
    this.restartAt = Infinity;
    this.roundStart = this.steps;
    this.privateTo.fill(0);
    this.locksets?.newRound();
    this.machine.fresh = (1 << this.machine.count) - 1;
    const { path, choices, choiceStart, cursor, pathStart, saved } = this;
    this.open();
    while (choiceStart.length > 0) {
      const depth = choiceStart.length - 1;
      const next = cursor[depth] as number;
      if (next === choices.length) {
        choices.length = choiceStart.pop() as number;
        cursor.pop();
        pathStart.pop();
        continue;
      }
      cursor[depth] = next + 1;
      if (next > (choiceStart[depth] as number)) {
        (saved[depth] as SavedState).restore(this.machine);
        path.length = pathStart[depth] as number;
      } else if (next + 1 < choices.length) (saved[depth] ??= new SavedState()).save(this.machine);
      this.forward(choices[next] as number);
      this.open();
    }
    if (this.restartAt !== Infinity) throw new Restart();
  }

  private forward(code: number): void {
    const { path, machine } = this;
    path.push(code);
    this.steps++;
    if (path.length > this.deepest) this.deepest = path.length;
    const kind = code & 3;
    if (this.locksets !== null && (kind === STEP || kind === QUIET)) this.watch(code >> 2);
    machine.apply(kind, code >> 2);
    if (this.steps >= this.restartAt) throw new Restart();
  }

  private unwind(): void {
    this.initial.restore(this.machine);
    this.path.length = this.choiceStart.length = this.cursor.length = this.choices.length = this.pathStart.length = 0;
  }

  /** Enters the present state, or the one at the end of the chain that begins here: lists its choices, none if it was visited or is an end. */
  private open(): void {
    const { machine, choices } = this;
    const start = choices.length;
    this.choiceStart.push(start);
    this.cursor.push(start);
    if (machine.world.invariant) machine.checkInvariant();
    for (let inChain = false; ; inChain = true) {
      const forced = this.reduce ? this.privateStep() : -1;
      if (forced < 0) break;
      choices.push((forced << 2) | QUIET);
      this.listKills();
      if (choices.length > start + 1 || this.path.length >= this.maxDepth) {
        this.pathStart.push(this.path.length);
        if (!this.enter()) choices.length = start;
        else this.limit(start);
        return;
      }
      choices.length = start;
      if ((!inChain || this.isLandmark(forced)) && this.hashAndAdd() === KNOWN) {
        this.pathStart.push(this.path.length);
        return;
      }
      this.forward((forced << 2) | QUIET);
    }
    this.pathStart.push(this.path.length);
    this.listSteps();
    if (choices.length === start) this.listWhenStuck();
    else if (machine.earlyTimeouts < (this.scenario.earlyTimeouts ?? 0)) this.listTimeOuts();
    const isEnd = choices.length === start;
    this.listKills();
    if (!this.enter()) {
      choices.length = start;
      return;
    }
    if (isEnd) {
      this.schedules++;
      machine.check();
    }
    this.limit(start);
  }

  /** Of the states within chains those in which chains are compared: told by the local state, so that all chains do it at the same ones. */
  private isLandmark(worker: number): boolean {
    return ((this.machine.nodes[worker] as LocalNode).hashB & LANDMARKS) === 0;
  }

  private limit(start: number): void {
    if (this.path.length < this.maxDepth || this.choices.length === start) return;
    this.finishFairly();
    this.cut++;
    this.choices.length = start;
  }

  /** Counts the present state; false if it was known. */
  private enter(): boolean {
    const entered = this.hashAndAdd();
    if (entered === KNOWN) return false;
    if (entered === NEW) this.states++;
    if (this.states >= this.stateBudget) throw new Budget(`${this.stateBudget} states`);
    if ((this.states & 1023) === 0 && performance.now() > this.deadline) throw new Budget(`time`);
    return true;
  }

  /** Remembers the present state. @returns KNOWN, NEW, or LOWER: known, but only with more preemptions behind it. */
  private hashAndAdd(): ReturnType<Visited["add"]> {
    const { machine } = this;
    let a = machine.memory.hashA;
    let b = machine.memory.hashB;
    for (let w = 0; w < machine.count; w++) {
      const node = machine.nodes[w] as LocalNode;
      const status = machine.status[w] as number;
      if (status === DEAD) {
        a = (a + mixA(foldA(node.notesA, node.root.index + 101))) | 0;
        b = (b + mixB(foldB(node.notesB, node.root.index + 101))) | 0;
      } else {
        const rank = status === WAITING ? 8 + this.rank(w) : 0;
        a = (a + mixA(node.hashA ^ Math.imul(status + rank, 0x9e3779b1))) | 0;
        b = (b + mixB(node.hashB ^ Math.imul(status + rank, 0x7f4a7c15))) | 0;
      }
    }
    a = foldA(a, machine.earlyTimeouts);
    if (this.bound === Infinity) return this.visited.add(a, b);
    // Who ran last matters as long as to leave him would be a preemption.
    const { last } = machine;
    const current = last >= 0 && machine.status[last] === RUNNING ? last + 1 : 0;
    return this.visited.add(foldA(a, current), foldB(b, current), machine.preemptions);
  }

  private rank(worker: number): number {
    const { order, status, count } = this.machine;
    let rank = 0;
    for (let w = 0; w < count; w++) if (status[w] === WAITING && (order[w] as number) < (order[worker] as number)) rank++;
    return rank;
  }

  private listSteps(): void {
    const { machine, choices } = this;
    const { last, status, count } = machine;
    const lastRuns = last >= 0 && status[last] === RUNNING;
    // The cursor takes them in order: the one that ran goes on first, so that a first schedule is one without switches.
    if (lastRuns) choices.push((last << 2) | STEP);
    const keepsBack = lastRuns && machine.preemptions >= this.bound;
    for (let w = 0; w < count; w++) {
      if (w === last || status[w] !== RUNNING) continue;
      if (keepsBack) this.bitten = true;
      else choices.push((w << 2) | STEP);
    }
  }

  private listKills(): void {
    const { machine, choices } = this;
    if (machine.kills >= machine.maxKills) return;
    for (let w = 0; w < machine.count; w++)
      if (((machine.fresh >> w) & 1 || this.killAnywhere) && machine.mayBeKilled(w)) choices.push((w << 2) | KILL);
  }

  private listTimeOuts(): void {
    const { machine, choices } = this;
    for (let w = 0; w < machine.count; w++) if (machine.isTimed(w)) choices.push((w << 2) | TIMEOUT);
  }

  /** Nobody can step: time-outs, or the end, or a deadlock. */
  private listWhenStuck(): void {
    const { machine, choices } = this;
    const start = choices.length;
    this.listTimeOuts();
    if (choices.length > start) return;
    for (let w = 0; w < machine.count; w++) if (machine.status[w] === WAITING) throw new Violation(deadlock(machine));
  }

  // --- who touches what ------------------------------------------------------------------------------------------

  private learn(node: LocalNode): void {
    const { bit } = node.root;
    for (let word = node.firstWord; word <= node.lastWord; word++) {
      const touched = (this.readers[word] as number) | (this.writers[word] as number);
      const before = node.writes ? touched & (this.writers[word] as number) : touched;
      if ((before & bit) !== 0) continue;
      this.learnt++;
      if (node.writes) this.writers[word] = (this.writers[word] as number) | bit;
      else this.readers[word] = (this.readers[word] as number) | bit;
      if (((this.privateTo[word] as number) & ~bit) !== 0) this.contradicted();
    }
  }

  /** A worker whose pending access is private, or -1. */
  private privateStep(): number {
    const { machine } = this;
    const { nodes, status, count, graphs } = machine;
    let alive = 0;
    let started = 0;
    for (let w = 0; w < count; w++) {
      const { bit } = (nodes[w] as LocalNode).root;
      started |= bit;
      if (status[w] === RUNNING || status[w] === WAITING) alive |= bit;
    }
    const mayStart = machine.kills < machine.maxKills;
    for (let w = 0; w < count; w++) {
      if (status[w] !== RUNNING) continue;
      const node = nodes[w] as LocalNode;
      if (node.firstWord > node.lastWord) continue;
      let others = alive & ~node.root.bit;
      if (mayStart)
        for (const root of graphs.roots) if ((started & root.bit) === 0 && (root.after & node.root.bit) === 0) others |= root.bit;
      if (this.isPrivate(node, others)) return w;
    }
    return -1;
  }

  private isPrivate(node: LocalNode, others: number): boolean {
    const { locksets } = this;
    const { firstWord, lastWord } = node;
    let lock = -1;
    for (let word = firstWord; word <= lastWord; word++) {
      const rivals =
        others & (node.writes ? (this.readers[word] as number) | (this.writers[word] as number) : (this.writers[word] as number));
      if (rivals === 0) continue;
      if (locksets === null) return false;
      if (lock < 0) lock = locksets.heldBy(node.root);
      if (lock === 0 || !locksets.guards(lock, word, rivals, node.writes)) return false;
    }
    const { bit } = node.root;
    for (let word = firstWord; word <= lastWord; word++) {
      if (lock > 0) locksets?.rely(lock, word, bit, node.writes);
      else this.privateTo[word] = (this.privateTo[word] as number) | bit;
    }
    return true;
  }

  /** Before a step: under which lock it touches what it touches, and whether it takes somebody's lock from him. */
  private watch(worker: number): void {
    const locksets = this.locksets as Locksets;
    const node = this.machine.nodes[worker] as LocalNode;
    const { root } = node;
    for (let word = node.firstWord; word <= node.lastWord; word++) {
      if (locksets.touches(root, word, node.writes)) this.contradicted();
    }
    if (node.firstWord === node.lastWord && node.writes && locksets.isLock(node.firstWord)) {
      const robbed = locksets.robs(node, (name) => this.lives(name));
      if (robbed !== null) throw new Violation(`${root.name} lets go a lock that ${robbed} holds`);
    }
  }

  private lives(name: string): boolean {
    const { nodes, status, count } = this.machine;
    for (let w = 0; w < count; w++) if ((nodes[w] as LocalNode).root.name === name && status[w] !== DEAD) return true;
    return false;
  }

  /** One contradiction is seldom alone: this round goes on a while, only to learn. */
  private contradicted(): void {
    this.restartAt = Math.min(this.restartAt, this.steps + 2000 + (this.steps - this.roundStart) / 4);
  }

  // --- schedules outside the search ------------------------------------------------------------------------------

  /** A long schedule: complete it fairly; if it still does not end, nobody gets on. */
  private finishFairly(): void {
    const { machine } = this;
    const from = this.path.length;
    const here = new SavedState();
    here.save(machine);
    for (let step = 0; step < this.maxDepth; step++) {
      const code = this.fairChoice(step);
      if (code < 0) {
        machine.check();
        here.restore(machine);
        this.path.length = from;
        return;
      }
      this.forward(code);
    }
    throw new Violation(`no end after ${this.maxDepth} further steps of a fair schedule (livelock)`);
  }

  private fairChoice(turn: number): number {
    const { machine } = this;
    for (let i = 0; i < machine.count; i++) {
      const w = (turn + i) % machine.count;
      if (machine.status[w] === RUNNING) return (w << 2) | STEP;
    }
    const longest = machine.longestSleeper();
    if (longest >= 0) return (longest << 2) | TIMEOUT;
    for (let w = 0; w < machine.count; w++) if (machine.status[w] === WAITING) throw new Violation(deadlock(machine));
    return -1;
  }

  /**
   * Random schedules, until `quiet` of them in a row have taught nothing new about who touches what (each thing learnt
   * later restarts a round). Kills fall evenly over a schedule's length.
   */
  private warmUp(quiet: number): void {
    const now = performance.now();
    const until = now + (this.deadline - now) / 4;
    let length = 50;
    for (let idle = 0, runs = 0; idle < quiet && runs < WARM_UP_SCHEDULES && performance.now() < until; idle++, runs++) {
      const before = this.learnt + (this.locksets?.learnt ?? 0);
      length = Math.round((length * 7 + this.randomSchedule(length)) / 8);
      this.unwind();
      if (this.learnt + (this.locksets?.learnt ?? 0) !== before) idle = -1;
    }
    this.steps = 0;
    this.deepest = 0;
  }

  /** Runs one random schedule to its end; answers its length. */
  private randomSchedule(usualLength: number): number {
    const { machine } = this;
    const kills = Array.from({ length: this.scenario.maxKills }, () => this.random(usualLength + 5));
    let current = 0;
    for (let step = 0; step < this.maxDepth; step++) {
      if (kills.includes(step)) {
        const victims: number[] = [];
        for (let w = 0; w < machine.count; w++) if (machine.mayBeKilled(w)) victims.push(w);
        if (victims.length > 0) this.forward(((victims[this.random(victims.length)] as number) << 2) | KILL);
      }
      const runnable: number[] = [];
      for (let w = 0; w < machine.count; w++) if (machine.status[w] === RUNNING) runnable.push(w);
      if (!runnable.includes(current) || this.random(4) === 0) current = runnable[this.random(runnable.length)] ?? -1;
      const code = current >= 0 ? (current << 2) | STEP : this.fairChoice(step);
      if (code < 0) {
        if (this.bound === Infinity) machine.check();
        return step;
      }
      this.forward(code);
      current = code >> 2;
    }
    return this.maxDepth;
  }

  private random(n: number): number {
    this.seed = (Math.imul(this.seed, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((this.seed / 0x80000000) * n);
  }
}

export function explore(scenario: Scenario, options: ExploreOptions = {}): Exploration {
  const { reduce = true, locksets = true, mergeFrames = true, killAnywhere = false } = options;
  try {
    return new Explorer(scenario, { reduce, locksets, mergeFrames, killAnywhere }).run(options);
  } catch (error) {
    // A program that throws before its first access.
    if (!(error instanceof Violation)) throw error;
    return { ...NOTHING, scenario: scenario.name, violation: { message: error.message, script: [] } };
  }
}
