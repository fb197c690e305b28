/**
 * Theory: one execution of one worker: a stack of generators (see tools/instrument/generators.ts) and, for each, a hash of
 * what it has learnt. All of them together identify the worker's local state: JavaScript is deterministic, so what a
 * frame has learnt fixes where it stands and what its variables hold.
 *
 * When a frame returns, its caller learns the result. If the frame was *clean* (watched, and it changed nothing that
 * outlives it) and the result is a primitive, that is all that is left of it; otherwise the caller takes over its hash whole.
 * A worker's notes, clock, random state and tracked variables live on by themselves and are hashed beside the frames.
 */
import { announced, DONE, THROWN } from "./access.ts";
import { foldA, foldB, Lanes, wordA, wordB } from "./hash.ts";
import { enterWorker, isGenerator, leaveWorker, state, type Frame, type Gen, type RunningWorker } from "./runtime.ts";

/** A list that shares its tail with earlier ones. */
export interface Notes {
  readonly value: unknown;
  readonly before: Notes | null;
}

const lanes = new Lanes();
const START = 0x51ed270b;
/** What a frame learns when a plain write of its own has happened. */
export const NOTHING_LEARNT = 0x3c6ef372;

export interface RunOptions {
  /** Forget what clean frames have read (default). */
  readonly mergeFrames: boolean;
}

export class Run implements RunningWorker {
  readonly frame: Frame = { dirty: false, watched: false };
  clock = 0;
  random = 1;
  notes: Notes | null = null;
  notesA = 0;
  notesB = 0;
  /** After resume(): the identity of the local state. */
  hashA = 0;
  hashB = 0;
  /** DONE or THROWN once the program has ended, else 0. */
  ended = 0;
  result: unknown = undefined;

  /** Tracked variables: values by instance and variable, and their hash, each contributing independently. */
  private instances = 0;
  private readonly variables = new Map<number, { a: number; b: number }>();
  private variablesA = 0;
  private variablesB = 0;

  private readonly stack: Gen[] = [];
  private readonly learntA: number[] = [];
  private readonly learntB: number[] = [];
  private readonly dirty: boolean[] = [];
  private readonly watched: boolean[] = [];
  private readonly saltA: number;
  private readonly saltB: number;
  private readonly options: RunOptions;

  constructor(start: () => unknown, salt: number, options: RunOptions) {
    this.options = options;
    this.saltA = foldA(START, salt);
    this.saltB = foldB(START, salt);
    state.owner = this;
    let first: unknown;
    try {
      first = start();
    } finally {
      state.owner = null;
    }
    if (!isGenerator(first)) {
      this.end(DONE, first);
      return;
    }
    this.push(first);
    this.advance(undefined);
  }

  /** Gives the result of the announced access, and runs to the next announcement or the end. */
  resume(result: unknown, learns: boolean): void {
    const top = this.stack.length - 1;
    if (learns) this.learn(top, result);
    else {
      this.learntA[top] = foldA(this.learntA[top] as number, NOTHING_LEARNT);
      this.learntB[top] = foldB(this.learntB[top] as number, NOTHING_LEARNT);
    }
    this.advance(result);
  }

  note(value: unknown): void {
    this.notes = { value, before: this.notes };
    lanes.of(typeof value === "object" ? JSON.stringify(value) : value);
    this.notesA = foldA(this.notesA, lanes.a);
    this.notesB = foldB(this.notesB, lanes.b);
  }

  nextInstance(): number {
    return ++this.instances;
  }

  setVariable(instance: number, variable: number, value: unknown): boolean {
    const key = instance * 256 + variable;
    const old = this.variables.get(key);
    if (old) {
      this.variablesA ^= old.a;
      this.variablesB ^= old.b;
    }
    lanes.of(value);
    const now = { a: wordA(key, lanes.a), b: wordB(key, lanes.b) };
    this.variables.set(key, now);
    this.variablesA ^= now.a;
    this.variablesB ^= now.b;
    return value === null || (typeof value !== "object" && typeof value !== "function");
  }

  learnNow(value: unknown): void {
    this.learn(this.stack.length - 1, value);
  }

  forget(keys: readonly unknown[]): void {
    if (this.stack.length !== 1) throw new Error("forget() belongs in the program itself, not in a function it calls");
    this.learntA[0] = foldA(this.saltA, 0x1f83d9ab);
    this.learntB[0] = foldB(this.saltB, 0x1f83d9ab);
    for (const key of keys) this.learn(0, key);
  }

  private learn(at: number, value: unknown): void {
    lanes.of(value);
    let { a, b } = lanes;
    if (ArrayBuffer.isView(value)) {
      for (const element of value as Uint8Array) {
        a = foldA(a, element);
        b = foldB(b, element);
      }
    }
    this.learntA[at] = foldA(this.learntA[at] as number, a);
    this.learntB[at] = foldB(this.learntB[at] as number, b);
  }

  private push(generator: Gen): void {
    this.stack.push(generator);
    this.learntA.push(START);
    this.learntB.push(START);
    this.dirty.push(false);
    this.watched.push(false);
  }

  /** The top frame has ended; what it learnt goes to its caller as far as it must. */
  private pop(value: unknown, threw: boolean): void {
    this.stack.pop();
    const a = this.learntA.pop() as number;
    const b = this.learntB.pop() as number;
    const dirty = this.dirty.pop() as boolean;
    const watched = this.watched.pop() as boolean;
    const top = this.stack.length - 1;
    if (top < 0) return;
    const clean =
      this.options.mergeFrames &&
      watched &&
      !dirty &&
      !threw &&
      (typeof value !== "object" || value === null) &&
      typeof value !== "function";
    if (!clean) {
      this.learntA[top] = foldA(foldA(this.learntA[top] as number, a), threw ? 21 : 22);
      this.learntB[top] = foldB(foldB(this.learntB[top] as number, b), threw ? 21 : 22);
      if (dirty || !watched) this.dirty[top] = true;
    }
    this.learn(top, value);
  }

  private advance(input: unknown): void {
    const { stack, frame } = this;
    let value = input;
    let thrown = false;
    enterWorker(this);
    try {
      for (;;) {
        const top = stack.length - 1;
        frame.dirty = false;
        frame.watched = false;
        let step: IteratorResult<unknown, unknown>;
        try {
          step = thrown ? (stack[top] as Gen).throw(value) : (stack[top] as Gen).next(value);
          thrown = false;
        } catch (error) {
          this.remember(top);
          this.pop(error, true);
          if (stack.length === 0) return this.end(THROWN, error);
          value = error;
          thrown = true;
          continue;
        }
        this.remember(top);
        if (step.done) {
          value = step.value;
          this.pop(value, false);
          if (stack.length === 0) return this.end(DONE, value);
        } else if (isGenerator(step.value)) {
          this.push(step.value);
          value = undefined;
        } else {
          return this.identify();
        }
      }
    } finally {
      leaveWorker();
    }
  }

  private remember(top: number): void {
    if (this.frame.dirty) this.dirty[top] = true;
    if (this.frame.watched) this.watched[top] = true;
  }

  private identify(): void {
    let a = foldA(this.saltA, this.notesA);
    let b = foldB(this.saltB, this.notesB);
    a = foldA(a, (this.clock * 1000) | 0);
    b = foldB(b, this.random);
    a = foldA(foldA(a, this.variablesA), this.instances);
    b = foldB(foldB(b, this.variablesB), this.instances);
    for (let i = 0; i < this.stack.length; i++) {
      a = foldA(a, this.learntA[i] as number);
      b = foldB(b, this.learntB[i] as number);
    }
    this.hashA = a;
    this.hashB = b;
  }

  /** At the end only notes and result are left. */
  private end(kind: number, result: unknown): void {
    this.ended = kind;
    this.result = result;
    lanes.of(typeof result === "object" && result !== null && kind === DONE ? JSON.stringify(result) : result);
    this.hashA = foldA(foldA(foldA(this.saltA, this.notesA), lanes.a), kind);
    this.hashB = foldB(foldB(foldB(this.saltB, this.notesB), lanes.b), kind);
  }
}

/** Whether the latest announcement equals an earlier one: a deterministic program repeats itself. */
export function announcedSame(kind: number, site: number, index: number, a: number, b: number): boolean {
  return (
    announced.kind === kind &&
    announced.site === site &&
    announced.index === index &&
    Object.is(announced.a, a) &&
    Object.is(announced.b, b)
  );
}
