/**
 * Theory: a scenario is a small world: one fresh memory, a few logical workers, what a death calls into being, and what
 * must hold at the end. Logical workers share *nothing but the memory*: a program is started again and again (whenever the
 * explorer needs it at another place), so each start must build its own closures and keep no state outside them.
 */
import { announce, announced, NOTIFY, READ, UPDATE, WAIT, WRITE, type IntView, type View } from "./access.ts";
import { isGenerator, state } from "./runtime.ts";

export interface Program {
  readonly name: string;
  /** Builds this worker's closures and answers its generator (or, from an instrumented function, what it returned). */
  run(): unknown;
}

export interface Victim {
  readonly name: string;
  /** The victim, then who called it into being: a recoverer's victim, and so on. */
  readonly chain: readonly string[];
}

export interface WorkerEnd {
  readonly name: string;
  readonly status: "done" | "killed";
  /** What the program returned; undefined when it was killed. */
  readonly result: unknown;
  readonly notes: readonly unknown[];
}

/** How the locks of the explored code are to be read, so that the explorer can tell what they guard. */
export interface LockRules {
  /** The name under which a program holds locks; 0 = it has none that could be told. */
  nameOf(program: string): number;
  /** The word that says which lock the bearer of the name holds or wants: its word index, or 0. */
  pendingOf(name: number): number;
  /** The holder's name in a lock word's value, 0 = free. */
  holderIn(value: number): number;
  /** Whether the bearer has been certified dead and not been recovered yet. */
  isDead(name: number): boolean;
}

export interface World {
  readonly buffer: SharedArrayBuffer;
  readonly workers: readonly Program[];
  /**
   * What starts when a worker has been killed (its certificate): recoverers, a new tenant, … It must depend on the victim
   * only, not on the time or the order of deaths; what they must know otherwise stands in the memory.
   */
  onKill?(victim: Victim): readonly Program[];
  /** Lets the explorer take critical sections in one go where nobody can tell the difference. */
  readonly locks?: LockRules;
  /** Called at every end state, with the memory as it is then; throws on a violation. Use runSync() for transformed code. */
  check(end: readonly WorkerEnd[]): void;
  /** Called at every state (switches the reduction off): keep it cheap. */
  invariant?(): void;
}

export interface Scenario {
  readonly name: string;
  readonly maxKills: number;
  build(): World;
  /** Involuntary switches per schedule; none: all schedules. */
  readonly preemptionBound?: number;
  /**
   * Timed waits end by themselves when nothing else can run; this many times in a schedule also earlier (default 0). With a
   * retry loop round the wait more than a few make the local states explode.
   */
  readonly earlyTimeouts?: number;
  /** Steps after which a schedule must be over, else it is completed fairly; if that does not end, it is a livelock. */
  readonly maxDepth?: number;
  readonly maxStates?: number;
  readonly maxSeconds?: number;
  /** Belongs to the subset that every test run explores (`--quick`). */
  readonly quick?: boolean;
  /** Who may be killed; default: everybody. */
  mayKill?(name: string): boolean;
}

/** In a program: calls transformed code. `const item = yield* call(zone.alloc())` */
export function* call<T>(value: T): Generator<unknown, T, unknown> {
  return (isGenerator(value) ? yield value : value) as T;
}

/** In a program or hook that is not instrumented: one scheduled access of its own. */
export function* read(view: View, index: number): Generator<unknown, number, unknown> {
  return (yield announce(READ, view, index, 0, 0, 0)) as number;
}

export function* write(view: View, index: number, value: number): Generator<unknown, void, unknown> {
  yield announce(WRITE, view, index, value, 0, 0);
}

/** As Atomics.add: answers what was there before. */
export function* add(view: IntView, index: number, value: number): Generator<unknown, number, unknown> {
  announced.op = "add";
  return (yield announce(UPDATE, view, index, value, 0, 0)) as number;
}

/** Sleeps until nothing else can run, or until somebody notifies the word: how a program that must try again waits its turn. */
export function* sleep(view: IntView, index: number, milliseconds = 1): Generator<unknown, void, unknown> {
  yield announce(WAIT, view, index, Atomics.load(view, index), milliseconds, 0);
}

/** A step that touches no memory of interest: gives the scheduler a choice (and a kill) at this place. */
export function* pause(view: View, index: number): Generator<unknown, void, unknown> {
  yield announce(NOTIFY, view, index, 0, 0, 0);
}

/** In a program or hook: tells the check something, at once and without a step of its own. */
export function note(value: unknown): void {
  state.running?.note(value);
}

/**
 * In a program, between operations: promises that from here on the worker depends only on these keys (and the memory),
 * not on what it has read so far. States that differ only in that past then become one.
 */
export function forget(...keys: readonly unknown[]): void {
  state.running?.forget(keys);
}

/** In a program: milliseconds that this worker has slept to the end of its naps, because nobody woke it. */
export function slept(): number {
  return state.running?.clock ?? 0;
}
