/** What a worker does in any host: wait for the next frame, simulate it, say that it is done; until the game is over. */
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

/**
 * Blocks the thread until the game is over.
 * @param onFrame - called after each frame.
 */
export function work(uma: Uma, orders: Orders, onFrame: () => void = () => undefined): void {
  const worlds = uma.open(World);
  const world = theWorld(worlds);
  const { item } = world;
  const [bullets, sparks] = herds(uma, orders);
  const simulator = new Simulator(uma, orders.index, bullets, sparks);
  const { view: words } = worlds.columns.frame;
  const frameWord = wordOf(worlds.columns.frame, item);
  const doneWord = wordOf(worlds.columns.done, item) + orders.index;
  let seen = Atomics.load(words, doneWord);
  while (world.over === 0) {
    const frame = Atomics.load(words, frameWord);
    if (frame === seen) {
      uma.poll();
      Atomics.wait(words, frameWord, frame, NAP_MS);
      continue;
    }
    const start = performance.now();
    simulator.step();
    let shown = bullets.show(0);
    shown = sparks.show(shown);
    world.stepMicros.put(orders.index, Math.round((performance.now() - start) * 1000));
    onFrame();
    seen = frame;
    Atomics.store(words, doneWord, frame);
    Atomics.notify(words, doneWord);
  }
  simulator.leave();
}

function herds(uma: Uma, { material, shown }: Orders): [Herd, Herd] {
  if (material === "objects" && shown !== null) return [new ObjectHerd(BULLETS, shown), new ObjectHerd(SPARKS, shown)];
  return [new ZoneHerd(uma.open<BodyZone>(Bullet as never), BULLETS), new ZoneHerd(uma.open<BodyZone>(Spark as never), SPARKS)];
}
