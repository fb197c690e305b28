/**
 * Theory: this is what instrumented modules call. It has two states. *Plain*: no worker is being run (set-up, checks at
 * the end): generators are driven on the spot and accesses performed at once. *Running*: a worker's generators are being
 * resumed; an access inside a function that could not become a generator is then an error, since it would be invisible
 * to the schedule.
 *
 * Importing this module publishes it under a global symbol, by which every instrumented tree of this process finds it.
 */
import {
  announce,
  announced,
  BULK,
  CAS,
  LOAD,
  NOTIFY,
  READ,
  STORE,
  UPDATE,
  WAIT,
  WAIT_ANSWERS,
  WRITE,
  NOT_EQUAL,
  TIMED_OUT,
  type Access,
  type IntView,
  type View,
} from "./access.ts";
import { native, type Memory } from "./memory.ts";

export type Gen = Generator<unknown, unknown, unknown>;

const BRAND = Symbol("generator");
const generatorPrototype = Object.getPrototypeOf(Object.getPrototypeOf((function* () {})())) as object;
if (!(BRAND in generatorPrototype)) Object.defineProperty(generatorPrototype, BRAND, { value: true });

export function isGenerator(value: unknown): value is Gen {
  return typeof value === "object" && value !== null && (value as { [BRAND]?: boolean })[BRAND] === true;
}

/** What the runtime knows of the worker being resumed. */
export interface Frame {
  /** The latest instrumented code said that it changed the heap. */
  dirty: boolean;
  /** The frame is of instrumented code, so that its changes are known. */
  watched: boolean;
}

export interface RunningWorker {
  readonly frame: Frame;
  clock: number;
  random: number;
  note(value: unknown): void;
  /** Numbers an execution of a function that has tracked variables. */
  nextInstance(): number;
  /** A tracked variable has a new value; false if it is no primitive. */
  setVariable(instance: number, variable: number, value: unknown): boolean;
  /** The frame has read a tracked variable. */
  learnNow(value: unknown): void;
  forget(keys: readonly unknown[]): void;
}

export const state: {
  running: RunningWorker | null;
  /** The worker being run or being started: whose tracked variables are changed. */
  owner: RunningWorker | null;
  /** The explored memory while checks run, so that what they write can be undone. */
  memory: Memory | null;
  /** While a program is being started, reads are of words that must never change: see local.ts. */
  startReads: ((access: Access) => unknown) | null;
} = { running: null, owner: null, memory: null, startReads: null };

const idle: Frame = { dirty: false, watched: false };
let frame: Frame = idle;

export function enterWorker(worker: RunningWorker): void {
  state.running = worker;
  state.owner = worker;
  frame = worker.frame;
}

export function leaveWorker(): void {
  state.running = null;
  state.owner = null;
  frame = idle;
}

// --- sites ---------------------------------------------------------------------------------------------------------

export interface SiteInfo {
  readonly function: string;
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

const sites: SiteInfo[] = [];

function registerSites(table: readonly (readonly [string, string, number, string])[]): number {
  const base = sites.length;
  for (const [name, file, line, text] of table) sites.push({ function: name, file, line, text });
  return base;
}

/** Site numbers start at 1; 0 is an access of the scenario itself. */
export function siteInfo(site: number): SiteInfo {
  return sites[site - 1] ?? { function: "scenario", file: "", line: 0, text: "" };
}

// --- announcements -------------------------------------------------------------------------------------------------

const $rd = (view: View, index: number, site: number): number => announce(READ, view, index, 0, 0, site);
const $wr = (view: View, index: number, value: number, site: number): number => announce(WRITE, view, index, value, 0, site);
const $ld = (view: View, index: number, site: number): number => announce(LOAD, view, index, 0, 0, site);
const $st = (view: View, index: number, value: number, site: number): number => announce(STORE, view, index, value, 0, site);
const $cas = (view: View, index: number, old: number, now: number, site: number): number => announce(CAS, view, index, old, now, site);
const $wait = (view: View, index: number, value: number, time: number | undefined, site: number): number =>
  announce(WAIT, view, index, value, time ?? Infinity, site);
const $ntf = (view: View, index: number, count: number | undefined, site: number): number =>
  announce(NOTIFY, view, index, count ?? Infinity, 0, site);

function $up(op: string, view: View, index: number, value: number, site: number): number {
  announced.op = op;
  return announce(UPDATE, view, index, value, 0, site);
}

function $bulk(view: View, op: string, args: unknown[], site: number): number {
  announced.op = op;
  // The source of a copy is read by the program now; it may change before the access happens.
  if (op === "set" && ArrayBuffer.isView(args[0])) args[0] = (args[0] as Uint8Array).slice();
  announced.args = args;
  return announce(BULK, view, 0, 0, 0, site);
}

// --- calls, changes, plain contexts --------------------------------------------------------------------------------

const $gen = isGenerator;

/** As $gen, for a callee that is not of the tree: if it was no generator, nobody knows what it changed. */
function $unk(value: unknown): boolean {
  if (isGenerator(value)) return true;
  frame.dirty = true;
  return false;
}

function $mut(): void {
  frame.dirty = true;
}

const $inst = (): number => state.owner?.nextInstance() ?? 0;

function $var<T>(instance: number, variable: number, value: T): T {
  const { owner, running } = state;
  if (owner && !owner.setVariable(instance, variable, value)) frame.dirty = true;
  running?.learnNow(value);
  return value;
}

function $get<T>(value: T): T {
  state.running?.learnNow(value);
  return value;
}

function $enter(): void {
  frame.watched = true;
}

function $sync(site: number): unknown {
  if (state.running) throw new Error(`shared access in a plain function while scheduled: ${describeSite(site)}`);
  return performNow();
}

function $plain(value: unknown): unknown {
  if (!isGenerator(value)) return value;
  if (!state.running) return runSync(value);
  const step = value.next();
  if (step.done) return step.value;
  const where = typeof step.value === "number" ? step.value : 0;
  throw new Error(`a plain function calls one that touches shared memory, while scheduled: ${describeSite(where)}`);
}

function $plainFn(value: unknown): unknown {
  if (typeof value !== "function") return value;
  const fn = value as (...args: unknown[]) => unknown;
  return (...args: unknown[]) => $plain(fn(...args));
}

function describeSite(site: number): string {
  const { function: name, file, line, text } = siteInfo(site);
  return `${text} in ${name} (${file}:${line})`;
}

// --- time and chance: per worker, deterministic --------------------------------------------------------------------

let plainClock = 0;
let plainRandom = 1;

/** A worker's time passes only while it sleeps to the end; what the clock says is something learnt. */
function now(): number {
  const { running } = state;
  if (!running) return (plainClock += 0.001);
  running.learnNow(running.clock);
  return running.clock;
}

function $random(): number {
  const holder = state.running;
  const next = (Math.imul(holder ? holder.random : plainRandom, 1664525) + 1013904223) | 0;
  if (holder) holder.random = next;
  else plainRandom = next;
  holder?.learnNow(next);
  return (next >>> 0) / 2 ** 32;
}

const $Date = { now: (): number => Math.floor(now()) };
const $performance = { now };

// --- driving without a schedule ------------------------------------------------------------------------------------

/** Performs the announced access at once. */
function performNow(): unknown {
  if (state.startReads) return state.startReads(announced);
  switch (announced.kind) {
    case NOTIFY:
      return 0;
    case WAIT:
      if (Atomics.load(announced.view as IntView, announced.index) !== announced.a) return WAIT_ANSWERS[NOT_EQUAL];
      if (announced.b === Infinity) throw new Error("an untimed wait outside a schedule would never end");
      return WAIT_ANSWERS[TIMED_OUT];
    default:
      return state.memory ? state.memory.perform(announced) : native(announced);
  }
}

/**
 * Runs transformed code to its end without a schedule (set-up, checks): give it the call's result, whatever it is.
 * `const zone = runSync(openZone(memory))`
 */
export function runSync<T>(value: T): T {
  if (!isGenerator(value)) return value;
  const stack: Gen[] = [value];
  let input: unknown = undefined;
  let thrown = false;
  for (;;) {
    const top = stack[stack.length - 1] as Gen;
    let step: IteratorResult<unknown, unknown>;
    try {
      step = thrown ? top.throw(input) : top.next(input);
      thrown = false;
    } catch (error) {
      stack.pop();
      if (stack.length === 0) throw error;
      input = error;
      thrown = true;
      continue;
    }
    if (step.done) {
      stack.pop();
      if (stack.length === 0) return step.value as T;
      input = step.value;
    } else if (isGenerator(step.value)) {
      stack.push(step.value);
      input = undefined;
    } else {
      input = performNow();
    }
  }
}

const runtime = {
  registerSites,
  $rd,
  $wr,
  $ld,
  $st,
  $cas,
  $wait,
  $ntf,
  $up,
  $bulk,
  $gen,
  $unk,
  $mut,
  $var,
  $get,
  $inst,
  $enter,
  $sync,
  $plain,
  $plainFn,
  $Date,
  $performance,
  $random,
};
(globalThis as unknown as Record<symbol, unknown>)[Symbol.for("zalloc.explore.runtime")] = runtime;
