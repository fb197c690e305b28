/** Opens zones, fills its caches in each of them, keeps some items, says so, and waits to be terminated. */
import { parentPort, workerData } from "node:worker_threads";
import { defineZone, type Ticket, Uma } from "../../src/index.ts";

export interface DyingJob {
  readonly ticket: Ticket;
  readonly zones: number;
  /** Items allocated in each zone, of which half are freed again: the worker's buckets are full then. */
  readonly items: number;
}

const { ticket, zones, items } = workerData as DyingJob;
const uma = Uma.attach(ticket);
for (let n = 0; n < zones; n++) {
  const zone = uma.open(defineZone(`zone ${n}`, { size: 64 }));
  const held = Array.from({ length: items }, () => zone.alloc());
  for (const item of held.slice(items / 2)) zone.free(item);
}
parentPort?.postMessage("ready");
setInterval(() => undefined, 1000);
