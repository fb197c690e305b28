/**
 * Bodies: what flies about in tens of thousands. The structs are the vertex format, too: the GPU is handed the very memory in which
 * the workers simulate, so offsets below are both what `zone.at(item).x` reads and what the vertex shader gets.
 *
 * For that the slabs of the two zones have to lie in one piece. The zones therefore bring a page supplier of their own (allocf and
 * freef): pages come from one block that the main thread has set aside, and all slabs are built before the game begins.
 */
import { createMalloc, defineZone, f32, i32, i8, struct, u8, type Uma } from "../../../src/index.ts";

/** Bodies there may be. */
export const BULLETS = 65_536;
export const SPARKS = 49_152;
export const BODY_BYTES = 32;
const PAGE_BYTES = 4096;

/** What a body is to the game; a view of an item and a plain object both are. */
export interface Body {
  /** World units; x to the right, y downwards. */
  x: number;
  y: number;
  /** Units a second. */
  vx: number;
  vy: number;
  /** Seconds left. */
  life: number;
  /** Radius, units; 0 = there is nothing to draw. */
  size: number;
  /** 0xAABBGGRR, as a signed integer. */
  colour: number;
  kind: number;
  /** Turn to the right, 1/32 radian a second. */
  bend: number;
}

/** Kinds of bodies. */
export const MOTE = 1;
export const ORB = 2;
export const SHOT = 3;
export const SPARK = 4;

const shape = { x: f32, y: f32, vx: f32, vy: f32, life: f32, size: f32, colour: i32, kind: u8, bend: i8 };

/** Where this thread's zones get their pages from: nothing is left in threads that have set none aside. */
const reserved = { bullets: { next: 0, end: 0 }, sparks: { next: 0, end: 0 } };

function takeFrom(range: { next: number; end: number }, bytes: number): number {
  if (range.next + bytes > range.end) return 0;
  range.next += bytes;
  return range.next - bytes;
}

/** Bullets outlive the worker that simulates them: its successor adopts them. */
export const Bullet = defineZone("bullet", {
  type: struct(shape),
  limit: BULLETS,
  onDeath: "keep",
  nofree: true,
  zinit: true,
  // A free item is not drawn.
  dtor: (p) => void (p.size = 0),
  allocPages: ({ bytes }) => takeFrom(reserved.bullets, bytes),
  freePages: () => undefined,
});

/** Sparks are only to look at: those of a dead worker are freed, through dtor. */
export const Spark = defineZone("spark", {
  type: struct(shape),
  limit: SPARKS,
  onDeath: "free",
  nofree: true,
  zinit: true,
  dtor: (p) => void (p.size = 0),
  allocPages: ({ bytes }) => takeFrom(reserved.sparks, bytes),
  freePages: () => undefined,
});

/** Bodies that lie one behind the other: byte address of the first, and how many. */
export interface BodyRange {
  readonly first: number;
  readonly count: number;
}

/** Sets the memory aside and builds all slabs; for the thread that has made `uma`. @returns where bullets and sparks lie. */
export function layOutBodies(uma: Uma): readonly BodyRange[] {
  const malloc = createMalloc(uma);
  return (["bullets", "sparks"] as const).map((name) => {
    const definition = name === "bullets" ? Bullet : Spark;
    const count = definition.limit;
    const first = malloc.alignedAlloc(PAGE_BYTES, count * BODY_BYTES);
    if (first === 0) throw new Error("the memory is too small for the bodies");
    reserved[name].next = first;
    reserved[name].end = first + count * BODY_BYTES;
    uma.open<{ prealloc(count: number): void }>(definition).prealloc(count);
    return { first, count };
  });
}
