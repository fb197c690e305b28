/** What a worker does in any host: wait for the next frame, simulate it, say that it is done. */
import type { Ticket, Uma } from "../../../src/index.ts";
import { Bullet, BULLETS, Spark, SPARKS } from "./bodies.ts";
import type { Herd } from "./herd.ts";
import { ObjectHerd } from "./object-herd.ts";
import { Simulator } from "./simulator.ts";
import { theWorld, wordOf, World } from "./world.ts";
import { type BodyZone, ZoneHerd } from "./zone-herd.ts";

/** What bodies are made of. */
export type Material = "zalloc" | "objects";

/** What a worker is told when it starts. */
export interface Orders {
  readonly ticket: Ticket;
  /** Which of the workers it is, from 0. */
  readonly index: number;
  readonly material: Material;
  /** Where it shows its bodies if they are objects. */
  readonly shown: SharedArrayBuffer | null;
}

/** Between two looks at what others ask of this worker, milliseconds. */
const NAP_MS = 200;

/** A worker at its work, frame by frame. */
export class Shift {
  private readonly uma: Uma;
  private readonly index: number;
  private readonly world: ReturnType<typeof theWorld>;
  private readonly bullets: Herd;
  private readonly sparks: Herd;
  private readonly simulator: Simulator;
  private readonly words: Int32Array;
  private readonly frameWord: number;
  private readonly doneWord: number;
  /** The last frame done. */
  private done: number;

  constructor(uma: Uma, orders: Orders) {
    const worlds = uma.open(World);
    const { frame, done } = worlds.columns;
    this.uma = uma;
    this.index = orders.index;
    this.world = theWorld(worlds);
    [this.bullets, this.sparks] = herds(uma, orders);
    this.simulator = new Simulator(uma, orders.index, this.bullets, this.sparks);
    this.words = frame.view;
    this.frameWord = wordOf(frame, this.world.item);
    this.doneWord = wordOf(done, this.world.item) + orders.index;
    this.done = Atomics.load(this.words, this.doneWord);
  }

  get isOver(): boolean {
    return this.world.over !== 0;
  }

  /** Simulates the frame that has been begun. @returns false when there is none. */
  doFrame(): boolean {
    const { words } = this;
    const frame = Atomics.load(words, this.frameWord);
    if (frame === this.done) return false;
    const start = performance.now();
    this.simulator.step();
    this.sparks.show(this.bullets.show(0));
    this.world.stepMicros.put(this.index, Math.round((performance.now() - start) * 1000));
    this.done = frame;
    Atomics.store(words, this.doneWord, frame);
    Atomics.notify(words, this.doneWord);
    return true;
  }

  /** Blocks the thread until a frame is begun, or for some time. */
  wait(): void {
    this.uma.poll();
    Atomics.wait(this.words, this.frameWord, this.done, NAP_MS);
  }

  /** The same for a thread that goes back to its event loop, as it must in a page (see web/worker.ts). */
  async waitAwake(): Promise<void> {
    this.uma.poll();
    const waited = Atomics.waitAsync?.(this.words, this.frameWord, this.done, NAP_MS);
    if (waited === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
    else if (waited.async) await waited.value;
  }

  /** A major collection of garbage was noticed in this thread. */
  countCollection(): void {
    this.world.collections.put(this.index, this.world.collections.at(this.index) + 1);
  }

  /** Frees all bodies. */
  leave(): void {
    this.simulator.leave();
  }
}

function herds(uma: Uma, { material, shown }: Orders): [Herd, Herd] {
  if (material === "objects" && shown !== null) return [new ObjectHerd(BULLETS, shown), new ObjectHerd(SPARKS, shown)];
  return [new ZoneHerd(uma.open<BodyZone>(Bullet as never), BULLETS), new ZoneHerd(uma.open<BodyZone>(Spark as never), SPARKS)];
}
