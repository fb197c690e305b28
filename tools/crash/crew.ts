/**
 * The crew: workers started ahead. A worker costs the engine some 20 ms before its first line; the next one is started while the last
 * kill is still being looked into, loads its scripts, and waits for its orders.
 */
import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { Scripts } from "./bundle.ts";

/** What runs in a worker first: plain text, so that nothing else has to be loaded. */
const BOOT = `
const { parentPort, threadId, workerData } = require("node:worker_threads");
const { readFileSync, writeFileSync, renameSync } = require("node:fs");
const { Script } = require("node:vm");
const scripts = [];
function load(file, cache) {
  const text = "(function (module, exports, require) {" + readFileSync(file, "utf8") + "\\n})";
  const script = new Script(text, { filename: file, cachedData: cache === null ? undefined : readFileSync(cache) });
  const module = { exports: {} };
  script.runInThisContext()(module, module.exports, require);
  scripts.push(script);
  return module.exports;
}
const { library, part, caches } = workerData;
const tree = load(library, caches === null ? null : caches[0]);
const { main } = load(part, caches === null ? null : caches[1]);
parentPort.once("message", async (orders) => {
  await main(tree, tree.points, orders);
  for (const [n, file] of (orders.saveCaches ?? []).entries()) {
    const own = file + "." + process.pid + "." + threadId;
    writeFileSync(own, scripts[n].createCachedData());
    renameSync(own, file);
  }
});
`;

/** A worker under way. */
export interface Hand {
  readonly worker: Worker;
  /** Resolves when the thread has ended. */
  readonly ended: Promise<void>;
  /** What it threw, if it did. */
  readonly failure: () => Error | undefined;
}

export class Crew {
  private readonly scripts: Scripts;
  private readonly caches: readonly string[];
  private spare: Hand | null = null;

  /** @param purpose - names the code caches: those who run the same histories share them. */
  constructor(scripts: Scripts, purpose: string) {
    this.scripts = scripts;
    this.caches = [`${scripts.library}.${purpose}.cache`, `${scripts.part}.${purpose}.cache`];
  }

  /** Starts a worker for later, if there is none. */
  prepare(): void {
    this.spare ??= this.start();
  }

  /** Gives orders to a worker: the one that waits, or a new one. With `learn`, its code is kept for those that follow. */
  send(orders: object, learn: boolean = false): Hand {
    const hand = this.spare ?? this.start();
    this.spare = null;
    const known = this.caches.every((file) => existsSync(file));
    hand.worker.postMessage(learn && !known ? { ...orders, saveCaches: this.caches } : orders);
    return hand;
  }

  /** Ends the worker that waits. */
  async dismiss(): Promise<void> {
    await this.spare?.worker.terminate();
    this.spare = null;
  }

  private start(): Hand {
    const caches = this.caches.every((file) => existsSync(file)) ? this.caches : null;
    const worker = new Worker(BOOT, { eval: true, execArgv: [], workerData: { ...this.scripts, caches } });
    let failure: Error | undefined;
    worker.once("error", (error: Error) => {
      failure = error;
    });
    const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    return { worker, ended, failure: () => failure };
  }
}
