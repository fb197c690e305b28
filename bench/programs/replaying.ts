/**
 * Replays of the traces, bare: the operations alone, on zalloc's malloc in this process and on the C library's in a process of its
 * own. Both read the same words, four an operation, and a pass begins with nothing allocated.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Board, ROW_WRONG, makeBoard, rowOf } from "../../src/cli/board.ts";
import { type Plan, makePlan } from "../../src/cli/plan.ts";
import { defaultBytes } from "../../src/cli/replay.ts";
import { ALLOC, FREE, type Trace, readTrace } from "../../src/cli/trace.ts";
import { type Ticket, createMalloc, Uma } from "../../src/index.ts";
import type { Slice, SliceProgram } from "../harness/suite.ts";
import { nativeReplay } from "./compiled.ts";
import { startCrew } from "./crew.ts";
import { orderAllows } from "./order.ts";

const WORDS = 4;
/** Imported constants cost a look at their module each; these are the trace's. */
const KIND_ALLOC: number = ALLOC;
const KIND_FREE: number = FREE;

/** The trace of that name, from those that come with the project. */
export function traceOf(name: string): Trace {
  return readTrace(join(process.cwd(), "examples", "traces", `${name}.trace.gz`));
}

function wordsOf(trace: Trace): Int32Array {
  const words = new Int32Array(trace.kinds.length * WORDS);
  trace.kinds.forEach((kind, n) => {
    const id = trace.objectOf[n] as number;
    words.set([kind, id, trace.sizes[id] as number, trace.madeFrom[id] as number], n * WORDS);
  });
  return words;
}

/** zalloc's malloc, one worker. */
export function onZalloc(name: string): SliceProgram {
  const trace = traceOf(name);
  const words = wordsOf(trace);
  const uma = Uma.create({ bytes: defaultBytes(trace.peakBytes) });
  const heap = createMalloc(uma);
  const addresses = new Int32Array(trace.sizes.length);
  const pass = (): void => {
    for (let at = 0; at < words.length; at += WORDS) {
      const kind = words[at];
      const id = words[at + 1] as number;
      if (kind === KIND_ALLOC) {
        addresses[id] = heap.malloc(words[at + 2] as number);
      } else if (kind === KIND_FREE) {
        heap.free(addresses[id] as number);
        addresses[id] = 0;
      } else {
        const old = words[at + 3] as number;
        addresses[id] = heap.realloc(addresses[old] as number, words[at + 2] as number);
        addresses[old] = 0;
      }
    }
  };
  return {
    slice: () => {
      const start = performance.now();
      pass();
      const ns = (performance.now() - start) * 1e6;
      for (const p of addresses) heap.free(p);
      addresses.fill(0);
      return { ops: trace.kinds.length, ns };
    },
    close: () => uma.detach(),
  };
}

/** A file of the trace's words for the program in C. */
function wordsFile(name: string, trace: Trace): string {
  const folder = join(process.cwd(), "build", "bench-c");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.${process.pid}.words`);
  writeFileSync(path, Buffer.concat([new Int32Array([trace.kinds.length, trace.sizes.length]), wordsOf(trace)].map(bytesOf)));
  return path;
}

function bytesOf(words: Int32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

function linesOf(child: ChildProcess): AsyncIterator<string> {
  if (child.stdout === null) throw new Error("the replay in C has no output");
  return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}

/** The C library's malloc. */
export function onNative(name: string): SliceProgram {
  const trace = traceOf(name);
  const program = nativeReplay() as string;
  const file = wordsFile(name, trace);
  const held = Number(execFileSync(program, [file, "held"], { encoding: "utf8" }));
  const child = spawn(program, [file], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = linesOf(child);
  return {
    slice: async () => {
      child.stdin?.write("\n");
      const { value } = (await lines.next()) as { value: string };
      return { ops: trace.kinds.length, ns: Number(value) };
    },
    figures: () => ({ "held ÷ live": held / trace.peakBytes }),
    close: () => void child.kill(),
  };
}

/** What a worker of {@link onWorkers} is told. */
export interface Part {
  readonly ticket: Ticket;
  readonly plan: Plan;
  readonly board: Board;
  readonly worker: number;
}

/**
 * The trace dealt to some workers, stamped and checked, pass after pass in the same threads. A pass takes as long as the slowest
 * of them; what it leaves is freed before the next one.
 */
export async function onWorkers(name: string, workers: number): Promise<SliceProgram> {
  const trace = traceOf(name);
  const plan = makePlan(trace, workers);
  const uma = Uma.create({ bytes: defaultBytes(trace.peakBytes), workers: workers + 1 });
  const malloc = createMalloc(uma);
  const board = makeBoard(workers, plan.sizes.length);
  const parts = plan.counts.map((_, worker): Part => ({ ticket: uma.ticket(), plan, board, worker }));
  const crew = await startCrew("./replaying-worker.js", parts);
  return {
    slice: async () => {
      board.words.fill(0);
      for (const p of board.addresses) if (p > 0) malloc.free(p);
      board.addresses.fill(0);
      const slices = await crew.work(0);
      const wrong = parts.reduce((sum, { worker }) => sum + (board.words[rowOf(worker) + ROW_WRONG] as number), 0);
      if (wrong > 0) throw new Error(`${wrong} stamps of ${name} were wrong`);
      return { ops: plan.operations, ns: Math.max(...slices.map(({ ns }) => ns)) };
    },
    figures: () => ({ "order allows": orderAllows(plan) }),
    close: () => void crew.close(),
  };
}

/** What a worker of {@link onWorkersApace} is told. */
export interface ApacePart {
  readonly ticket: Ticket;
  readonly plan: Plan;
  /** Addresses of what other workers are going to need, by object. */
  readonly passedOn: Int32Array;
  readonly worker: number;
}

/**
 * Passes before the first that counts, whatever the number of workers: two of them compile the same code twice, on the processors
 * that they work on, and go on getting faster for longer than the harness waits.
 */
const WARM_UP_PASSES = 25;

/** The trace dealt to some workers, the operations alone, each worker at its own pace. A pass takes as long as the slowest of them. */
export async function onWorkersApace(name: string, workers: number): Promise<SliceProgram> {
  const trace = traceOf(name);
  const plan = makePlan(trace, workers);
  const uma = Uma.create({ bytes: defaultBytes(trace.peakBytes), workers: workers + 1 });
  const malloc = createMalloc(uma);
  const passedOn = new Int32Array(new SharedArrayBuffer(plan.sizes.length * 4));
  const parts = plan.counts.map((_, worker): ApacePart => ({ ticket: uma.ticket(), plan, passedOn, worker }));
  const crew = await startCrew("./replaying-apace-worker.js", parts);
  const slice = async (): Promise<Slice> => {
    for (const p of passedOn) if (p > 0) malloc.free(p);
    passedOn.fill(0);
    const slices = await crew.work(0);
    return { ops: plan.operations, ns: Math.max(...slices.map(({ ns }) => ns)) };
  };
  for (let n = 0; n < WARM_UP_PASSES; n++) await slice();
  return {
    slice,
    close: () => void crew.close(),
  };
}
