// @ts-check
/**
 * The canary: where can this engine cut a worker that is terminated?
 *
 * A worker writes the same number into four words, over and over, and is terminated somewhere on the way. If the four differ afterwards
 * it was cut between two of the stores. The library relies on none of this; but whoever writes shared memory by hand should know,
 * and an engine that changes its ways should be noticed.
 *
 * Runs wherever node:worker_threads is: `node canary.js [runs]`, `bun canary.js [runs]`, `deno run -A canary.js [runs]`.
 * Prints one line of JSON.
 */
import { Worker, isMainThread, workerData } from "node:worker_threads";

/** @typedef {(w: Int32Array) => void} Work */

/** How four words may be written. @type {Record<string, Work>} */
const SHAPES = {
  "plain stores": (w) => {
    for (let n = 1; ; n++) {
      w[0] = n;
      w[1] = n;
      w[2] = n;
      w[3] = n;
    }
  },
  "plain stores in a loop": (w) => {
    for (let n = 1; ; n++) for (let k = 0; k < 4; k++) w[k] = n;
  },
  "plain stores between calls": (w) => {
    for (let n = 1; ; n++) {
      w[0] = n;
      call(n);
      w[1] = n;
      call(n);
      w[2] = n;
      call(n);
      w[3] = n;
    }
  },
  "Atomics.store": (w) => {
    for (let n = 1; ; n++) {
      Atomics.store(w, 0, n);
      Atomics.store(w, 1, n);
      Atomics.store(w, 2, n);
      Atomics.store(w, 3, n);
    }
  },
  "plain stores and Atomics in turn": (w) => {
    for (let n = 1; ; n++) {
      w[0] = n;
      Atomics.store(w, 1, n);
      w[2] = n;
      Atomics.store(w, 3, n);
    }
  },
};

/** Too long to be inlined, and of no use. @param {number} n */
function call(n) {
  let x = n;
  for (let k = 0; k < 3; k++) x = (Math.imul(x, 1664525) + 1013904223) | 0;
  return x % 7 === 8 ? call(x) : x;
}

/** Word that says that the worker is at work; word that a waiting worker waits on. */
const STARTED = 8;
const WAITED_ON = 9;

if (isMainThread) await main();
else await work();

async function work() {
  const { shape, words, lockName } = workerData;
  const say = () => {
    Atomics.store(words, STARTED, 1);
    Atomics.notify(words, STARTED);
  };
  if (shape === "wait") {
    say();
    Atomics.wait(words, WAITED_ON, 0);
  } else if (shape === "lock") {
    // At work with the lock in its hands, and never back in its event loop.
    await navigator.locks.request(lockName, () => {
      say();
      SHAPES["plain stores in a loop"]?.(words);
    });
  } else {
    say();
    /** @type {Work} */ (SHAPES[shape])(words);
  }
}

/** @param {string} shape @param {string} [lockName] */
async function start(shape, lockName) {
  const words = new Int32Array(new SharedArrayBuffer(64));
  const worker = new Worker(new URL(import.meta.url), { workerData: { shape, words, lockName } });
  worker.on("error", () => undefined);
  const exit = new Promise((resolve) => worker.once("exit", resolve));
  const until = performance.now() + 20_000;
  while (Atomics.load(words, STARTED) === 0 && performance.now() < until) await pause(1);
  return { words, worker, exit };
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Terminates and waits for the exit. @param {{ worker: Worker, exit: Promise<unknown> }} one @param {number} limitMs */
async function end({ worker, exit }, limitMs) {
  const from = performance.now();
  void worker.terminate();
  const ended = await Promise.race([exit.then(() => true), pause(limitMs).then(() => false)]);
  return ended ? performance.now() - from : -1;
}

async function main() {
  const runs = Number(process.argv[2] ?? 20);
  /** @type {Record<string, { cut: number, runs: number }>} */
  const cuts = {};
  let alive = 0;
  /** @type {number[]} */
  const exits = [];
  for (const shape of Object.keys(SHAPES)) {
    let cut = 0;
    for (let n = 0; n < runs; n++) {
      const one = await start(shape);
      // Until its code is compiled, and some more, so that it is cut anywhere.
      await pause(10 + 30 * Math.random());
      exits.push(await end(one, 5000));
      if (await stillWrites(one.words)) alive++;
      const [a, b, c, d] = one.words;
      if (a !== b || b !== c || c !== d) cut++;
    }
    cuts[shape] = { cut, runs };
  }
  const waited = await start("wait");
  const waitEnds = (await end(waited, 3000)) >= 0;
  Atomics.notify(waited.words, WAITED_ON);
  exits.sort((a, b) => a - b);
  const report = {
    engine: engineName(),
    cuts,
    exitMs: exits[Math.floor(exits.length / 2)] ?? -1,
    exits: exits.length,
    aliveAfterExit: alive,
    exitsMissing: exits.filter((ms) => ms < 0).length,
    waitEnds,
    locks: await locksWork(),
  };
  console.log(JSON.stringify(report));
  process.exit(0);
}

/** Whether somebody goes on writing: now, or a moment later. @param {Int32Array} words */
async function stillWrites(words) {
  const before = words.slice(0, 4).join();
  await pause(3);
  if (words.slice(0, 4).join() === before) return false;
  // It ends some time, or what it wrote last would be no answer.
  await pause(200);
  return true;
}

/** Whether a Web Lock is let go when its holder is terminated: asked for with `ifAvailable`, as the library does. */
async function locksWork() {
  if (typeof navigator === "undefined" || navigator.locks === undefined) return "none";
  const name = `canary ${Math.random()}`;
  const one = await start("lock", name);
  if (Atomics.load(one.words, STARTED) === 0) return "not in workers";
  const isFree = () => navigator.locks.request(name, { ifAvailable: true }, (lock) => lock !== null);
  if (await isFree()) return "not between threads";
  await end(one, 5000);
  const from = performance.now();
  while (performance.now() - from < 5000) {
    if (await isFree()) return (await stillWrites(one.words)) ? "released too early" : "released";
    await pause(10);
  }
  return "kept";
}

function engineName() {
  const { versions } = process;
  const { bun, deno } = /** @type {{ bun?: string, deno?: string }} */ (versions);
  if (bun !== undefined) return `Bun ${bun}`;
  if (deno !== undefined) return `Deno ${deno}`;
  return `Node ${versions.node}`;
}
