/**
 * The game without a page: the same simulation in the same two workers, as fast as it goes, steered by nobody.
 * It is what the benchmark measures, and a quick way to see the zones' table.
 */
import { Worker } from "node:worker_threads";
import { Stage } from "../sim/stage.ts";
import { WORKERS } from "../sim/world.ts";
import type { Material } from "../sim/worker-loop.ts";
import { CollectionCounter, type Collections, NO_COLLECTIONS, together } from "./collections.ts";
import { isSteady, WARM_UP_BLOCK, type WarmUp, WarmUpSignals } from "./warm-up.ts";

const FRAME_SECONDS = 1 / 60;
/** Signals come through the event loop: it has its turn every so many frames. */
const FRAMES_TO_TURN = 100;
/** After so many milliseconds in the event loop what was collected before has been reported. */
const REPORTED_MS = 10;

export interface HeadlessOptions {
  readonly material: Material;
  /** Frames to be played after those of the warm-up. */
  readonly frames: number;
  /** Bodies born in a frame. */
  readonly births: number;
  /** Frames at the beginning that do not count: code is being compiled, the first bodies are born. They end when nothing changes. */
  readonly warmUp: WarmUp;
  /** Asked now and then whether to stop early. */
  readonly stopped?: () => boolean;
}

export interface HeadlessResult {
  /** Frames of the warm-up, and whether collections had become steady in them. */
  readonly warmUp: number;
  readonly steady: boolean;
  readonly frames: number;
  /** What they took, milliseconds. */
  readonly ms: number;
  /** The slowest step of a worker, milliseconds. */
  readonly slowestMs: number;
  /** Of all three threads. */
  readonly collections: Collections;
  /** Bodies at the last frame, and births in all, those of the warm-up with them. */
  readonly live: number;
  readonly born: number;
  /** The zones' table, while all bodies were still there. */
  readonly table: readonly string[];
  /** What `verify()` found, while all bodies were there and after the workers had left. */
  readonly problems: readonly string[];
}

export async function playHeadless({ material, frames, births, warmUp, stopped }: HeadlessOptions): Promise<HeadlessResult> {
  const counter = new CollectionCounter();
  const stage = new Stage(material, births / FRAME_SECONDS);
  const signals = new WarmUpSignals();
  const crew = await Promise.all(Array.from({ length: WORKERS }, (_, index) => startWorker(stage, index, signals)));
  for (let index = 0; index < WORKERS; index++) stage.setPlaying(index, true);

  let played = 0;
  const play = (): void => {
    stage.targetX = stage.world.width * (0.5 + 0.35 * Math.sin(played / 90));
    stage.targetY = stage.world.height * (0.75 + 0.15 * Math.sin(played / 70));
    stage.begin(FRAME_SECONDS);
    stage.waitForFrame();
    stage.nova();
    played++;
  };

  /** Collections in each block, and in all so far. */
  const blocks: number[] = [];
  let seen = 0;
  let steady = false;
  while (played < warmUp.most && !(steady && played >= warmUp.least) && stopped?.() !== true) {
    play();
    if (played % WARM_UP_BLOCK !== 0) continue;
    // Reports of collections, and signals, come through the event loop.
    await new Promise((resolve) => setTimeout(resolve, REPORTED_MS));
    const now = counter.count + signals.seenBy(0) + signals.seenBy(1);
    blocks.push(now - seen);
    seen = now;
    steady = isSteady(blocks);
  }
  const warmedUp = played;
  // In this frame the workers begin to count, and empty their heaps for it.
  signals.end();
  play();
  counter.begin();
  const start = performance.now();
  let slowest = 0;
  let frame = 0;
  for (; frame < frames; frame++) {
    play();
    slowest = Math.max(slowest, stage.world.stepMicros.at(0), stage.world.stepMicros.at(1));
    if (stopped === undefined || frame % FRAMES_TO_TURN !== 0) continue;
    await new Promise((resolve) => setImmediate(resolve));
    if (stopped()) break;
  }
  const ms = performance.now() - start;
  const own = counter.end();
  const { live, born } = stage.bodies;
  const table = [...stage.uma.table()];
  const problems = [...stage.uma.verify().problems];
  stage.end();
  const collections = together([await own, ...(await Promise.all(crew.map(({ left }) => left)))]);
  problems.push(...stage.uma.verify().problems);
  stage.uma.detach();
  return { warmUp: warmedUp, steady, frames: frame, ms, slowestMs: slowest / 1000, collections, live, born, table, problems };
}

interface Playing {
  /** Resolves when the worker has left and ended. */
  readonly left: Promise<Collections>;
}

/** @returns resolves when the worker plays. */
function startWorker(stage: Stage, index: number, signals: WarmUpSignals): Promise<Playing> {
  const orders = stage.ordersFor(index);
  // Built or not: as the benchmark runs it, and as the example does.
  const script = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url);
  const worker = new Worker(script, { workerData: { ...orders, signals: signals.words } });
  const recovered = stage.uma.watch(worker, orders.ticket);
  const left = new Promise<Collections>((resolve, reject) => {
    let told = NO_COLLECTIONS;
    worker.on("message", (message: Collections | "plays") => {
      if (message !== "plays") told = message;
    });
    worker.once("error", reject);
    worker.once("exit", () => void recovered.then(() => resolve(told)));
  });
  return new Promise((resolve, reject) => {
    worker.once("message", () => resolve({ left }));
    left.catch(reject);
  });
}
