/**
 * The death certificate of Node (and of Bun and Deno, which copy its workers): the event `exit`, which comes when the thread can
 * run no more. The promise of `terminate()` is none: Node's resolves with the exit, others' may not.
 */

/** What is needed of a worker of node:worker_threads. */
export interface ExitingWorker {
  once(event: "exit", listener: () => void): unknown;
}

/** Resolves when the worker has ended. */
export function exitOf(worker: ExitingWorker): Promise<void> {
  return new Promise((resolve) => {
    worker.once("exit", () => resolve());
  });
}
