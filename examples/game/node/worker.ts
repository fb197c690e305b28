/** A worker of the headless game: plays, then tells what the garbage collector did meanwhile in this thread. */
import { parentPort, workerData } from "node:worker_threads";
import { Uma } from "../../../src/index.ts";
import { type Orders, Shift } from "../sim/worker-loop.ts";
import { CollectionCounter } from "./collections.ts";
import { WARM_UP_BLOCK, WarmUpSignals } from "./warm-up.ts";

interface HeadlessOrders extends Orders {
  /** Says when the warm-up is over: until then collections do not count. */
  readonly signals: Int32Array;
}

/** In a warm-up the event loop, through which collections are reported, has its turn so often. */
const FRAMES_TO_TURN = WARM_UP_BLOCK / 4;

const orders = workerData as HeadlessOrders;
const collections = new CollectionCounter();
const signals = new WarmUpSignals(orders.signals);
const uma = Uma.attach(orders.ticket);
parentPort?.postMessage("plays");
const shift = new Shift(uma, orders);
for (let frames = 0; !shift.isOver && !signals.isOver; ) {
  if (!shift.doFrame()) shift.wait();
  else if (++frames % FRAMES_TO_TURN === 0) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    signals.tell(orders.index, collections.count);
  }
}
collections.begin();
while (!shift.isOver) if (!shift.doFrame()) shift.wait();
const counted = collections.end();
shift.leave();
uma[Symbol.dispose]();
void counted.then((told) => parentPort?.postMessage(told));
