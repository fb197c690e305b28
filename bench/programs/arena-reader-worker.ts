/** A worker that does nothing but read: all statistics of a memory, and every segment of its arenas, over and over. */
import { parentPort, workerData } from "node:worker_threads";
import { type Ticket, Uma } from "../../src/index.ts";

const { ticket } = workerData as { readonly ticket: Ticket };
const uma = Uma.attach(ticket);
const arenas = uma.arenas.list().map((name) => uma.arenas.open(name));
let told = false;
for (;;) {
  let seen = 0;
  uma.stats();
  for (const arena of arenas) {
    arena.stats();
    for (const what of ["alloc", "free", "total", "largest"] as const) arena.size(what);
    arena.walk(() => void seen++);
  }
  if (!told) parentPort?.postMessage(seen);
  told = true;
}
