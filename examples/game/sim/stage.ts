/**
 * The main thread's side of the game, in any host: makes the memory and the world, starts frames, moves ship and gems, keeps score.
 *
 * It never waits for anybody: a frame is begun when the workers that are there have done the last one, and a lock that is not to be had
 * within {@link PATIENCE_MS} is given up.
 */
import { Uma, type RecoveryReport, type Ticket, type ZoneOf } from "../../../src/index.ts";
import { BODY_BYTES, BULLETS, type BodyRange, layOutBodies, SPARKS } from "./bodies.ts";
import { addTo, Gem, Hive, WORKERS, wordOf, World } from "./world.ts";
import type { Material, Orders } from "./worker-loop.ts";

const MEMORY_BYTES = 16 * 2 ** 20;
const PATIENCE_MS = 4;
/** Extent of the world in both directions, multiplied: it has the form of the window, and always this area. */
const AREA = 1280 * 720;
const FULL_SHIELD = 100;
const SHIELD_EACH_SECOND = 5;
const STRIKE = 4;
const REBIRTH_SECONDS = 2;
/** So near does the ship come to the edge of the world: its shield is still all to be seen. */
const SHIP_MARGIN = 36;
/** A lost ship takes one in so many points with it. */
const LOST_SHARE = 5;
const NOVA_SPEED = 900;
const NOVA_END = 700;
const NOVA_GEMS = 24;
const GEM_REACH = 16;
const GEM_PULL = 170;
const GEM_SECONDS = 12;
/** Frames between two looks for new gems. */
const GEM_LOOK = 10;
/** Hives destroyed until the next level. */
const LEVEL_KILLS = 6;

export class Stage {
  readonly uma: Uma;
  readonly world: ReturnType<ZoneOf<typeof World>["view"]>;
  readonly hives: ZoneOf<typeof Hive>;
  readonly gems: ZoneOf<typeof Gem>;
  /** Where the zones of the bodies lie. */
  readonly ranges: readonly BodyRange[];
  material: Material;
  /** Where plain objects are shown, by worker. */
  readonly shown: readonly SharedArrayBuffer[];
  shield = FULL_SHIELD;
  /** Gems collected towards the next nova. */
  charge = 0;
  /** Where the ship is to go. */
  targetX: number;
  targetY: number;
  private readonly worlds: ZoneOf<typeof World>;
  private readonly frameWord: number;
  private readonly doneWord: number;
  private readonly words: Int32Array;
  /** Which workers take part in frames. */
  private readonly playing: boolean[] = [];
  private untilShip = 0;
  private readonly gem: ReturnType<ZoneOf<typeof Gem>["view"]>;
  private readonly known = new Int32Array(Gem.limit);
  private knownGems = 0;
  private frames = 0;

  /** @param births - bodies a second. */
  constructor(material: Material, births: number) {
    this.material = material;
    this.uma = Uma.create({ bytes: MEMORY_BYTES, patience: PATIENCE_MS });
    this.ranges = layOutBodies(this.uma);
    this.worlds = this.uma.open(World);
    this.hives = this.uma.open(Hive);
    this.gems = this.uma.open(Gem);
    this.gem = this.gems.view();
    this.world = this.worlds.view(this.worlds.alloc());
    const { world } = this;
    world.births = births;
    world.shipAlive = 1;
    world.level = 1;
    this.resize(1280, 720);
    world.shipX = this.targetX = world.width * 0.5;
    world.shipY = this.targetY = world.height * 0.8;
    this.words = this.worlds.columns.frame.view;
    this.frameWord = wordOf(this.worlds.columns.frame, world.item);
    this.doneWord = wordOf(this.worlds.columns.done, world.item);
    this.shown = Array.from({ length: WORKERS }, () => new SharedArrayBuffer((BULLETS + SPARKS) * BODY_BYTES));
  }

  /** Gives the world the form of a window. @returns units for each of the window's pixels. */
  resize(width: number, height: number): number {
    const scale = Math.sqrt(AREA / Math.max(1, width * height));
    this.world.width = width * scale;
    this.world.height = height * scale;
    return scale;
  }

  /** What a worker that is about to start has to be told. */
  ordersFor(index: number): Orders {
    const ticket: Ticket = this.uma.ticket();
    return { ticket, index, material: this.material, shown: this.material === "objects" ? (this.shown[index] as SharedArrayBuffer) : null };
  }

  /** A worker takes part from the next frame on, or no longer. */
  setPlaying(index: number, plays: boolean): void {
    this.playing[index] = plays;
    if (!plays) this.world.live.put(index, 0);
  }

  /** The worker `index` takes over what dead ones have left. */
  bequeath(index: number): void {
    this.world.heir = index;
    this.world.legacies++;
  }

  /** Whether all workers have done the frame begun last. */
  get frameDone(): boolean {
    const frame = Atomics.load(this.words, this.frameWord);
    for (let n = 0; n < WORKERS; n++) if (this.playing[n] === true && Atomics.load(this.words, this.doneWord + n) !== frame) return false;
    return true;
  }

  /** For hosts in which this thread may block. */
  waitForFrame(): void {
    const frame = Atomics.load(this.words, this.frameWord);
    for (let n = 0; n < WORKERS; n++) {
      if (this.playing[n] !== true) continue;
      for (let done = Atomics.load(this.words, this.doneWord + n); done !== frame; done = Atomics.load(this.words, this.doneWord + n)) {
        Atomics.wait(this.words, this.doneWord + n, done, 100);
      }
    }
  }

  /** Begins the next frame. @param dt - seconds. */
  begin(dt: number): void {
    this.world.dt = dt;
    this.steer(dt);
    this.collect(dt);
    Atomics.add(this.words, this.frameWord, 1);
    Atomics.notify(this.words, this.frameWord);
  }

  /** Tells the workers to free their bodies and leave. */
  end(): void {
    this.world.over = 1;
    Atomics.notify(this.words, this.frameWord);
  }

  /** After {@link end}, when all workers have left: another game with bodies of another kind. */
  restart(material: Material): void {
    this.material = material;
    for (const hive of this.hives) this.hives.free(hive.item);
    this.world.hiveChanges++;
    this.world.collections.set([0, 0]);
    this.world.over = 0;
  }

  /** Wipes the bullets around the ship out, if there are gems enough. */
  nova(): boolean {
    const { world } = this;
    if (this.charge < NOVA_GEMS || world.novaRadius > 0 || world.shipAlive !== 1) return false;
    this.charge = 0;
    this.startNova();
    return true;
  }

  /** How near the next nova is, 0 … 1. */
  get novaCharge(): number {
    return Math.min(1, this.charge / NOVA_GEMS);
  }

  /** Bodies there are, have ever been born, and have died. */
  get bodies(): { readonly live: number; readonly born: number; readonly died: number } {
    const { live, born, died } = this.world;
    return { live: sum(live), born: sum(born), died: sum(died) };
  }

  private startNova(): void {
    const { world } = this;
    world.novaX = world.shipX;
    world.novaY = world.shipY;
    world.novaRadius = 1;
  }

  private steer(dt: number): void {
    const { world } = this;
    const nearer = 1 - Math.exp(-12 * dt);
    world.shipX += (clamp(this.targetX, SHIP_MARGIN, world.width - SHIP_MARGIN) - world.shipX) * nearer;
    world.shipY += (clamp(this.targetY, SHIP_MARGIN, world.height - SHIP_MARGIN) - world.shipY) * nearer;
    if (world.novaRadius > 0) world.novaRadius = world.novaRadius > NOVA_END ? 0 : world.novaRadius + NOVA_SPEED * dt;
    const { strikes, kills } = this.worlds.columns;
    const struck = Atomics.exchange(strikes.view, wordOf(strikes, world.item), 0);
    world.level = 1 + Math.floor(Atomics.load(kills.view, wordOf(kills, world.item)) / LEVEL_KILLS);
    if (world.shipAlive === 1) {
      this.shield = Math.min(FULL_SHIELD, this.shield + SHIELD_EACH_SECOND * dt - STRIKE * struck);
      if (this.shield > 0) return;
      this.startNova();
      world.shipAlive = 0;
      addTo(this.worlds.columns.score, world.item, -Math.floor(world.score / LOST_SHARE));
      this.untilShip = REBIRTH_SECONDS;
      return;
    }
    this.untilShip -= dt;
    if (this.untilShip > 0) return;
    world.shipAlive = 1;
    this.shield = FULL_SHIELD;
  }

  /** Gems were allocated by the workers; this thread moves and frees them. */
  private collect(dt: number): void {
    if (this.frames++ % GEM_LOOK === 0) this.lookForGems();
    const { world, gems, gem, known } = this;
    for (let n = this.knownGems - 1; n >= 0; n--) {
      gem.item = known[n] as typeof gem.item;
      gem.age += dt;
      const dx = world.shipX - gem.x;
      const dy = world.shipY - gem.y;
      const distance = Math.sqrt(dx * dx + dy * dy) + 1;
      const pull = world.shipAlive === 1 && distance < GEM_PULL ? 900 * dt : 0;
      gem.vx = gem.vx * (1 - 1.5 * dt) + (dx / distance) * pull;
      gem.vy = gem.vy * (1 - 1.5 * dt) + (dy / distance) * pull + 14 * dt;
      gem.x += gem.vx * dt;
      gem.y += gem.vy * dt;
      const caught = world.shipAlive === 1 && distance < GEM_REACH;
      if (caught) {
        this.charge++;
        this.shield = Math.min(FULL_SHIELD, this.shield + 1);
      }
      if (!caught && gem.age < GEM_SECONDS) continue;
      gems.free(gem.item);
      known[n] = known[--this.knownGems] as number;
    }
  }

  /** A walk makes a few objects, so it is not done in each frame. */
  private lookForGems(): void {
    this.knownGems = 0;
    for (const gem of this.gems) this.known[this.knownGems++] = gem.item;
  }
}

/** What a dead worker left, in words. */
export function legacyOf(report: RecoveryReport | null): string {
  const parts = (report?.zones ?? [])
    .filter(({ kept, freed }) => kept + freed > 0)
    .map(({ zone, kept, freed }) => `${(kept + freed).toLocaleString("en")} ${zone}s ${kept > 0 ? "kept" : "freed"}`);
  return parts.length === 0 ? "nothing" : parts.join(", ");
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
