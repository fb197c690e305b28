/**
 * One worker's half of the game: its hives, its gun of the ship's two, its bodies.
 *
 * It is written against {@link Herd} and {@link Body}, and is the same for items of a zone and for plain objects. It makes no
 * garbage of its own: no objects while it runs, positions handed over in fields, whole numbers as arguments (see circle.ts).
 */
import type { Uma, ZoneOf } from "../../../src/index.ts";
import { type Body, MOTE, ORB, SHOT, SPARK } from "./bodies.ts";
import { angleOf, CIRCLE, COSINES, MASK, QUARTER } from "./circle.ts";
import type { Herd } from "./herd.ts";
import { ENGINE_COLOUR, HIVE_HUES, HUES, MOTE_COLOURS, ORB_COLOURS, SHOT_COLOUR, SPARK_COLOURS } from "./palette.ts";
import { aimBullet, launch } from "./patterns.ts";
import { Dice } from "./random.ts";
import { addTo, Gem, Hive, PATTERNS, theWorld, WORKERS, World } from "./world.ts";

/** Percentage of the births that bullets have; the rest are sparks. */
const BULLET_SHARE = 16;
/** One bullet in so many is an orb: large, slow to dodge, and the only kind that hurts. */
const ORB_EVERY = 71;
/** At each level more of them are. */
const ORBS_MORE = 6;
const ORBS_MOST = 23;
const HIVES_EACH = 3;
const ARMS = [7, 5, 6, 9, 8, 10, 5] as const;
const HIVE_RADIUS = 24;
const SHIP_RADIUS = 9;
/** Motes flow around the ship within this radius, units. */
const WAKE = 74;
const OUTSIDE = 30;
const SHOT_SPEED = 900;
const SHOTS_EACH_SECOND = 22;
const BULLET_LIFE = 3.8;
const TURN = 2 * Math.PI;
/** The slot number that stands for owners who are dead. */
const DEAD = 127;

/** What becomes of a bullet in a frame. */
const FLIES = 0;
const IS_GONE = 1;
const STRIKES_SHIP = 2;
const STRIKES_HIVE = 3;
const IS_SWEPT_AWAY = 4;

export class Simulator {
  private readonly index: number;
  private readonly bullets: Herd;
  private readonly sparks: Herd;
  private readonly worlds: ZoneOf<typeof World>;
  private readonly world: ReturnType<typeof theWorld>;
  private readonly hives: ZoneOf<typeof Hive>;
  private readonly hive: ReturnType<ZoneOf<typeof Hive>["view"]>;
  private readonly gems: ZoneOf<typeof Gem>;
  private readonly dice: Dice;
  /** Addresses of all hives, and where they are; which are this worker's, the hives know. */
  private readonly known = new Int32Array(Hive.limit);
  private readonly knownX = new Float64Array(Hive.limit);
  private readonly knownY = new Float64Array(Hive.limit);
  private knownHives = 0;
  private own = 0;
  /** The count of comings and goings of hives at which they were looked for last. */
  private changes = -1;
  private untilHive = 0;
  private hivesBorn: number;
  private legacies = 0;
  private untilShot = 0;
  private due = 0;
  private nth = 0;
  /** Births that this frame may still have. */
  private budget = 0;
  private births = 0;
  private deaths = 0;
  /** Of this frame: its length in seconds, the ship, the wave. */
  private dt = 0;
  private shipX = 0;
  private shipY = 0;
  private shipThere = false;
  private novaX = 0;
  private novaY = 0;
  private novaSquared = 0;
  private right = 0;
  private bottom = 0;
  /** Where something is, or bursts, and how it is pushed. */
  private atX = 0;
  private atY = 0;
  private pushX = 0;
  private pushY = 0;

  constructor(uma: Uma, index: number, bullets: Herd, sparks: Herd) {
    this.index = index;
    this.bullets = bullets;
    this.sparks = sparks;
    this.worlds = uma.open(World);
    this.world = theWorld(this.worlds);
    this.hives = uma.open(Hive);
    this.hive = this.hives.view();
    this.gems = uma.open(Gem);
    this.dice = new Dice(0x9e3779b9 + index * 7919 + uma.slot);
    this.hivesBorn = index * 3;
  }

  /** Simulates one frame. */
  step(): void {
    const { world } = this;
    if (world.legacies !== this.legacies) this.inherit();
    this.dt = world.dt;
    this.shipX = world.shipX;
    this.shipY = world.shipY;
    this.shipThere = world.shipAlive === 1;
    this.novaX = world.novaX;
    this.novaY = world.novaY;
    this.novaSquared = world.novaRadius ** 2;
    this.right = world.width + OUTSIDE;
    this.bottom = world.height + OUTSIDE;
    this.due += (world.births * this.dt) / WORKERS;
    this.budget = Math.floor(this.due);
    this.due -= this.budget;
    this.births = 0;
    this.deaths = 0;
    this.bringHives();
    this.moveHives();
    this.pourOut(Math.round((this.budget * BULLET_SHARE) / 100));
    if (this.shipThere) this.shoot();
    this.moveBullets();
    this.moveSparks();
    this.glow();
    this.embers();
    const { index } = this;
    world.live.put(index, this.bullets.count + this.sparks.count);
    world.born.put(index, (world.born.at(index) + this.births) | 0);
    world.died.put(index, (world.died.at(index) + this.deaths) | 0);
  }

  /** Gives everything up. */
  leave(): void {
    while (this.bullets.count > 0) this.bullets.remove(this.bullets.count - 1);
    while (this.sparks.count > 0) this.sparks.remove(this.sparks.count - 1);
  }

  /** What a dead worker has left goes to the one named as heir: its bullets, and its hives. */
  private inherit(): void {
    this.legacies = this.world.legacies;
    if (this.world.heir !== this.index) return;
    this.bullets.adopt();
    for (const item of this.hives.ownedBy(DEAD)) this.hives.adopt(item);
  }

  // --- hives ---

  private bringHives(): void {
    if (this.world.hiveChanges !== this.changes) this.lookForHives();
    this.untilHive -= this.dt;
    if (this.own >= HIVES_EACH || this.untilHive > 0) return;
    this.untilHive = 0.5;
    const item = this.hives.tryAlloc();
    if (item === 0) return;
    const { hive, dice } = this;
    const nth = this.hivesBorn++;
    hive.item = item;
    hive.age = 0;
    hive.phase = (dice.throw() / 65536) * TURN;
    hive.turn = (dice.throw() / 65536) * TURN;
    hive.spin = ((nth & 1) === 0 ? 1 : -1) * (1.1 + dice.throw() / 131072);
    hive.full = 70 + 25 * this.world.level;
    hive.strength = hive.full;
    hive.arms = ARMS[nth % ARMS.length] as number;
    hive.hue = HIVE_HUES[(nth * WORKERS + this.index) % HIVE_HUES.length] as number;
    hive.keeper = this.index;
    hive.pattern = PATTERNS[nth % PATTERNS.length] as (typeof PATTERNS)[number];
    addTo(this.worlds.columns.hiveChanges, this.world.item, 1);
    this.lookForHives();
  }

  private lookForHives(): void {
    this.changes = this.world.hiveChanges;
    this.knownHives = 0;
    this.own = 0;
    for (const hive of this.hives) {
      this.known[this.knownHives++] = hive.item;
      if (hive.keeper === this.index) this.own++;
    }
  }

  private moveHives(): void {
    const { hive } = this;
    for (let n = 0; n < this.knownHives; n++) {
      hive.item = this.known[n] as typeof hive.item;
      if (hive.keeper === this.index) this.moveHive();
      this.knownX[n] = hive.x;
      this.knownY[n] = hive.y;
    }
  }

  /** It comes in from above, and goes about on a curve then. */
  private moveHive(): void {
    const { hive, world, dt } = this;
    const age = hive.age + dt;
    hive.age = age;
    hive.turn += hive.spin * dt;
    const { phase } = hive;
    const t = age * 0.21 + phase;
    hive.x = world.width * (0.5 + 0.4 * Math.sin(t));
    hive.y = world.height * (-0.1 + Math.min(1, age / 1.5) * (0.44 + 0.26 * Math.sin(t * 1.37 + phase)));
  }

  /** @param bullets - what this worker's hives may pour out together. */
  private pourOut(bullets: number): void {
    const { hive } = this;
    const each = this.own === 0 ? 0 : Math.floor(bullets / this.own);
    for (let n = 0; n < this.knownHives; n++) {
      hive.item = this.known[n] as typeof hive.item;
      if (hive.keeper !== this.index) continue;
      if (hive.strength > 0) this.pour(each);
      else this.destroy();
    }
  }

  private pour(count: number): void {
    const { hive, dice, dt } = this;
    const { x, y, arms, hue, turn, spin, pattern } = hive;
    const orbEvery = Math.max(ORBS_MOST, ORB_EVERY - ORBS_MORE * (this.world.level - 1));
    const aim = angleOf(Math.atan2(this.shipY - y, this.shipX - x));
    for (let n = 0; n < count && this.budget > 0; n++) {
      // Spread over the frame's time, so that arms are lines and not rows of dots.
      const ago = (dt * n) / count;
      const orb = this.nth % orbEvery === 0;
      this.nth = (this.nth + 1) & 0xffffff;
      aimBullet(pattern, this.nth, arms, angleOf(turn - spin * ago), aim);
      const bullet = this.bullets.add();
      if (bullet === null) return;
      this.births++;
      this.budget--;
      const tint = (hue + launch.tint) % HUES;
      const cos = COSINES[launch.angle & MASK] as number;
      const sin = COSINES[(launch.angle - QUARTER) & MASK] as number;
      const speed = orb ? launch.speed * 0.8 : launch.speed * (0.99 + dice.throw() / 3_276_800);
      bullet.vx = cos * speed;
      bullet.vy = sin * speed;
      bullet.x = x + cos * (14 + speed * ago);
      bullet.y = y + sin * (14 + speed * ago);
      bullet.life = BULLET_LIFE;
      bullet.kind = orb ? ORB : MOTE;
      bullet.bend = launch.bend;
      bullet.colour = (orb ? ORB_COLOURS[tint] : MOTE_COLOURS[tint]) as number;
      bullet.size = orb ? 5 : 1.6;
    }
  }

  private destroy(): void {
    const { hive, world } = this;
    addTo(this.worlds.columns.kills, world.item, 1);
    addTo(this.worlds.columns.score, world.item, 500);
    this.atX = hive.x;
    this.atY = hive.y;
    this.burst(900, SPARK_COLOURS[hive.hue] as number, 420);
    for (let n = 0; n < 12; n++) {
      const gem = this.gems.tryAlloc();
      if (gem === 0) break;
      const p = this.gems.at(gem);
      p.x = hive.x;
      p.y = hive.y;
      p.vx = 90 * (COSINES[((n * CIRCLE) / 12) & MASK] as number);
      p.vy = 90 * (COSINES[((n * CIRCLE) / 12 - QUARTER) & MASK] as number);
      p.age = 0;
    }
    this.hives.free(hive.item);
    addTo(this.worlds.columns.hiveChanges, world.item, 1);
  }

  // --- the ship's gun of this worker ---

  private shoot(): void {
    this.untilShot -= this.dt;
    if (this.untilShot > 0) return;
    this.untilShot = Math.max(0, this.untilShot + 1 / SHOTS_EACH_SECOND);
    const { shipX, shipY } = this;
    let best = Number.POSITIVE_INFINITY;
    let angle = -CIRCLE / 4;
    for (let n = 0; n < this.knownHives; n++) {
      const dx = (this.knownX[n] as number) - shipX;
      const dy = (this.knownY[n] as number) - shipY;
      const distance = dx * dx + dy * dy;
      if (distance >= best || (this.knownY[n] as number) < 0) continue;
      best = distance;
      angle = angleOf(Math.atan2(dy, dx));
    }
    const side = this.index === 0 ? -9 : 9;
    for (let n = -1; n <= 1; n++) {
      const shot = this.birth(this.bullets);
      if (shot === null) return;
      const cos = COSINES[(angle + n * 28) & MASK] as number;
      const sin = COSINES[(angle + n * 28 - QUARTER) & MASK] as number;
      shot.vx = cos * SHOT_SPEED;
      shot.vy = sin * SHOT_SPEED;
      shot.x = shipX - (COSINES[(angle - QUARTER) & MASK] as number) * side + cos * 12;
      shot.y = shipY + (COSINES[angle & MASK] as number) * side + sin * 12;
      shot.life = 1.4;
      shot.kind = SHOT;
      shot.bend = 0;
      shot.colour = SHOT_COLOUR;
      shot.size = 4.5;
    }
  }

  // --- bodies ---

  private birth(herd: Herd): Body | null {
    if (this.budget <= 0) return null;
    const body = herd.add();
    if (body === null) return null;
    this.births++;
    this.budget--;
    return body;
  }

  private moveBullets(): void {
    const { bullets } = this;
    for (let n = bullets.count - 1; n >= 0; n--) {
      const b = bullets.at(n);
      const fate = this.fly(b);
      if (fate !== FLIES) this.meet(n, b, fate);
    }
  }

  /** Moves a bullet. @returns what becomes of it. */
  private fly(b: Body): number {
    const { dt } = this;
    let { vx, vy } = b;
    const { kind, bend } = b;
    const x = b.x + vx * dt;
    const y = b.y + vy * dt;
    b.x = x;
    b.y = y;
    this.atX = x;
    this.atY = y;
    const life = b.life - dt;
    b.life = life;
    if (life <= 0 || x < -OUTSIDE || y < -OUTSIDE || x > this.right || y > this.bottom) return IS_GONE;
    if (kind === SHOT) return this.strikesHive();
    const dx = x - this.shipX;
    const dy = y - this.shipY;
    const isNear = dx * dx + dy * dy < WAKE * WAKE;
    if (isNear || this.novaSquared > 0) {
      const fate = this.approach(kind);
      if (fate !== FLIES) return fate;
    }
    if (bend !== 0) {
      const angle = (bend / 32) * dt;
      const turned = vx - vy * angle;
      vy += vx * angle;
      vx = turned;
    } else if (!isNear) return FLIES;
    b.vx = isNear ? vx + this.pushX : vx;
    b.vy = isNear ? vy + this.pushY : vy;
    return FLIES;
  }

  /** What is at `atX` and `atY`, near the ship or while the wave runs; pushes it by `pushX` and `pushY`. */
  private approach(kind: number): number {
    const { atX, atY } = this;
    this.pushX = 0;
    this.pushY = 0;
    const nx = atX - this.novaX;
    const ny = atY - this.novaY;
    if (nx * nx + ny * ny < this.novaSquared) return IS_SWEPT_AWAY;
    if (!this.shipThere) return FLIES;
    const dx = atX - this.shipX;
    const dy = atY - this.shipY;
    const distance = dx * dx + dy * dy;
    if (distance >= WAKE * WAKE) return FLIES;
    if (kind === ORB) return distance < (SHIP_RADIUS + 4) ** 2 ? STRIKES_SHIP : FLIES;
    // Motes flow around the ship, which draws a wake.
    const push = ((1 - distance / (WAKE * WAKE)) * 1500 * this.dt) / (Math.sqrt(distance) + 1);
    this.pushX = dx * push;
    this.pushY = dy * push;
    return FLIES;
  }

  /** A shot that is at `atX` and `atY`. */
  private strikesHive(): number {
    const { atX, atY } = this;
    for (let n = 0; n < this.knownHives; n++) {
      const dx = atX - (this.knownX[n] as number);
      const dy = atY - (this.knownY[n] as number);
      if (dx * dx + dy * dy > HIVE_RADIUS * HIVE_RADIUS) continue;
      // It may be the other worker's: its strength is counted down with Atomics, and its keeper sees that it is at an end.
      addTo(this.hives.columns.strength, this.known[n] as number, -1);
      addTo(this.worlds.columns.score, this.world.item, 1);
      return STRIKES_HIVE;
    }
    return FLIES;
  }

  /** A bullet comes to its end, at `atX` and `atY`. */
  private meet(n: number, b: Body, fate: number): void {
    const colour = fate === IS_GONE ? 0 : b.colour;
    this.bullets.remove(n);
    this.deaths++;
    if (fate === STRIKES_HIVE) this.burst(10, SHOT_COLOUR, 160);
    if (fate === IS_SWEPT_AWAY && (n & 3) === 0) this.burst(1, colour, 120);
    if (fate !== STRIKES_SHIP) return;
    addTo(this.worlds.columns.strikes, this.world.item, 1);
    this.burst(40, colour, 200);
  }

  private moveSparks(): void {
    const { sparks } = this;
    for (let n = sparks.count - 1; n >= 0; n--) {
      if (this.drift(sparks.at(n))) continue;
      sparks.remove(n);
      this.deaths++;
    }
  }

  /** Moves a spark. @returns whether it goes on. */
  private drift(s: Body): boolean {
    const { dt } = this;
    const drag = 1 - 2.2 * dt;
    const { vx, vy } = s;
    s.x += vx * dt;
    s.y += vy * dt;
    s.vx = vx * drag;
    s.vy = vy * drag;
    const life = s.life - dt;
    s.life = life;
    return life > 0;
  }

  /** Sparks that fly apart from where `atX` and `atY` say. @param speed - units a second. */
  private burst(count: number, colour: number, speed: number): void {
    const { dice } = this;
    for (let n = 0; n < count; n++) {
      const fast = ((speed * (13_000 + (dice.throw() * 4) / 5)) / 65536) | 0;
      if (!this.spark(dice.throw() & (CIRCLE - 1), fast, colour, 350 + (dice.throw() >> 7))) return;
    }
  }

  /** @param speed - units a second; @param life - milliseconds. @returns false when there may be no more. */
  private spark(angle: number, speed: number, colour: number, life: number): boolean {
    const spark = this.birth(this.sparks);
    if (spark === null) return false;
    spark.x = this.atX;
    spark.y = this.atY;
    spark.vx = (COSINES[angle & MASK] as number) * speed;
    spark.vy = (COSINES[(angle - QUARTER) & MASK] as number) * speed;
    spark.life = life / 1000;
    spark.kind = SPARK;
    spark.bend = 0;
    spark.colour = colour;
    spark.size = 2;
    return true;
  }

  /** The ship's engine, and light around the hives. */
  private glow(): void {
    const { dice, hive } = this;
    if (this.shipThere) {
      this.atX = this.shipX + (this.index === 0 ? -4 : 4);
      this.atY = this.shipY + 8;
      for (let n = 0; n < 6; n++) this.spark(CIRCLE / 4 + (dice.throw() >> 7) - 256, 160, ENGINE_COLOUR, 150 + (dice.throw() >> 8));
    }
    for (let n = 0; n < this.knownHives; n++) {
      hive.item = this.known[n] as typeof hive.item;
      if (hive.keeper !== this.index) continue;
      this.atX = hive.x;
      this.atY = hive.y;
      const colour = SPARK_COLOURS[hive.hue] as number;
      for (let m = 0; m < 16; m++) this.spark(dice.throw() & (CIRCLE - 1), 70, colour, dice.throw() >> 7);
    }
  }

  /** What is left of the frame's births are embers behind the bullets. */
  private embers(): void {
    const { bullets, dice } = this;
    while (this.budget > 0 && bullets.count > 0) {
      const bullet = bullets.at(((dice.throw() * 65536 + dice.throw()) >>> 4) % bullets.count);
      this.atX = bullet.x;
      this.atY = bullet.y;
      if (!this.spark(dice.throw() & (CIRCLE - 1), 12 + (dice.throw() >> 11), bullet.colour, 100 + (dice.throw() >> 8))) return;
    }
  }
}
