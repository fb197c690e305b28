/**
 * Handles: names of items that go stale.
 *
 * An address says where an item is, not whether it is still the same one. Zones with handles keep a generation behind each item, a
 * hidden word that changes at every free; a handle is address and generation in one number, and is good as long as both fit.
 *
 * **Form**: `2^52 + generation × 2^k + (address >> s)`, a safe integer and, since the word behind the item holds it whole as a double,
 * compared and handed out by one load. s is the zone's grid (16 bytes at least), k the bits that an address takes (22 in 64 MiB of
 * 16-byte items or 256 MiB of 64-byte items; 21 at least), the generation has the other bits of 52: 30 of them, then. It wraps: a
 * handle kept over 2^30 frees might be taken for good (2^25 in a memory of 2 GiB with 16-byte items).
 *
 * **When it changes**: before a freed item can be anybody's, as the first thing in dtor, or in the hot path of zones without hooks
 * (CountingZone in zone-classes.ts). A worker that dies before that leaves the item allocated, or BUSY: then recovery initialises it anew,
 * and init gives it another generation, too. So an item is never allocated again while its old generation stands.
 *
 * **Items that come and go with their slabs**: the pages were somebody else's in between, so the word says nothing. The zone's
 * record has a ceiling above every generation that any of its items ever had; init draws from it (by Atomics.add), and a free that
 * would reach it raises it first (in steps, so that hardly any does). Each thread keeps what it knows of it as the value that the
 * word stays below (`generationEnd`).
 */
import { UmaError } from "../../backend/memory/errors.ts";
import { ZONE_GENERATION } from "../../backend/memory/layout.ts";
import type { Core } from "../core.ts";
import type { CountingPlace } from "../definition.ts";
import type { Hooks } from "../hooks.ts";
import type { Counting, Zone, ZonePlace } from "../zone.ts";
import type { Handle, Item } from "./field.ts";

/** What alloc takes for ctor: nothing, or the argument that ctor declares. */
export type Argument<A> = unknown extends A ? [arg?: unknown] : undefined extends A ? [arg?: A] : [arg: A];

/** The methods of zones with handles. */
export interface Handles<N extends string, A, D> {
  /** Takes an item. @returns its handle. @throws UmaError as `alloc`. */
  allocHandle(...arg: Argument<A>): Handle<N>;
  /** Takes an item. @returns its handle; 0 when there is none, as `tryAlloc`. */
  tryAllocHandle(...arg: Argument<A>): Handle<N>;
  /**
   * The item that a handle names; 0 when it has been freed since, or the handle is another zone's. Handles are not to be made up: a
   * number that was never handed out may name an item that is free.
   */
  get(handle: Handle<N>): Item<N>;
  /** The handle of an allocated item. @throws UmaError ERR_UMA_ADDRESS, ERR_UMA_WRONG_ZONE, ERR_UMA_FREED. */
  handleOf(item: Item<N>): Handle<N>;
  /** Frees the item that a handle names; 0 is ignored. @throws UmaError ERR_UMA_STALE (ERR_UMA_WRONG_ZONE for another zone's), and nothing happens. */
  freeHandle(handle: Handle<N>, arg?: D): void;
}

/** Every handle has this bit, so that all doubles between have one exponent, and none is small. */
const HANDLE_BASE = 2 ** 52;
const HANDLE_BITS = 52;
const MIN_ADDRESS_BITS = 21;
/** How far a free raises the ceiling above the generation that reached it. */
const CEILING_STEP = 64;

/** Bytes of the word behind an item; it lies at a multiple of 8. */
export const GENERATION_BYTES = 8;

export interface Generations {
  /** The hooks with the generation's part in them. */
  wrap(hooks: Hooks): Hooks;
  /** For zones that count up themselves. */
  readonly counting: CountingPlace;
  /** @param counts - whether the zone counts up itself. */
  handles(zone: Zone, counts: boolean): Handles<string, unknown, unknown>;
}

/** @param offset - of the word behind the item's first byte, bytes; a multiple of 8. */
export function createGenerations(core: Core, place: ZonePlace, offset: number): Generations {
  const { i32, u8, f64 } = core.floor.cells;
  const { pageTable, heapStart, heapEnd } = core.floor.geometry;
  const { items } = core;
  const { tag, zone: record } = place;
  const span = heapEnd - heapStart;
  const shift = 31 - Math.clz32(place.unitMask + 1);
  const addressBits = Math.max(MIN_ADDRESS_BITS, 32 - Math.clz32((heapEnd - 1) >>> shift));
  const addressMask = 2 ** addressBits - 1;
  const step = 2 ** addressBits;
  const generationMask = 2 ** (HANDLE_BITS - addressBits) - 1;
  const unused = 32 - (HANDLE_BITS - addressBits);
  const at = offset >> 3;
  /** The zone itself, if it counts. */
  let known: Counting = { generationEnd: HANDLE_BASE };

  function compose(item: number, generation: number): number {
    return HANDLE_BASE + (generation & generationMask) * step + (item >> shift);
  }

  /** What a free does first, where the hot path does not. */
  function bump(item: number): void {
    const word = (item >> 3) + at;
    const next = f64[word] + step;
    if (next < known.generationEnd) f64[word] = next;
    else f64[word] = compose(item, raise(Math.floor((next - HANDLE_BASE) / step)));
  }

  /** Makes the ceiling lie above `generation` (distances count modulo its bits). @returns it. */
  function raise(generation: number): number {
    for (;;) {
      const ceiling = Atomics.load(i32, record + ZONE_GENERATION);
      if ((ceiling - generation) << unused > 0) {
        const end = ceiling & generationMask;
        // Once the ceiling has come round, words go on to the end of their bits before they follow.
        known.generationEnd = HANDLE_BASE + (end > (generation & generationMask) ? end : generationMask + 1) * step;
        return generation;
      }
      Atomics.compareExchange(i32, record + ZONE_GENERATION, ceiling, (generation + CEILING_STEP) | 0);
    }
  }

  function wrap(hooks: Hooks): Hooks {
    const { ctor, dtor, init, fini } = hooks;
    return {
      ctor,
      fini,
      dtor:
        dtor === null
          ? bump
          : (item, arg, views) => {
              bump(item);
              dtor(item, arg, views);
            },
      init: (item, views) => {
        f64[(item >> 3) + at] = compose(item, Atomics.add(i32, record + ZONE_GENERATION, 1));
        return init === null ? true : init(item, views);
      },
    };
  }

  function get(handle: number): number {
    const item = (handle & addressMask) << shift;
    // The word that lies there must be this very handle: so numbers that are no handles fail, too.
    if ((item - heapStart) >>> 0 < span && i32[((item >>> 12) << 2) + pageTable] === tag && f64[(item >> 3) + at] === handle) return item;
    return 0;
  }

  function handles(zone: Zone, counts: boolean): Handles<string, unknown, unknown> {
    if (counts) known = zone as Zone & Counting;
    return {
      allocHandle(arg?: unknown): number {
        return f64[(zone.alloc(arg) >> 3) + at];
      },
      tryAllocHandle(arg?: unknown): number {
        const item = zone.tryAlloc(arg);
        return item === 0 ? 0 : f64[(item >> 3) + at];
      },
      get,
      handleOf(item: number): number {
        if (u8[items.check(zone, item)] !== 0) return f64[(item >> 3) + at];
        throw new UmaError("ERR_UMA_FREED", `the item ${item} of zone "${zone.name}" is free: it has no handle`, {
          zone: zone.name,
          value: item,
        });
      },
      freeHandle(handle: number, arg?: unknown): void {
        const item = (handle & addressMask) << shift;
        // Whether the page is this zone's, `free` finds out.
        if ((item - heapStart) >>> 0 < span && f64[(item >> 3) + at] === handle) zone.free(item, arg);
        else refuse(zone.name, handle);
      },
    };
  }

  return { wrap, handles, counting: { at: offset, step, end: HANDLE_BASE } };
}

function refuse(zone: string, handle: number): void {
  if (handle !== 0) throw stale(zone, handle);
}

function stale(zone: string, handle: number): UmaError {
  return new UmaError("ERR_UMA_STALE", `${String(handle)} is no handle of an item of zone "${zone}" (any more)`, {
    zone,
    value: handle,
  });
}
