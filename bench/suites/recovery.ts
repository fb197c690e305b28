/**
 * What the recovery of a dead worker takes: by zones it had open (its caches full in each), by items it held, and by the memory
 * whose marks are gone through. The time is of `reap` alone; the worker is started and terminated outside it.
 */
import { Worker } from "node:worker_threads";
import { defineZone, Uma } from "../../src/index.ts";
import type { DyingJob } from "../programs/dying-worker.ts";
import type { Case, SliceProgram, Suite } from "../harness/suite.ts";

const MIB = 2 ** 20;

function recovery(zones: number, items: number, memory: number, filled: boolean): () => SliceProgram {
  return () => ({
    slice: async () => {
      const uma = Uma.create({ bytes: memory, workers: 8 });
      if (filled) {
        const zone = uma.open(defineZone("bystanders", { size: 64 }));
        while (uma.stats().heapFree > memory / 8) for (let n = 0; n < 10_000; n++) zone.alloc();
      }
      const ticket = uma.ticket();
      const worker = new Worker(new URL("../programs/dying-worker.js", import.meta.url), {
        workerData: { ticket, zones, items } satisfies DyingJob,
      });
      await new Promise((resolve) => worker.once("message", resolve));
      const exit = new Promise((resolve) => worker.once("exit", resolve));
      await worker.terminate();
      await exit;
      const start = performance.now();
      const report = uma.reap(ticket);
      const ns = (performance.now() - start) * 1e6;
      if (report?.done !== true) throw new Error("the recovery did not come through");
      uma.detach();
      return { ops: 1, ns };
    },
  });
}

function one(variant: string, program: () => SliceProgram): Case {
  return { name: "reap", variant, program, group: variant, maxSlices: 5, maxProcesses: 1, warmUp: false };
}

export const suite: Suite = {
  name: "recovery",
  about: "Recovery of a dead worker with full caches: ns a worker, first recoveries of a process (cold code).",
  cases: [
    one("1 zone, 64 MiB", recovery(1, 600, 64 * MIB, false)),
    one("10 zones, 64 MiB", recovery(10, 600, 64 * MIB, false)),
    one("100 zones, 64 MiB", recovery(100, 600, 64 * MIB, false)),
    one("100 zones of 2000 items, 64 MiB", recovery(100, 2000, 64 * MIB, false)),
    one("10 zones, 1 GiB, empty", recovery(10, 600, 1024 * MIB, false)),
    one("10 zones, 64 MiB full of others' items", recovery(10, 600, 64 * MIB, true)),
    one("10 zones, 256 MiB full of others' items", recovery(10, 600, 256 * MIB, true)),
  ],
  rows: [],
};
