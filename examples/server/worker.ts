/** A worker of the sharing server: it is sent the address of a job, does it, and sends the address back. 0 ends it. */
import { parentPort, workerData } from "node:worker_threads";
import { type Ticket, Uma } from "../../src/index.ts";
import { type WorkOptions, createWork } from "./job-work.ts";
import { type ShopSize, openShop } from "./zones.ts";

export interface WorkerData {
  readonly ticket: Ticket;
  readonly size: ShopSize;
  readonly options: WorkOptions;
}

const { ticket, size, options } = workerData as WorkerData;
if (parentPort === null) throw new Error("run this as a worker");
const port = parentPort;
const uma = Uma.attach(ticket);
const shop = openShop(uma, size);
const work = createWork(shop, options);

port.on("message", (item: number) => {
  if (item === 0) {
    uma.detach();
    port.close();
    return;
  }
  try {
    work(item);
  } catch (error) {
    console.error(error);
    shop.jobs.at(item).status = "failed";
  }
  port.postMessage(item);
});
