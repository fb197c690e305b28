/** A worker with the driver loaded: carries stripes between a file and a device until it is sent home. */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { type Ticket, Uma } from "../../src/index.ts";
import { SEEK_SET, loadScull } from "./scull.ts";
import { type Errand, STRIPE_BYTES } from "./show.ts";

const { ticket } = workerData as { ticket: Ticket };
const uma = Uma.attach(ticket);
const scull = loadScull(uma);
const buffer = new Uint8Array(STRIPE_BYTES);

function run({ device, what, file, bytes, stripe, of }: Errand): void {
  const fd = openSync(file, what === "write" ? "r" : "r+");
  const open = scull.open(device);
  for (let from = stripe * STRIPE_BYTES; from < bytes; from += of * STRIPE_BYTES) {
    const length = Math.min(STRIPE_BYTES, bytes - from);
    open.lseek(from, SEEK_SET);
    if (what === "write") readSync(fd, buffer, 0, length, from);
    for (let done = 0; done < length; ) {
      const part = buffer.subarray(done, length);
      const count = what === "write" ? open.write(part) : open.read(part);
      if (count === 0) throw new Error(`the device ends at ${from + done}`);
      done += count;
    }
    if (what === "read") writeSync(fd, buffer, 0, length, from);
  }
  closeSync(fd);
}

parentPort?.on("message", (errand: Errand | null) => {
  if (errand === null) {
    uma.detach();
    parentPort?.close();
    return;
  }
  run(errand);
  parentPort?.postMessage("done");
});
