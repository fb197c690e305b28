/**
 * The peers of suite `pair`, each spelt the way its users spell it.
 *
 * Where a peer's own methods are called otherwise than alloc and free, a class of two one-line methods stands between; V8 inlines
 * those, and they cost nothing that the loop would not cost.
 */
import { MemPool } from "@thi.ng/malloc";
import reusify from "reusify";
import { defineZone, Uma, type Zone } from "../../src/index.ts";
import type { Live, Peer } from "./loops.ts";

/** Size of an item, bytes. */
export const ITEM_BYTES = 64;

/** A peer with what the loops need beside it. */
export interface Contender<T> {
  readonly peer: Peer<T>;
  readonly live: Live<T>;
  /** Writes to an item: a double. */
  readonly touch: (item: T) => void;
}

/** The least that handing out addresses can cost: a stack of them, with no check of anything. */
class Floor implements Peer<number> {
  private readonly stack: Int32Array;
  private top: number;

  constructor(count: number) {
    this.stack = new Int32Array(count);
    for (let n = 0; n < count; n++) this.stack[n] = (count - n) * ITEM_BYTES;
    this.top = count;
  }

  alloc(): number {
    return this.stack[--this.top] as number;
  }

  free(item: number): void {
    this.stack[this.top++] = item;
  }
}

export function floor(count: number): Contender<number> {
  const f64 = new Float64Array((count + 2) * (ITEM_BYTES / 8));
  return { peer: new Floor(count + 1), live: new Int32Array(count), touch: (item) => void (f64[item >> 3] = 0.5) };
}

/** A memory that has room for `count` items, and everything that goes with them. */
export function roomyMemory(count: number): Uma {
  return Uma.create({ bytes: Math.max(16, Math.ceil((count * ITEM_BYTES * 1.2) / 2 ** 20) + 8) * 2 ** 20 });
}

function zoneContender(count: number, checks: boolean): Contender<number> & { peer: Zone } {
  const uma = roomyMemory(count);
  const { f64 } = uma.views;
  const peer = uma.open(defineZone("item", { size: ITEM_BYTES, checks }));
  return { peer, live: new Int32Array(count), touch: (item) => void (f64[item >> 3] = 0.5) };
}

/** A zone as users get it. */
export function zone(count: number): Contender<number> {
  return zoneContender(count, true);
}

export function zoneUnchecked(count: number): Contender<number> {
  return zoneContender(count, false);
}

class Point {
  x = 0.5;
  y = 0.5;
  z = 0.5;
  w = 0.5;
}

/** Plain objects, dropped and collected. */
class Collected implements Peer<Point> {
  alloc(): Point {
    return new Point();
  }

  free(_item: Point): void {}
}

export function collected(count: number): Contender<Point> {
  return { peer: new Collected(), live: Array.from({ length: count }, () => new Point()), touch: (item) => void (item.x = 0.25) };
}

class PooledPoint extends Point {
  next: PooledPoint | null = null;
}

export function reusified(count: number): Contender<PooledPoint> {
  const pool = reusify(PooledPoint);
  const peer: Peer<PooledPoint> = new (class {
    alloc(): PooledPoint {
      return pool.get();
    }

    free(item: PooledPoint): void {
      pool.release(item);
    }
  })();
  return { peer, live: Array.from({ length: count }, () => new PooledPoint()), touch: (item) => void (item.x = 0.25) };
}

/** `@thi.ng/malloc`: its free walks the list of all blocks in use. */
export function thing(count: number): Contender<number> {
  const buf = new ArrayBuffer((count + 64) * (ITEM_BYTES + 16));
  const pool = new MemPool({ buf });
  const f64 = new Float64Array(buf);
  const peer: Peer<number> = new (class {
    alloc(): number {
      return pool.malloc(ITEM_BYTES);
    }

    free(item: number): void {
      pool.free(item);
    }
  })();
  return { peer, live: new Int32Array(count), touch: (item) => void (f64[item >> 3] = 0.5) };
}
