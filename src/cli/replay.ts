/**
 * The coordinator of a replay: makes the memory, starts the workers, watches them, terminates one if asked to, and settles the
 * accounts when all have left.
 */
import { Worker } from "node:worker_threads";
import { MAX_MEMORY_BYTES } from "../backend/memory/buffer.ts";
import { PAGE_BYTES, PTE_WORDS } from "../backend/memory/layout.ts";
import { createMalloc } from "../uma/malloc/malloc.ts";
import type { RecoveryReport } from "../uma/recovery-report.ts";
import type { MemoryStatistics } from "../uma/statistics.ts";
import { Uma } from "../uma/uma.ts";
import type { Verdict } from "../uma/verify.ts";
import { type Accounts, settleAccounts } from "./accounts.ts";
import {
  BOARD_GO,
  BOARD_TICK,
  type Board,
  NO_MORE,
  ROW_DONE,
  ROW_GONE,
  ROW_LIVE,
  ROW_PEAK,
  ROW_POSITION,
  ROW_SKIPPED,
  makeBoard,
  rowOf,
} from "./board.ts";
import type { Plan } from "./plan.ts";
import type { Progress } from "./progress.ts";
import type { Message, Orders } from "./replay-worker.ts";

export interface ReplayOptions {
  /** Length of the memory, bytes. */
  readonly bytes: number;
  /** Terminate a worker in mid-run. */
  readonly kill: boolean;
  /** Called now and then while the workers are at work. */
  /** How often, milliseconds. Default 100. */
  readonly everyMs?: number;
  readonly onProgress: (progress: Progress, statistics: () => MemoryStatistics) => void;
}

/** What became of a terminated worker. */
export interface Casualty {
  readonly worker: number;
  /** Operations it had done, and that it did not come to. */
  readonly done: number;
  readonly undone: number;
  readonly report: RecoveryReport;
}

export interface ReplayResult {
  readonly operations: number;
  /** Operations left out because what they needed was never made. */
  readonly skipped: number;
  readonly elapsedMs: number;
  /** The most bytes alive at a time, and the most bytes of memory held for them. */
  readonly peakLiveBytes: number;
  readonly peakHeldBytes: number;
  readonly casualty: Casualty | null;
  readonly accounts: Accounts;
  readonly verdict: Verdict;
  readonly statistics: MemoryStatistics;
}

const LEAST_BYTES = 256 * 2 ** 20;
const DRAW_EVERY_MS = 100;
/** A victim is terminated so soon after it is half way: at no instant in particular. */
const KILL_WITHIN_MS = 10;

/** Length of the memory for a trace that has so many bytes alive at the most: it is committed as it is touched. */
export function defaultBytes(peakBytes: number): number {
  return Math.min(MAX_MEMORY_BYTES, Math.max(LEAST_BYTES, Math.ceil((4 * peakBytes) / 2 ** 20) * 2 ** 20));
}

/** Runs `plan`. @throws Error when a worker fails of itself. */
export async function replay(plan: Plan, options: ReplayOptions): Promise<ReplayResult> {
  const uma = Uma.create({ bytes: options.bytes, workers: plan.workers + 1 });
  const malloc = createMalloc(uma);
  const board = makeBoard(plan.workers, plan.sizes.length);
  const victim = options.kill ? plan.workers - 1 : -1;
  const crew = await startCrew(uma, plan, board, victim);
  const began = performance.now();
  Atomics.store(board.words, BOARD_GO, 1);
  Atomics.notify(board.words, BOARD_GO);

  const drawing = setInterval(() => {
    options.onProgress(progressOf(uma, plan, board, performance.now() - began), () => uma.stats());
  }, options.everyMs ?? DRAW_EVERY_MS);
  const ended = await Promise.all(crew.map((member) => member.ended)).finally(() => clearInterval(drawing));
  const finishedAt = Math.max(...ended.map((end) => end.finishedAt)) - performance.timeOrigin;
  options.onProgress(progressOf(uma, plan, board, finishedAt - began), () => uma.stats());

  const report = victim < 0 ? null : (ended[victim]?.report ?? null);
  const sum = (word: number): number => ended.reduce((total, _, worker) => total + (board.words[rowOf(worker) + word] as number), 0);
  const statistics = uma.stats();
  const result: ReplayResult = {
    operations: sum(ROW_DONE),
    skipped: sum(ROW_SKIPPED),
    elapsedMs: finishedAt - began,
    peakLiveBytes: Math.max(...ended.map((_, worker) => board.numbers[(rowOf(worker) + ROW_PEAK) >> 1] as number)),
    peakHeldBytes: heldBytes(uma, statistics.heapPeak),
    casualty: report === null ? null : casualtyOf(plan, board, victim, report),
    accounts: settleAccounts(uma, malloc, plan, board, report === null ? -1 : victim),
    verdict: uma.verify(),
    statistics,
  };
  uma.detach();
  return result;
}

/** A worker thread, as the coordinator sees it. Both promises reject when it fails of itself. */
interface Member {
  readonly ready: Promise<void>;
  /** Resolves when it is gone and what it left is recovered. */
  readonly ended: Promise<End>;
}

interface End {
  /** What a terminated worker left; null when it left in order. */
  readonly report: RecoveryReport | null;
  /** Milliseconds since the epoch. */
  readonly finishedAt: number;
}

/** Starts all workers. @returns when each is ready to begin. */
async function startCrew(uma: Uma, plan: Plan, board: Board, victim: number): Promise<Member[]> {
  const crew = plan.counts.map((_, worker) => startWorker(uma, plan, board, worker, worker === victim));
  await Promise.all(crew.map((member) => member.ready));
  return crew;
}

function startWorker(uma: Uma, plan: Plan, board: Board, worker: number, victim: boolean): Member {
  const ticket = uma.ticket();
  const orders: Orders = { ticket, plan, board, worker, victim };
  const thread = new Worker(new URL(import.meta.url.endsWith(".ts") ? "./replay-worker.ts" : "./replay-worker.js", import.meta.url), {
    workerData: orders,
  });
  const failed = new Promise<never>((_, reject) => thread.once("error", reject));
  let finishedAt = 0;
  const ready = new Promise<void>((resolve) => {
    thread.on("message", (message: Message) => {
      if (message.is === "ready") resolve();
      else if (message.is === "finished") finishedAt = message.at;
      else setTimeout(() => void thread.terminate(), Math.random() * KILL_WITHIN_MS);
    });
  });
  const left = uma.watch(thread, ticket).then((report) => {
    if (finishedAt > 0) return { report: null, finishedAt };
    sayGone(board, worker);
    if (!victim) throw new Error(`worker ${worker + 1} ended before its time`);
    return { report, finishedAt: performance.timeOrigin + performance.now() };
  });
  const ended = Promise.race([left, failed]);
  // Whoever waits for the readiness of all learns of a failure there; nobody may be waiting for the end yet.
  ended.catch(() => undefined);
  return { ready: Promise.race([ready, ended.then(() => undefined)]), ended };
}

/** Tells the others that nothing more comes from a dead worker. */
function sayGone({ words }: Board, worker: number): void {
  Atomics.store(words, rowOf(worker) + ROW_GONE, 1);
  Atomics.store(words, rowOf(worker) + ROW_POSITION, NO_MORE);
  Atomics.add(words, BOARD_TICK, 1);
  Atomics.notify(words, BOARD_TICK);
}

function progressOf(uma: Uma, plan: Plan, { words, numbers }: Board, elapsedMs: number): Progress {
  let done = 0;
  let total = 0;
  let liveBytes = 0;
  for (let worker = 0; worker < plan.workers; worker++) {
    const row = rowOf(worker);
    const its = (words[row + ROW_DONE] as number) + (words[row + ROW_SKIPPED] as number);
    done += its;
    total += words[row + ROW_GONE] === 1 ? its : (plan.counts[worker] as number);
    liveBytes += numbers[(row + ROW_LIVE) >> 1] as number;
  }
  return { done, total, elapsedMs, liveBytes, heldBytes: heldBytes(uma, uma.core.heap.counts().inUse * PAGE_BYTES) };
}

/** Bytes that the allocator holds for so many bytes of heap pages: those, its fixed records, and their part of the page table. */
function heldBytes(uma: Uma, heapBytes: number): number {
  const { base, bytes, heapStart } = uma.core.floor.geometry;
  const pageTable = ((bytes - base) / PAGE_BYTES) * PTE_WORDS * 4;
  return heapBytes + (heapStart - base - pageTable) + (heapBytes / PAGE_BYTES) * PTE_WORDS * 4;
}

function casualtyOf(plan: Plan, { words }: Board, worker: number, report: RecoveryReport): Casualty {
  const done = (words[rowOf(worker) + ROW_DONE] as number) + (words[rowOf(worker) + ROW_SKIPPED] as number);
  return { worker, done, undone: (plan.counts[worker] as number) - done, report };
}
