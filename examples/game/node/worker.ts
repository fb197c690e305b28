/** A worker of the headless game: plays, then tells what the garbage collector did meanwhile in this thread. */
import { parentPort, workerData } from "node:worker_threads";
import { Uma } from "../../../src/index.ts";
import { type Orders, Shift } from "../sim/worker-loop.ts";
import { CollectionCounter } from "./collections.ts";

interface HeadlessOrders extends Orders {
  /** Frames at the beginning in which collections do not count: code is being compiled, the first bodies are born. */
  readonly warmUp: number;
}

const orders = workerData as HeadlessOrders;
const collections = new CollectionCounter();
const uma = Uma.attach(orders.ticket);
parentPort?.postMessage("plays");
const shift = new Shift(uma, orders);
let frames = 0;
while (!shift.isOver) {
  if (!shift.doFrame()) shift.wait();
  else if (++frames === orders.warmUp) collections.begin();
}
const counted = collections.end();
shift.leave();
uma[Symbol.dispose]();
void counted.then((told) => parentPort?.postMessage(told));
