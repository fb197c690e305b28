/** Programs on one memory: starts them, takes their reports, and buries those that are killed. */
import { Worker } from "node:worker_threads";
import { type Malloc, type RecoveryReport, Uma, createMalloc } from "../../src/index.ts";
import type { Built } from "./build.ts";
import { HEAP_BASE, createMemory } from "./images.ts";
import type { Job } from "./worker.ts";

/** What a program left: its lines, and how it ended. */
export interface Outcome {
  readonly lines: string[];
  /** Its exit code; null when it was killed. */
  readonly code: number | null;
  readonly ms: number;
  /** What its recovery found; null when it had left in order. */
  readonly report: RecoveryReport | null;
}

export interface Town {
  readonly uma: Uma;
  readonly heap: Malloc;
  /** Runs a program in place number `image`. @param killAfter - lines after which its thread is terminated. */
  run(image: number, seed: number, years: number, people: number, killAfter?: number): Promise<Outcome>;
}

export function createTown(built: Built): Town {
  const memory = createMemory();
  const uma = Uma.create({ wasm: memory, base: HEAP_BASE });
  const heap = createMalloc(uma, { onDeath: "free" });
  // This thread buries the dead, so it has to know every zone they may have used.
  heap.openClasses();

  async function run(image: number, seed: number, years: number, people: number, killAfter = Infinity): Promise<Outcome> {
    const ticket = uma.ticket();
    const job: Job = { ticket, memory, file: built.images[image] as string, image, seed, years, people };
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: job });
    const recovered = uma.watch(worker, ticket);
    const lines: string[] = [];
    let code: number | null = null;
    let ms = 0;
    let failure: unknown;
    worker.on("message", (message: string | { code: number; ms: number }) => {
      if (typeof message === "string") {
        lines.push(message);
        if (lines.length === killAfter) void worker.terminate();
      } else {
        ({ code, ms } = message);
      }
    });
    worker.on("error", (error) => {
      failure = error;
    });
    const report = await recovered;
    if (failure !== undefined) throw failure;
    // Small allocations went with their owner; its large ones are ours to free.
    for (const { address } of report?.blocks ?? []) heap.free(address);
    return { lines, code, ms, report };
  }

  return { uma, heap, run };
}
