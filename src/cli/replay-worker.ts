/** A worker of the replay: attaches, waits for the start, does its part, and leaves in order, unless it is the one to be terminated. */
import { parentPort, workerData } from "node:worker_threads";
import { createMalloc } from "../uma/malloc/malloc.ts";
import { type Ticket, Uma } from "../uma/uma.ts";
import { BOARD_GO, type Board } from "./board.ts";
import { createPerformer } from "./performer.ts";
import type { Plan } from "./plan.ts";

/** What a worker is told. */
export interface Orders {
  readonly ticket: Ticket;
  readonly plan: Plan;
  readonly board: Board;
  readonly worker: number;
  /** It will be terminated in mid-run. */
  readonly victim: boolean;
}

/** What a worker says: it is ready; it is half way (the victim only); it has finished at this time (performance.timeOrigin based). */
export type Message = { readonly is: "ready" } | { readonly is: "half way" } | { readonly is: "finished"; readonly at: number };

/** How long a victim waits to be terminated, milliseconds. */
const VICTIM_WAITS_MS = 30_000;

function say(message: Message): void {
  parentPort?.postMessage(message);
}

function main({ ticket, plan, board, worker, victim }: Orders): void {
  const uma = Uma.attach(ticket);
  const performer = createPerformer(uma, createMalloc(uma), plan, board, worker);
  say({ is: "ready" });
  while (Atomics.load(board.words, BOARD_GO) === 0) Atomics.wait(board.words, BOARD_GO, 0, 1000);
  if (victim) {
    const operations = plan.counts[worker] as number;
    performer.run(Math.ceil(operations / 2));
    say({ is: "half way" });
    // It works on until it is terminated; only if that takes very long does it wait, so that the end comes in mid-run.
    performer.run(Math.ceil(operations / 4));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, VICTIM_WAITS_MS);
  }
  while (performer.run(1 << 20));
  say({ is: "finished", at: performance.timeOrigin + performance.now() });
  uma.detach();
}

main(workerData as Orders);
