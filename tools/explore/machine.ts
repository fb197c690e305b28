/**
 * Theory: one scenario's world and its present state: where each logical worker stands, who sleeps in which order, who is
 * dead. It can take any possible step, kill or time-out, and a saved state brings it back; it decides nothing.
 */
import { DONE, NOT_EQUAL, NOTIFY, OK, THROWN, TIMED_OUT, WAIT, type IntView } from "./access.ts";
import { LocalGraphs, type LocalNode, type Root } from "./local.ts";
import { Memory, OutOfRange } from "./memory.ts";
import type { Notes } from "./run.ts";
import { state as runtimeState } from "./runtime.ts";
import type { Scenario, WorkerEnd, World } from "./scenario.ts";

export const RUNNING = 0;
export const WAITING = 1;
export const ENDED = 2;
export const DEAD = 3;

export type ChoiceKind = "step" | "kill" | "timeout";
export interface Choice {
  readonly kind: ChoiceKind;
  readonly worker: number;
}

/** Choices as small numbers while searching. */
export const STEP = 0;
export const KILL = 1;
export const TIMEOUT = 2;
/** A private step, taken without a choice: no preemption bound counts it. */
export const QUIET = 3;
export const KINDS: readonly ChoiceKind[] = ["step", "kill", "timeout", "step"];

export const MAX_WORKERS = 16;

export class Violation extends Error {
  override name = "Violation";
}

/** One scenario's world and its present state, with steps forward and back. */
export class Machine {
  readonly world: World;
  readonly memory: Memory;
  readonly graphs: LocalGraphs;
  readonly nodes: LocalNode[] = [];
  readonly status = new Int8Array(MAX_WORKERS);
  /** Place in the queue of sleepers; 0 when not waiting. */
  readonly order = new Int32Array(MAX_WORKERS);
  count = 0;
  kills = 0;
  /** How many there may be: the scenario's number, or fewer. */
  maxKills: number;
  last = -1;
  preemptions = 0;
  /** Time-outs that came while somebody could run. */
  earlyTimeouts = 0;
  /** Workers whose death would now leave something else than it would have left before: bits. */
  fresh = 0;
  private sequence = 0;
  readonly scenario: Scenario;

  constructor(scenario: Scenario, options: { mergeFrames: boolean; onNode: (node: LocalNode) => void }) {
    this.scenario = scenario;
    this.maxKills = scenario.maxKills;
    this.world = scenario.build();
    this.memory = new Memory(this.world.buffer);
    const initial = new SharedArrayBuffer(this.world.buffer.byteLength);
    new Uint8Array(initial).set(new Uint8Array(this.world.buffer));
    this.graphs = new LocalGraphs({ ...options, initial });
    this.world.workers.forEach((program, i) => this.spawn(this.graphs.root(`${i}`, program.name, () => program.run(), null)));
  }

  private spawn(root: Root): void {
    if (this.count === MAX_WORKERS) throw new Error("too many workers");
    const worker = this.count++;
    this.nodes[worker] = this.graphs.entry(root);
    this.status[worker] = RUNNING;
    this.order[worker] = 0;
    this.settle(worker);
  }

  /** After a worker has entered a local state. */
  private settle(worker: number): void {
    this.fresh |= 1 << worker;
    const node = this.nodes[worker] as LocalNode;
    if (node.kind === DONE) this.status[worker] = ENDED;
    else if (node.kind === THROWN) throw new Violation(`${node.root.name} throws: ${describeError(node.result)}`);
  }

  private move(worker: number, result: unknown): void {
    this.nodes[worker] = this.graphs.next(this.nodes[worker] as LocalNode, result);
    this.settle(worker);
  }

  step(worker: number): void {
    if (this.last >= 0 && this.last !== worker && this.status[this.last] === RUNNING) this.preemptions++;
    this.last = worker;
    this.stepQuietly(worker);
  }

  /** A step that no preemption bound counts. */
  stepQuietly(worker: number): void {
    const node = this.nodes[worker] as LocalNode;
    const mark = this.memory.mark();
    let woken = 0;
    this.fresh = 0;
    if (node.kind === WAIT) this.wait(worker, node);
    else if (node.kind === NOTIFY) this.move(worker, (woken = this.wake(node)));
    else this.move(worker, this.perform(node));
    // What it has only learnt dies with it.
    if (woken === 0 && this.memory.mark() === mark && (this.nodes[worker] as LocalNode).notes === node.notes) this.fresh &= ~(1 << worker);
  }

  private perform(node: LocalNode): unknown {
    try {
      return this.memory.perform(node);
    } catch (error) {
      if (error instanceof OutOfRange || error instanceof RangeError) throw new Violation(`${node.root.name} ${error.message}`);
      throw error;
    }
  }

  private wait(worker: number, node: LocalNode): void {
    if (Atomics.load(node.view as IntView, node.index) !== node.a) {
      this.move(worker, NOT_EQUAL);
      return;
    }
    this.status[worker] = WAITING;
    this.order[worker] = ++this.sequence;
  }

  /** Wakes sleepers on the node's word, first come first served; answers how many. */
  private wake(node: LocalNode): number {
    let woken = 0;
    while (woken < node.a) {
      let next = -1;
      for (let w = 0; w < this.count; w++) {
        if (this.status[w] !== WAITING || (this.nodes[w] as LocalNode).firstWord !== node.firstWord) continue;
        if (next < 0 || (this.order[w] as number) < (this.order[next] as number)) next = w;
      }
      if (next < 0) break;
      this.status[next] = RUNNING;
      this.order[next] = 0;
      this.move(next, OK);
      woken++;
    }
    return woken;
  }

  timeOut(worker: number): void {
    for (let w = 0; w < this.count; w++) {
      if (this.status[w] !== RUNNING) continue;
      this.earlyTimeouts++;
      break;
    }
    this.status[worker] = RUNNING;
    this.order[worker] = 0;
    this.move(worker, TIMED_OUT);
    this.fresh = this.killable();
  }

  kill(worker: number): void {
    const victim = (this.nodes[worker] as LocalNode).root;
    this.status[worker] = DEAD;
    this.order[worker] = 0;
    this.kills++;
    this.fresh &= ~(1 << worker);
    const programs = this.world.onKill?.({ name: victim.name, chain: victim.chain() }) ?? [];
    programs.forEach((program, i) => this.spawn(this.graphs.root(`${victim.key}>${i}`, program.name, () => program.run(), victim)));
    this.fresh = this.killable();
  }

  apply(kind: number, worker: number): void {
    if (kind === STEP) this.step(worker);
    else if (kind === QUIET) this.stepQuietly(worker);
    else if (kind === KILL) this.kill(worker);
    else this.timeOut(worker);
  }

  private killable(): number {
    let bits = 0;
    for (let w = 0; w < this.count; w++) if (this.status[w] !== DEAD) bits |= 1 << w;
    return bits;
  }

  mayBeKilled(worker: number): boolean {
    if (this.kills >= this.maxKills || this.status[worker] === DEAD) return false;
    return this.scenario.mayKill?.((this.nodes[worker] as LocalNode).root.name) ?? true;
  }

  isTimed(worker: number): boolean {
    return this.status[worker] === WAITING && (this.nodes[worker] as LocalNode).b !== Infinity;
  }

  /** Who has slept longest of those whose sleep ends by itself; −1 = nobody. It is fair to wake that one. */
  longestSleeper(): number {
    let longest = -1;
    for (let w = 0; w < this.count; w++) {
      if (this.isTimed(w) && (longest < 0 || (this.order[w] as number) < (this.order[longest] as number))) longest = w;
    }
    return longest;
  }

  ends(): WorkerEnd[] {
    return this.nodes.slice(0, this.count).map((node, w) => ({
      name: node.root.name,
      status: this.status[w] === DEAD ? "killed" : "done",
      result: this.status[w] === DEAD ? undefined : node.result,
      notes: listNotes(node.notes),
    }));
  }

  /** Runs the scenario's check on the present memory, and takes back whatever it wrote. */
  check(): void {
    this.guarded(() => this.world.check(this.ends()), "at the end: ");
  }

  checkInvariant(): void {
    this.guarded(() => this.world.invariant?.(), "invariant: ");
  }

  private guarded(check: () => void, prefix: string): void {
    const mark = this.memory.mark();
    runtimeState.memory = this.memory;
    try {
      check();
    } catch (error) {
      throw new Violation(prefix + describeError(error));
    } finally {
      runtimeState.memory = null;
      this.memory.rollback(mark);
    }
  }
}

function listNotes(notes: Notes | null): unknown[] {
  const list: unknown[] = [];
  for (let at = notes; at; at = at.before) list.push(at.value);
  return list.reverse();
}

function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Who sleeps when nobody is left to wake them. */
export function deadlock(machine: Machine): string {
  const sleepers = [];
  for (let w = 0; w < machine.count; w++) {
    const node = machine.nodes[w] as LocalNode;
    if (machine.status[w] === WAITING) sleepers.push(`${node.root.name} on word ${node.firstWord}`);
  }
  return `deadlock: ${sleepers.join(", ")} and nobody left to wake them`;
}

/** What a machine was, to come back to. */
export class SavedState {
  private readonly nodes: LocalNode[] = [];
  private readonly status = new Int8Array(MAX_WORKERS);
  private readonly order = new Int32Array(MAX_WORKERS);
  private count = 0;
  private kills = 0;
  private last = 0;
  private preemptions = 0;
  private earlyTimeouts = 0;
  private fresh = 0;
  private mark = 0;

  save(machine: Machine): void {
    const { count } = machine;
    this.count = count;
    for (let w = 0; w < count; w++) {
      this.nodes[w] = machine.nodes[w] as LocalNode;
      this.status[w] = machine.status[w] as number;
      this.order[w] = machine.order[w] as number;
    }
    this.kills = machine.kills;
    this.last = machine.last;
    this.preemptions = machine.preemptions;
    this.earlyTimeouts = machine.earlyTimeouts;
    this.fresh = machine.fresh;
    this.mark = machine.memory.mark();
  }

  restore(machine: Machine): void {
    const { count } = this;
    machine.count = count;
    machine.nodes.length = count;
    for (let w = 0; w < count; w++) {
      machine.nodes[w] = this.nodes[w] as LocalNode;
      machine.status[w] = this.status[w] as number;
      machine.order[w] = this.order[w] as number;
    }
    machine.kills = this.kills;
    machine.last = this.last;
    machine.preemptions = this.preemptions;
    machine.earlyTimeouts = this.earlyTimeouts;
    machine.fresh = this.fresh;
    machine.memory.rollback(this.mark);
  }
}
