/**
 * The world that all threads look at: one item of it, and zones of the few things that are not bodies.
 *
 * The main thread writes the first part of it before each frame, the workers theirs; what several threads count up they count with
 * Atomics on the field's column.
 */
import { array, defineZone, enumOf, f32, i32, struct, u8, type Column, type ZoneOf } from "../../../src/index.ts";

export const WORKERS = 2;

export const World = defineZone("world", {
  type: struct({
    /** Number of the frame to be simulated, written last: the word that the workers wait on. */
    frame: i32,
    /** 1: the workers are to free what they have and leave. */
    over: i32,
    /** Seconds to simulate. */
    dt: f32,
    /** Extent of the world, units. */
    width: f32,
    height: f32,
    shipX: f32,
    shipY: f32,
    /** 0: there is no ship at the moment. */
    shipAlive: i32,
    /** Bodies to be born, each second. */
    births: f32,
    /** Radius of the wave that wipes bullets out; 0 = there is none. */
    novaRadius: f32,
    novaX: f32,
    novaY: f32,
    level: i32,
    /** Worker that takes over what dead ones have left, and how often it was told to. */
    heir: i32,
    legacies: i32,
    /** Counted up by workers: what has struck the ship, points, hives destroyed. */
    strikes: i32,
    score: i32,
    kills: i32,
    /** Counted up whenever a hive comes or goes. */
    hiveChanges: i32,
    /** By worker: the last frame it has done, its bodies, all its births and deaths, how long the frame took (µs). */
    done: array(i32, WORKERS),
    live: array(i32, WORKERS),
    born: array(i32, WORKERS),
    died: array(i32, WORKERS),
    stepMicros: array(i32, WORKERS),
    /** By worker: major collections of garbage in its thread, where its host can tell. */
    collections: array(i32, WORKERS),
  }),
  limit: 1,
  zinit: true,
});

export const PATTERNS = ["spiral", "galaxy", "rose", "braid", "fan"] as const;

/** An enemy: a hive that moves on a curve and pours out bullets in a pattern. */
export const Hive = defineZone("hive", {
  type: struct({
    x: f32,
    y: f32,
    /** Seconds since it came. */
    age: f32,
    /** Where it is on its curve, and where its arms point: radians. */
    phase: f32,
    turn: f32,
    spin: f32,
    /** Hits that it still stands, and could stand at first. */
    strength: i32,
    full: i32,
    arms: u8,
    hue: u8,
    /** Worker that moves it. */
    keeper: u8,
    pattern: enumOf(...PATTERNS),
  }),
  limit: 16,
  // Few, and they come rarely: none are to lie in the caches of a worker that has no use for them.
  bucket: 0,
});

/** What a destroyed hive leaves: allocated by the workers, moved, collected and freed by the main thread. */
export const Gem = defineZone("gem", {
  type: struct({ x: f32, y: f32, vx: f32, vy: f32, age: f32 }),
  limit: 512,
});

/** Adds to a field from whichever thread. */
export function addTo(column: Column<Int32Array>, item: number, value: number): number {
  return Atomics.add(column.view, (item >> column.shift) + column.offset, value);
}

/** Element of the column's view that holds the field of `item`. */
export function wordOf(column: Column<Int32Array>, item: number): number {
  return (item >> column.shift) + column.offset;
}

/** A view of the one world, which the main thread has made. */
export function theWorld(worlds: ZoneOf<typeof World>): ReturnType<ZoneOf<typeof World>["view"]> {
  for (const { item } of worlds) return worlds.view(item);
  throw new Error("there is no world yet");
}
