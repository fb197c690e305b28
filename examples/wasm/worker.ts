/** A thread that runs the program once and sends its report line by line. */
import { parentPort, workerData } from "node:worker_threads";
import { type Ticket, Uma, createMalloc } from "../../src/index.ts";
import { loadProgram } from "./program.ts";

export interface Job {
  readonly ticket: Ticket;
  readonly memory: WebAssembly.Memory;
  /** The module, and the place in the memory that it is linked for. */
  readonly file: string;
  readonly image: number;
  readonly seed: number;
  readonly years: number;
  readonly people: number;
}

const job = workerData as Job;
const uma = Uma.attach(job.ticket);
const heap = createMalloc(uma, { onDeath: "free" });
const program = loadProgram(job.file, job.image, job.memory, heap, (line) => parentPort?.postMessage(line));
const start = performance.now();
const code = program.run(job.seed, job.years, job.people);
const ms = performance.now() - start;
uma.detach();
parentPort?.postMessage({ code, ms });
