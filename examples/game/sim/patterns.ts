/**
 * The patterns in which a hive pours out its bullets. Each is a rule for one bullet: given how far the hive has turned and which
 * bullet this is, in what direction it flies, how fast, and how its path bends. Hundreds a frame draw a curve.
 */
import { CIRCLE, COSINES, MASK, QUARTER } from "./circle.ts";
import type { PATTERNS } from "./world.ts";

export type Pattern = (typeof PATTERNS)[number];

/** How a bullet leaves its hive: whole numbers, in one object that is filled in again and again. */
export const launch = {
  /** 4096 to the circle. */
  angle: 0,
  /** Units a second. */
  speed: 0,
  /** 1/32 radian a second. */
  bend: 0,
  /** Added to the hive's hue, 0 … 63. */
  tint: 0,
};

/** The golden angle: bullets that follow each other by it fill the circle evenly. */
const GOLDEN = 1565;

/** Wavefronts that a hive sends out at a time, one behind the other. */
const LAYERS = 3;

/**
 * Fills in {@link launch}.
 * @param nth - counts the hive's bullets.
 * @param turn - how far the hive has turned; @param aim - the direction to the ship. 4096 to the circle, both.
 */
export function aimBullet(pattern: Pattern, nth: number, arms: number, turn: number, aim: number): void {
  const arm = nth % arms;
  const spoke = ((arm * CIRCLE) / arms) | 0;
  const layer = ((nth / arms) | 0) % LAYERS;
  launch.bend = 0;
  launch.tint = layer * 3;
  switch (pattern) {
    case "spiral":
      launch.angle = turn + spoke;
      launch.speed = 110 + 45 * layer;
      break;
    case "galaxy": {
      const depth = Math.imul(nth, 10_007) & 63;
      launch.angle = turn + spoke + depth * 3;
      launch.speed = 110 + depth * 2;
      launch.bend = 22;
      launch.tint = depth >> 2;
      break;
    }
    case "rose": {
      launch.angle = Math.imul(nth, GOLDEN) & MASK;
      const petal = Math.abs((100 * (COSINES[((((launch.angle - (turn >> 2)) * arms) >> 2) - QUARTER) & MASK] as number)) | 0);
      launch.speed = 80 + ((petal * 3) >> 1);
      launch.tint = (petal / 8) | 0;
      break;
    }
    case "braid":
      // Every other layer turns the other way round.
      launch.angle = (layer & 1) === 0 ? spoke + turn : spoke - turn;
      launch.speed = 120 + 24 * layer;
      launch.bend = (layer & 1) === 0 ? 9 : -9;
      launch.tint = (layer & 1) * 14;
      break;
    case "fan":
      launch.angle = aim + (((arm * 2 - arms + 1) * 26) | 0) + ((260 * (COSINES[(turn * 2 - QUARTER) & MASK] as number)) | 0);
      launch.speed = 130 + 36 * layer;
      launch.tint = 3 * arm;
      break;
  }
}
