/**
 * The death certificate of Node, and of Bun: the event `exit`, which comes when the thread can run no more. The promise of
 * `terminate()` is none: Node's resolves with the exit, others' need not.
 */
import { refuseDeno } from "./deno.ts";

/** What is needed of a worker of node:worker_threads. */
export interface ExitingWorker {
  once(event: "exit", listener: () => void): unknown;
}

/** Resolves when the worker has ended. @throws UmaError ERR_UMA_NO_CERTIFICATE where that cannot be known. */
export function exitOf(worker: ExitingWorker): Promise<void> {
  refuseDeno();
  return new Promise((resolve) => {
    worker.once("exit", () => resolve());
  });
}
