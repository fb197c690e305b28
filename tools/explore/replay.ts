/**
 * Theory: a schedule can be run again step by step on a fresh world, telling each access with its place in the source;
 * and it can be shortened: parts are left out as long as the same kind of violation remains. Shortening prefers fewer
 * kills, then fewer switches, then fewer steps: that is what makes a failure readable.
 */
import { KIND_NAMES, NOTIFY, WAIT, CAS, UPDATE, BULK } from "./access.ts";
import { ENDED, Machine, RUNNING, Violation, WAITING, type Choice } from "./machine.ts";
import type { LocalNode } from "./local.ts";
import { siteInfo } from "./runtime.ts";
import type { Scenario } from "./scenario.ts";

export interface Replay {
  /** What was violated; null when nothing was. */
  readonly violation: string | null;
  /** The choices really taken, with the completion. */
  readonly taken: readonly Choice[];
  readonly lines: readonly string[];
}

const noop = (): void => undefined;

/** Runs a schedule; choices that are not possible are left out, and what is missing is completed. */
export function replay(scenario: Scenario, script: readonly Choice[], options: { print?: (line: string) => void } = {}): Replay {
  const lines: string[] = [];
  const taken: Choice[] = [];
  const tell = (line: string): void => {
    lines.push(line);
    options.print?.(line);
  };
  const limit = 2 * (scenario.maxDepth ?? 2000) + script.length;
  try {
    const machine = new Machine(scenario, { mergeFrames: false, onNode: noop });
    let at = 0;
    while (taken.length < limit) {
      const choice = at < script.length ? (script[at++] as Choice) : complete(machine, taken.at(-1));
      if (!choice) {
        machine.check();
        return { violation: null, taken, lines };
      }
      if (!possible(machine, choice)) continue;
      taken.push(choice);
      take(machine, choice, taken.length, tell);
      if (machine.world.invariant) machine.checkInvariant();
    }
    throw new Violation(`no end after ${limit} steps (livelock)`);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    tell(`violation: ${error.message}`);
    return { violation: error.message, taken, lines };
  }
}

function possible(machine: Machine, { kind, worker }: Choice): boolean {
  if (worker >= machine.count) return false;
  if (kind === "step") return machine.status[worker] === RUNNING;
  return kind === "kill" ? machine.mayBeKilled(worker) : machine.isTimed(worker);
}

/** The next choice without switches; null at the end. */
function complete(machine: Machine, latest: Choice | undefined): Choice | null {
  const runs = (w: number): boolean => machine.status[w] === RUNNING;
  if (latest && runs(latest.worker)) return { kind: "step", worker: latest.worker };
  for (let w = 0; w < machine.count; w++) if (runs(w)) return { kind: "step", worker: w };
  const longest = machine.longestSleeper();
  if (longest >= 0) return { kind: "timeout", worker: longest };
  for (let w = 0; w < machine.count; w++) {
    if (machine.status[w] === WAITING)
      throw new Violation(`deadlock: ${(machine.nodes[w] as LocalNode).root.name} sleeps and nobody is left to wake it`);
  }
  return null;
}

function take(machine: Machine, { kind, worker }: Choice, number: number, tell: (line: string) => void): void {
  const node = machine.nodes[worker] as LocalNode;
  const name = `${String(number).padStart(4)}  ${worker} ${node.root.name.padEnd(10)}`;
  if (kind === "kill") {
    const before = machine.count;
    machine.kill(worker);
    const started = machine.nodes.slice(before, machine.count).map((n, i) => `${before + i} ${n.root.name}`);
    tell(`${name}  KILLED${started.length > 0 ? `, starts ${started.join(", ")}` : ""}`);
    return;
  }
  if (kind === "timeout") {
    machine.timeOut(worker);
    tell(`${name}  wait times out`);
    return;
  }
  const old = machine.memory.words[node.firstWord];
  try {
    machine.step(worker);
  } finally {
    tell(`${name}  ${describe(node, old, machine, worker)}`);
  }
}

function describe(node: LocalNode, old: number | undefined, machine: Machine, worker: number): string {
  const { function: where, file, line, text } = siteInfo(node.site);
  const place = `${where} ${file}:${line}`;
  const target = node.kind === BULK ? `${node.op}(${node.args.map(String).join(", ")})` : `[${node.index}]`;
  const now = machine.memory.words[node.firstWord];
  const change = node.writes && node.kind !== WAIT && node.kind !== NOTIFY ? `${String(old)} → ${String(now)}` : `= ${String(old)}`;
  const operands = node.kind === CAS ? ` (${node.a} → ${node.b})` : node.kind === UPDATE ? ` ${node.op} ${node.a}` : "";
  const sleeps = machine.status[worker] === WAITING ? ", sleeps" : machine.status[worker] === ENDED ? ", ends" : "";
  return `${(KIND_NAMES[node.kind] ?? "?").padEnd(6)} ${target}${operands} ${change}${sleeps}   ${place}   ${text}`;
}

/** Shortens a failing schedule; answers one that still fails in the same way. */
export function shrink(scenario: Scenario, script: readonly Choice[], message: string, maxSeconds = 3): Choice[] {
  const kind = violationKind(message);
  const deadline = performance.now() + maxSeconds * 1000;
  let best = [...script];
  const attempt = (candidate: readonly Choice[]): boolean => {
    const result = replay(scenario, candidate);
    if (result.violation === null || violationKind(result.violation) !== kind || weight(result.taken) >= weight(best)) return false;
    best = [...result.taken];
    return true;
  };
  attempt([]);
  for (let improved = true; improved && performance.now() < deadline; ) {
    improved = false;
    const bounds = segments(best);
    for (let i = 0; i + 1 < bounds.length && performance.now() < deadline; i++) {
      const [from, to] = [bounds[i] as number, bounds[i + 1] as number];
      const end = bounds[i + 2] ?? best.length;
      const without = [...best.slice(0, from), ...best.slice(to)];
      const swapped = [...best.slice(0, from), ...best.slice(to, end), ...best.slice(from, to), ...best.slice(end)];
      if (attempt(best.slice(0, from)) || attempt(without) || attempt(swapped)) {
        improved = true;
        break;
      }
    }
  }
  return best;
}

/** Where the script changes worker or kind. */
function segments(script: readonly Choice[]): number[] {
  const bounds = [0];
  for (let i = 1; i < script.length; i++) {
    const [a, b] = [script[i - 1] as Choice, script[i] as Choice];
    if (a.worker !== b.worker || a.kind !== "step" || b.kind !== "step") bounds.push(i);
  }
  return [...bounds, script.length];
}

function weight(script: readonly Choice[]): number {
  const kills = script.filter((choice) => choice.kind === "kill").length;
  return kills * 1_000_000 + segments(script).length * 10_000 + script.length;
}

function violationKind(message: string): string {
  return message.replace(/\d+/g, "#");
}
