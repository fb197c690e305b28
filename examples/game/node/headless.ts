/**
 * The game without a page: the same simulation in the same two workers, as fast as it goes, steered by nobody.
 * It is what the benchmark measures, and a quick way to see the zones' table.
 */
import { Worker } from "node:worker_threads";
import type { Material } from "../sim/worker-loop.ts";
import { Stage } from "../sim/stage.ts";
import { WORKERS } from "../sim/world.ts";
import type { Collections } from "./worker.ts";

const FRAME_SECONDS = 1 / 60;

export interface HeadlessOptions {
  readonly material: Material;
  readonly frames: number;
  /** Bodies born in a frame. */
  readonly births: number;
  /** Frames at the beginning in which collections do not count. */
  readonly warmUp: number;
  /** Asked between frames whether to stop early. */
  readonly stopped?: () => boolean;
}

export interface HeadlessResult {
  readonly frames: number;
  /** Wall clock, milliseconds, without the start of the workers. */
  readonly ms: number;
  /** Bodies at the last frame, and births in all. */
  readonly live: number;
  readonly born: number;
  /** Of all workers together. */
  readonly collections: Collections;
  /** The slowest step of a worker after the warm-up, milliseconds. */
  readonly slowestMs: number;
  /** The zones' table, while all bodies were still there. */
  readonly table: readonly string[];
  /** What `verify()` found, while all bodies were there and after the workers had left. */
  readonly problems: readonly string[];
}

export async function playHeadless(options: HeadlessOptions): Promise<HeadlessResult> {
  const { material, frames, births, warmUp, stopped = () => false } = options;
  const stage = new Stage(material, births / FRAME_SECONDS);
  const crew = await Promise.all(Array.from({ length: WORKERS }, (_, index) => startWorker(stage, index, warmUp)));
  for (let index = 0; index < WORKERS; index++) stage.setPlaying(index, true);

  const start = performance.now();
  let slowest = 0;
  let frame = 0;
  for (; frame < frames && !stopped(); frame++) {
    stage.targetX = stage.world.width * (0.5 + 0.35 * Math.sin(frame / 90));
    stage.targetY = stage.world.height * (0.75 + 0.15 * Math.sin(frame / 70));
    stage.begin(FRAME_SECONDS);
    stage.waitForFrame();
    if (frame >= warmUp) slowest = Math.max(slowest, stage.world.stepMicros.at(0), stage.world.stepMicros.at(1));
    stage.nova();
    // Signals come through the event loop.
    if (frame % 64 === 63) await new Promise((resolve) => setImmediate(resolve));
  }
  const ms = performance.now() - start;
  const { live, born } = stage.bodies;
  const table = [...stage.uma.table()];
  const problems = [...stage.uma.verify().problems];
  stage.end();
  const collections = await Promise.all(crew.map(({ left }) => left));
  problems.push(...stage.uma.verify().problems);
  stage.uma.detach();
  return {
    frames: frame,
    ms,
    live,
    born,
    collections: { count: collections.reduce((sum, { count }) => sum + count, 0), ms: collections.reduce((sum, one) => sum + one.ms, 0) },
    slowestMs: slowest / 1000,
    table,
    problems,
  };
}

interface Playing {
  /** Resolves when the worker has left and ended. */
  readonly left: Promise<Collections>;
}

function startWorker(stage: Stage, index: number, warmUp: number): Promise<Playing> {
  const orders = stage.ordersFor(index);
  // Built or not: as the benchmark runs it, and as the example does.
  const script = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url);
  const worker = new Worker(script, { workerData: { ...orders, warmUp } });
  const recovered = stage.uma.watch(worker, orders.ticket);
  const left = new Promise<Collections>((resolve, reject) => {
    let told: Collections = { count: 0, ms: 0 };
    worker.on("message", (message: Collections | "ready") => {
      if (message !== "ready") told = message;
    });
    worker.once("error", reject);
    worker.once("exit", () => void recovered.then(() => resolve(told)));
  });
  return new Promise((resolve, reject) => {
    worker.once("message", () => resolve({ left }));
    left.catch(reject);
  });
}
