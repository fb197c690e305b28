/**
 * Handles: names of items that go stale.
 *
 * An address says where an item is, not whether it is still the same one. Zones with handles keep a generation behind each item, a
 * hidden word that changes at every free; a handle is address and generation in one number, and is good as long as both fit.
 *
 * **Form**: the bits of a double. The low word is the item's address, the high word `0x20000000 + generation`: 30 bits of generation
 * at every address of a memory of any size, and always an ordinary number (1e-154 … 1e154), neither 0 nor NaN. The 8 bytes behind the
 * item hold the handle itself, so that it is compared and handed out by one load, and a free changes one word of it. The numbers
 * survive whatever doubles survive: messages, JSON, an f64 field; no arithmetic is to be done with them.
 *
 * **When it changes**: before a freed item can be anybody's, as the first thing in dtor, or in the hot path of zones without hooks
 * (CountingZone in zone-classes.ts, countingFree here). A worker that dies before that leaves the item allocated and its handle
 * good; one that dies after it leaves the item allocated, or BUSY, under a handle that nobody was given. BUSY items are initialised
 * anew by recovery, and init gives another generation, too. So an item is never allocated again while its old generation stands.
 *
 * **Items that come and go with their slabs**: the pages were somebody else's in between, so the word says nothing. The zone's
 * record has a ceiling above every generation that any of its items ever had; init draws from it (by Atomics.add), and a free that
 * would reach it draws from it, too (in steps, so that hardly any does). The ceiling only ever goes up. Each thread keeps what it
 * knows of it as the last value that a free may set without a look (`generationEnd`).
 *
 * **Wrap-around**: all comparisons are of distances in a ring of 2^30, and what lies further below the ceiling than a quarter of it
 * is not believed but drawn anew. A handle that was kept while the generations of its zone went once round, 2^30 frees of one item at
 * the least, may be taken for good; so may, after as many, what a thread believes that frees nothing in all that time.
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
  /**
   * Frees the item that a handle names; 0 is ignored. It looks first and frees then: of two workers that free by one handle at the same
   * instant both may pass the look, and the second meets the errors of `free`, or an item allocated that very moment.
   * @throws UmaError ERR_UMA_STALE (ERR_UMA_WRONG_ZONE for another zone's), and nothing happens.
   */
  freeHandle(handle: Handle<N>, arg?: D): void;
}

/** High word of a handle of generation 0. */
const FIRST = 0x20000000;
const GENERATION_MASK = 0x3fffffff;
/** How far a free raises the ceiling that it reached. */
const CEILING_STEP = 64;
/** log2 of how far below the ceiling a generation may lie to be believed. */
const WINDOW_BITS = 28;
const WINDOW = 2 ** WINDOW_BITS;
/** Sends every free to look at the ceiling. */
const NOTHING_KNOWN = FIRST - 1;

/** A double in two words, to take a handle apart. */
const handleCell = new Float64Array(1);
const handleWords = new Int32Array(handleCell.buffer);
const LITTLE_ENDIAN = new Uint8Array(Int32Array.of(1).buffer)[0] === 1;
const LOW_WORD = LITTLE_ENDIAN ? 0 : 1;
const HIGH_WORD = 1 - LOW_WORD;

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
  const ME = core.floor.slot;
  const { tag, zone: record, shift, unitMask } = place;
  const span = heapEnd - heapStart;
  const at = offset >> 3;
  const lowAt = (offset >> 2) + LOW_WORD;
  const highAt = (offset >> 2) + HIGH_WORD;
  /** The last value of the word that a free may set without a look at the ceiling. (In a buffer: V8 takes only such arrays for constant.) */
  const end = new Int32Array(new ArrayBuffer(4));
  end[0] = NOTHING_KNOWN;
  /** The zone itself, if it counts: its free by address finds the same number there. */
  let counter: Counting = { generationEnd: NOTHING_KNOWN };

  function believe(last: number): void {
    end[0] = last;
    counter.generationEnd = last;
  }

  /** What a free does first, where the hot path does not. */
  function bump(item: number): void {
    const word = (item >> 2) + highAt;
    const next = i32[word] + 1;
    i32[word] = (end[0] - next) >>> WINDOW_BITS === 0 ? next : belowCeiling(next);
  }

  /** @returns `next` if it lies below the ceiling, else what was drawn from there: the item's next high word. */
  function belowCeiling(next: number): number {
    for (;;) {
      const ceiling = Atomics.load(i32, record + ZONE_GENERATION);
      const drawn = FIRST + (ceiling & GENERATION_MASK);
      const distance = drawn - next;
      if (distance > 0 && distance <= WINDOW) {
        believe(drawn - 1);
        return next;
      }
      if (Atomics.compareExchange(i32, record + ZONE_GENERATION, ceiling, (ceiling + CEILING_STEP) | 0) !== ceiling) continue;
      believe(Math.min(drawn + CEILING_STEP - 1, FIRST + GENERATION_MASK));
      return drawn;
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
        i32[(item >> 2) + lowAt] = item;
        i32[(item >> 2) + highAt] = FIRST + (Atomics.add(i32, record + ZONE_GENERATION, 1) & GENERATION_MASK);
        return init === null ? true : init(item, views);
      },
    };
  }

  function get(handle: number): number {
    handleCell[0] = handle;
    const item = handleWords[LOW_WORD];
    // The word that lies there must be this very handle: so numbers that are no handles fail, too.
    return (item - heapStart) >>> 0 < span && f64[(item >> 3) + at] === handle && i32[((item >>> 12) << 2) + pageTable] === tag ? item : 0;
  }

  /** Frees by handle, whatever the zone is, the item is, and whoever has it. */
  function freeBy(zone: Zone, handle: number, item: number, arg: unknown): void {
    // Whether the page is this zone's, `free` finds out.
    if ((item - heapStart) >>> 0 < span && f64[(item >> 3) + at] === handle) zone.free(item, arg);
    else refuse(zone.name, handle);
  }

  /**
   * The hot path of a zone that counts: look, and `CountingZone.free`, in one. By way of the two V8 takes the handle apart, finds the
   * page and looks at the address twice, which took 0.6 ns of 6. What is not as it should be goes the long way.
   */
  function countingFree(zone: Zone): (handle: number) => void {
    return (handle) => {
      handleCell[0] = handle;
      const p = handleWords[LOW_WORD];
      const c = zone.line;
      const sp = i32[c];
      const e = ((p >>> 12) << 2) + pageTable;
      const w = (p >> 3) + at;
      if ((p - heapStart) >>> 0 < span && f64[w] === handle && i32[e] === tag && (p & unitMask) === 0) {
        const m = (i32[e + 1] + (p >> shift)) | 0;
        const next = handleWords[HIGH_WORD] + 1;
        if (u8[m] === ME && (sp & 255) < i32[c + 1] && (end[0] - next) >>> 28 === 0) {
          i32[(w << 1) + HIGH_WORD] = next;
          i32[sp + 1] = p;
          i32[c] = sp + 1;
          u8[m] = 0;
          return;
        }
      }
      return freeBy(zone, handle, p, undefined);
    };
  }

  function handles(zone: Zone, counts: boolean): Handles<string, unknown, unknown> {
    if (counts) counter = zone as Zone & Counting;
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
      freeHandle: counts
        ? countingFree(zone)
        : (handle: number, arg?: unknown): void => {
            handleCell[0] = handle;
            freeBy(zone, handle, handleWords[LOW_WORD], arg);
          },
    };
  }

  return { wrap, handles, counting: { at: offset + HIGH_WORD * 4, end: NOTHING_KNOWN } };
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
