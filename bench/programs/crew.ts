/**
 * Workers that are measured together: started once, told to work for so long, each answering with what it did.
 * They begin at the same time: each counts itself in at a gate and spins until all have.
 */
import { parentPort, Worker, workerData } from "node:worker_threads";
import type { Slice } from "../harness/suite.ts";

export interface Start<T> {
  readonly data: T;
  readonly gate: Int32Array;
  readonly crew: number;
}

const ARRIVED = 0;
const ROUND = 1;

export interface Crew {
  /** @returns what each did, in the order in which they were started. */
  work(ms: number): Promise<Slice[]>;
  close(): Promise<void>;
}

/**
 * @param file - the worker's compiled module, beside this one.
 * @param data - one a worker.
 */
export async function startCrew(file: string, data: readonly unknown[]): Promise<Crew> {
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const workers = data.map((one) => {
    const start: Start<unknown> = { data: one, gate, crew: data.length };
    return new Worker(new URL(file, import.meta.url), { workerData: start });
  });
  await Promise.all(workers.map((worker) => next(worker)));
  return {
    work: (ms) => {
      const answers = workers.map((worker) => next(worker));
      for (const worker of workers) worker.postMessage(ms);
      return Promise.all(answers) as Promise<Slice[]>;
    },
    close: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

function next(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", (message) => {
      worker.off("error", reject);
      resolve(message);
    });
  });
}

/** @returns what {@link startCrew} was given for this worker. */
export function crewData<T>(): T {
  return (workerData as Start<T>).data;
}

/** In a worker: does `work` at each order, at the same time as the others. */
export function serve(work: (ms: number) => Slice): void {
  const { gate, crew } = workerData as Start<unknown>;
  if (parentPort === null) throw new Error("run this as a worker");
  const port = parentPort;
  port.on("message", (ms: number) => {
    const round = Atomics.load(gate, ROUND);
    if (Atomics.add(gate, ARRIVED, 1) + 1 === crew) {
      Atomics.store(gate, ARRIVED, 0);
      Atomics.add(gate, ROUND, 1);
    } else {
      while (Atomics.load(gate, ROUND) === round);
    }
    port.postMessage(work(ms));
  });
  port.postMessage("ready");
}
