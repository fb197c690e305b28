/** A worker of the headless game: plays, then tells what the garbage collector did meanwhile in this thread. */
import { PerformanceObserver } from "node:perf_hooks";
import { parentPort, workerData } from "node:worker_threads";
import { Uma } from "../../../src/index.ts";
import { type Orders, Shift } from "../sim/worker-loop.ts";

/** What a thread's collector did: how often, and how long it took, milliseconds. */
export interface Collections {
  readonly count: number;
  readonly ms: number;
}

interface NodeOrders extends Orders {
  /** Frames at the beginning in which collections do not count: code is being compiled, the first bodies are born. */
  readonly warmUp: number;
}

const orders = workerData as NodeOrders;
const seen: { at: number; ms: number }[] = [];
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) seen.push({ at: entry.startTime, ms: entry.duration });
});
observer.observe({ entryTypes: ["gc"] });

const uma = Uma.attach(orders.ticket);
parentPort?.postMessage("ready");
const shift = new Shift(uma, orders);
let frames = 0;
let from = Number.POSITIVE_INFINITY;
while (!shift.isOver) {
  if (!shift.doFrame()) shift.wait();
  else if (++frames === orders.warmUp) from = performance.now();
}
const until = performance.now();
shift.leave();
uma[Symbol.dispose]();
// Reports of collections arrive through the event loop, a little later.
setTimeout(() => {
  observer.disconnect();
  const counted = seen.filter(({ at }) => at >= from && at <= until);
  const collections: Collections = { count: counted.length, ms: counted.reduce((sum, { ms }) => sum + ms, 0) };
  parentPort?.postMessage(collections);
}, 100);
