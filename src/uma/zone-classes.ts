/**
 * The classes of zones: the hot path is here, and once more in typed/handles.ts (a free by handle) and in malloc/malloc.ts (zones found
 * by size or address).
 *
 * **alloc** reads the topmost item of this worker's alloc bucket, marks it, and stores the lowered position: that one store is
 * the commit. Until then the item is in the bucket, whatever its mark says (*the bucket beats the mark*). **free** of one's own
 * item stores it on top, raises the position, then clears the mark. No Atomics, no allocation, no call. Where the bucket is empty
 * or full, where another worker has asked for attention (TOP = 0), or where anything about the address is not as it should be, the
 * path leaves into `take` and `freeSlow`.
 *
 * Classes: all zones without hooks share one, and so do all with hooks, but of these each has its hot methods to itself, with the
 * hooks as constants: a call site that finds the hooks of eight zones in one method pays 10 ns for it. A zone with checks off has
 * no marks. The factory runs once for each attachment, so that the views are constants of its closure.
 *
 * The position's low bits: 7 = empty (bucket windows are 256 words, the first 8 its header). `(sp & 255) − 8 | n` is negative
 * when the bucket is empty or when the 31-bit counter n has run over, so that one test covers both.
 */
import { UmaError } from "../backend/memory/errors.ts";
import { BUCKET_EMPTY, BUCKET_MASK, LINE_REASONS, LINE_SP, MARK_BUSY, MARK_FREE } from "../backend/memory/layout.ts";
import { type Core } from "./core.ts";
import { type CountingPlace, type ZoneDefinition, FLAG_CACHE, FLAG_SMR, FLAG_UNCHECKED, FLAG_ZERO } from "./definition.ts";
import { type Ctor, type Dtor } from "./hooks.ts";
import { hookError } from "./keg.ts";
import { EMPTY, LIMIT, REFUSED } from "./outcome.ts";
import { createZoneBase, type ZoneBase } from "./zone-base.ts";
import { createSlowPath } from "./zone-slow.ts";
import type { Counting, Zone, ZoneFactory, ZonePlace, ZoneServices } from "./zone.ts";

/** What a zone with hooks has of its own. */
interface HotMethods {
  readonly alloc: (this: ZoneBase, arg?: unknown) => number;
  readonly tryAlloc: (this: ZoneBase, arg?: unknown) => number;
  readonly free: (this: ZoneBase, p: number, arg?: unknown) => void;
}

export function createZoneFactory(core: Core, services: ZoneServices): ZoneFactory {
  const { i32, u8 } = core.floor.cells;
  const { items, views } = core;
  const { slot } = core.floor;
  const ME = slot;
  const MINE_BUSY = slot | MARK_BUSY;
  const PT = core.floor.geometry.pageTable;
  const LOW = core.floor.geometry.heapStart;
  const SPAN = core.floor.geometry.heapEnd - LOW;

  const slow = createSlowPath(core, services);
  const Base = createZoneBase(core, services, slow);
  const { enter, take, uncountAlloc, finishFree, markIndex, failed } = slow;

  class PlainZone extends Base {
    override alloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        const p = i32[sp];
        u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = ME;
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return p;
      }
      return take(this, ME, true) | 0;
    }

    override tryAlloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        const p = i32[sp];
        u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = ME;
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return p;
      }
      return take(this, ME, false) | 0;
    }

    override free(p: number): void {
      if ((p | 0) === p && (p - LOW) >>> 0 < SPAN) {
        const e = ((p >>> 12) << 2) + PT;
        if (i32[e] === this.tag && (p & this.unitMask) === 0) {
          const m = (i32[e + 1] + (p >> this.shift)) | 0;
          const c = this.line;
          const sp = i32[c];
          if (u8[m] === ME && (sp & 255) < i32[c + 1]) {
            i32[sp + 1] = p;
            i32[c] = sp + 1;
            u8[m] = 0;
            return;
          }
        }
      }
      this.freeSlow(p, null, undefined);
    }
  }

  /**
   * Zones with handles and no hooks of the user's: a free counts the generation behind the item up before the item can be anybody's
   * again. What the words mean, uma/typed/handles.ts says.
   */
  class CountingZone extends PlainZone implements Counting {
    declare readonly generationAt: number;
    declare generationEnd: number;

    constructor(definition: ZoneDefinition, place: ZonePlace, counting: CountingPlace) {
      super(definition, place);
      this.generationAt = counting.at;
      this.generationEnd = counting.end;
    }

    override free(p: number): void {
      if ((p | 0) === p && (p - LOW) >>> 0 < SPAN) {
        const e = ((p >>> 12) << 2) + PT;
        if (i32[e] === this.tag && (p & this.unitMask) === 0) {
          const m = (i32[e + 1] + (p >> this.shift)) | 0;
          const c = this.line;
          const sp = i32[c];
          const w = (p + this.generationAt) >> 2;
          const g = i32[w] + 1;
          if (u8[m] === ME && (sp & 255) < i32[c + 1] && (this.generationEnd - g) >>> 28 === 0) {
            i32[w] = g;
            i32[sp + 1] = p;
            i32[c] = sp + 1;
            u8[m] = 0;
            return;
          }
        }
      }
      this.freeSlow(p, this.definition.dtor, undefined);
    }
  }

  /** Zones without hooks on a keg that may have several: the item's zone byte says whether it is this one's. */
  class SharedKegZone extends Base {
    override alloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        const p = i32[sp];
        u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = ME;
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return p;
      }
      return take(this, ME, true) | 0;
    }

    override tryAlloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        const p = i32[sp];
        u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = ME;
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return p;
      }
      return take(this, ME, false) | 0;
    }

    override free(p: number): void {
      if ((p | 0) === p && (p - LOW) >>> 0 < SPAN) {
        const e = ((p >>> 12) << 2) + PT;
        if (i32[e] === this.tag && (p & this.unitMask) === 0) {
          const m = (i32[e + 1] + (p >> this.shift)) | 0;
          const c = this.line;
          const sp = i32[c];
          if (u8[m] === ME && u8[m + this.zoneAt] === this.zoneIndex && (sp & 255) < i32[c + 1]) {
            i32[sp + 1] = p;
            i32[c] = sp + 1;
            u8[m] = 0;
            return;
          }
        }
      }
      this.freeSlow(p, null, undefined);
    }
  }

  class UncheckedZone extends Base {
    override alloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return i32[sp];
      }
      return take(this, ME, true) | 0;
    }

    override tryAlloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return i32[sp];
      }
      return take(this, ME, false) | 0;
    }

    override free(p: number): void {
      const c = this.line;
      const sp = i32[c];
      if ((sp & 255) < i32[c + 1] && p !== 0) {
        i32[sp + 1] = p;
        i32[c] = sp + 1;
        return;
      }
      this.freeSlow(p, null, undefined);
    }
  }

  /** Cache zones without hooks: the items are any integers, and nobody's to look at. */
  class CacheZone extends Base {
    override alloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return i32[sp];
      }
      return take(this, ME, true) | 0;
    }

    override tryAlloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return i32[sp];
      }
      return take(this, ME, false) | 0;
    }

    override free(p: number): void {
      const c = this.line;
      const sp = i32[c];
      if ((sp & 255) < i32[c + 1] && (p | 0) === p && p !== 0) {
        i32[sp + 1] = p;
        i32[c] = sp + 1;
        return;
      }
      this.freeSlow(p, null, undefined);
    }
  }

  /**
   * A zone with hooks: its hot methods are its own, and have the hooks as constants.
   *
   * All of them have this one class, so that code which serves several, and the methods themselves (what V8 learns of them is common
   * to all that were made by one function), find one kind of object. With a class for each zone every access to a field was looked
   * up in a table once there were five: a pair that was not inlined took 30 ns, where it takes 10 now.
   */
  class HookedZone extends PlainZone {
    constructor(definition: ZoneDefinition, place: ZonePlace, { alloc, tryAlloc, free }: HotMethods) {
      super(definition, place);
      this.alloc = alloc;
      this.tryAlloc = tryAlloc;
      this.free = free;
    }
  }

  /**
   * The methods of one zone with hooks.
   *
   * V8 inlines into a function up to 920 bytes of bytecode in all, and counts for a method what its own optimised code has inlined,
   * too: while ctor and dtor were called by methods of their own, it depended on what happened to be compiled first whether a call
   * of alloc was inlined. Hence try blocks in the hot path, and what is rare outside.
   */
  function hookedMethods(ctor: Ctor | null, dtor: Dtor | null, zero: boolean): HotMethods {
    return {
      alloc(arg) {
        const c = this.line;
        const sp = i32[c];
        const n = i32[c + 2];
        if ((((sp & 255) - 8) | n) >= 0) {
          const p = i32[sp];
          const m = (i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0;
          u8[m] = MINE_BUSY;
          i32[c] = sp - 1;
          i32[c + 2] = n + 1;
          if (zero) clear(this, p);
          let accepted: boolean | void = true;
          try {
            if (ctor !== null) accepted = ctor(p, arg, views);
          } catch (cause) {
            throw threw(this, p, cause);
          }
          if (accepted === false) return declined(this, p, true);
          u8[m] = ME;
          return p;
        }
        return build(this, take(this, MINE_BUSY, true), arg, true, ctor, zero);
      },

      tryAlloc(arg) {
        const c = this.line;
        const sp = i32[c];
        const n = i32[c + 2];
        if ((((sp & 255) - 8) | n) >= 0) {
          const p = i32[sp];
          const m = (i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0;
          u8[m] = MINE_BUSY;
          i32[c] = sp - 1;
          i32[c + 2] = n + 1;
          if (zero) clear(this, p);
          let accepted: boolean | void = true;
          try {
            if (ctor !== null) accepted = ctor(p, arg, views);
          } catch (cause) {
            throw threw(this, p, cause);
          }
          if (accepted === false) return declined(this, p, false);
          u8[m] = ME;
          return p;
        }
        return build(this, take(this, MINE_BUSY, false), arg, false, ctor, zero);
      },

      free(p, arg) {
        if ((p | 0) === p && (p - LOW) >>> 0 < SPAN) {
          const e = ((p >>> 12) << 2) + PT;
          if (i32[e] === this.tag && (p & this.unitMask) === 0) {
            const m = (i32[e + 1] + (p >> this.shift)) | 0;
            if (u8[m] === ME) {
              u8[m] = MINE_BUSY;
              try {
                if (dtor !== null) dtor(p, arg, views);
              } catch (cause) {
                throw spoilt(this, p, cause);
              }
              // Only now: dtor may have used this zone.
              const c = this.line;
              const sp = i32[c];
              if ((sp & 255) < i32[c + 1]) {
                i32[sp + 1] = p;
                i32[c] = sp + 1;
                u8[m] = 0;
                return;
              }
              finish(this, p);
              return;
            }
          }
        }
        this.freeSlow(p, dtor, arg);
      },
    };
  }

  /** The same for a zone with checks off, which has no marks: hot in alloc only. */
  function uncheckedMethods(ctor: Ctor | null, dtor: Dtor | null, zero: boolean): HotMethods {
    const takeOne = (z: Zone, must: boolean): number => {
      const c = z.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) < 0) return take(z, MINE_BUSY, must);
      i32[c] = sp - 1;
      i32[c + 2] = n + 1;
      return i32[sp];
    };
    return {
      alloc(arg) {
        return build(this, takeOne(this, true), arg, true, ctor, zero);
      },
      tryAlloc(arg) {
        return build(this, takeOne(this, false), arg, false, ctor, zero);
      },
      free(p, arg) {
        this.freeSlow(p, dtor, arg);
      },
    };
  }

  /** What is done to an item, BUSY in this worker's name, that did not come by the hot path. 0 is handed on. */
  function build(z: Zone, p: number, arg: unknown, must: boolean, ctor: Ctor | null, zero: boolean): number {
    if (p === 0) return 0;
    if (zero) clear(z, p);
    let accepted: boolean | void = true;
    try {
      if (ctor !== null) accepted = ctor(p, arg, views);
    } catch (cause) {
      throw threw(z, p, cause);
    }
    if (accepted === false) return declined(z, p, must);
    if (z.checks) u8[markIndex(z, p)] = ME;
    return p;
  }

  function clear(z: Zone, p: number): void {
    u8.fill(0, p, p + z.size);
  }

  /** ctor has refused the item: it goes back. */
  function declined(z: Zone, p: number, must: boolean): number {
    uncountAlloc(z);
    finishFree(z, p);
    core.failure = REFUSED;
    if (must) throw failed(z);
    return 0;
  }

  /** ctor has thrown: the item goes back. @returns what to throw. */
  function threw(z: Zone, p: number, cause: unknown): UmaError {
    uncountAlloc(z);
    finishFree(z, p);
    return hookError("ctor", z.name, p, cause);
  }

  /** dtor has thrown: the item is freed all the same. @returns what to throw. */
  function spoilt(z: Zone, p: number, cause: unknown): UmaError {
    finish(z, p);
    return hookError("dtor", z.name, p, cause);
  }

  function finish(z: Zone, p: number): void {
    finishFree(z, p);
    if (Atomics.load(i32, z.line + LINE_REASONS) !== 0) services.attend(z);
  }

  /** A zone whose freed items wait for readers: its own pair of operations, and none of the others. */
  class SmrZone extends Base {
    override alloc(): number {
      throw notPlain(this);
    }

    override tryAlloc(): number {
      throw notPlain(this);
    }

    override free(): void {
      throw notPlain(this);
    }

    override allocSmr(arg?: unknown): number {
      let p = this.takeSmr();
      if (p !== 0 && this.definition.ctor !== null) p = this.construct(p, arg, this.definition.ctor);
      if (p !== 0) u8[markIndex(this, p)] = ME;
      return p;
    }

    /** An item, BUSY: from buckets or, before new memory is taken, from the limbo. */
    takeSmr(): number {
      const { limbo } = services.features;
      if ((i32[this.line + LINE_SP] & BUCKET_MASK) <= BUCKET_EMPTY) {
        enter(this);
        limbo.harvest(this);
      }
      const p = take(this, MINE_BUSY, false);
      if (p !== 0 || (core.failure !== LIMIT && core.failure !== EMPTY)) return p;
      return limbo.seal(this) && limbo.harvest(this) ? take(this, MINE_BUSY, false) : 0;
    }

    construct(p: number, arg: unknown, ctor: Ctor): number {
      let accepted: boolean | void;
      try {
        accepted = ctor(p, arg, views);
      } catch (cause) {
        this.refused(p);
        throw hookError("ctor", this.name, p, cause);
      }
      if (accepted !== false) return p;
      this.refused(p);
      core.failure = REFUSED;
      return 0;
    }

    refused(p: number): void {
      uncountAlloc(this);
      finishFree(this, p);
    }

    override freeSmr(p: number): void {
      if (p === 0) return;
      enter(this);
      services.features.limbo.free(this, p);
    }
  }

  function notPlain(z: Zone): UmaError {
    return new UmaError("ERR_UMA_SMR", `zone "${z.name}" is an SMR zone: allocSmr and freeSmr`, { zone: z.name });
  }

  /** free of a zone with hooks on a keg that may have several: it looks at the item's zone byte as well. */
  function sharedFree(dtor: Dtor | null): HotMethods["free"] {
    return function free(p, arg) {
      if ((p | 0) === p && (p - LOW) >>> 0 < SPAN) {
        const e = ((p >>> 12) << 2) + PT;
        if (i32[e] === this.tag && (p & this.unitMask) === 0) {
          const m = (i32[e + 1] + (p >> this.shift)) | 0;
          if (u8[m] === ME && u8[m + this.zoneAt] === this.zoneIndex) {
            u8[m] = MINE_BUSY;
            try {
              if (dtor !== null) dtor(p, arg, views);
            } catch (cause) {
              throw spoilt(this, p, cause);
            }
            const c = this.line;
            const sp = i32[c];
            if ((sp & 255) < i32[c + 1]) {
              i32[sp + 1] = p;
              i32[c] = sp + 1;
              u8[m] = 0;
              return;
            }
            finish(this, p);
            return;
          }
        }
      }
      this.freeSlow(p, dtor, arg);
    };
  }

  /** Makes a zone note where its items come from: see sites.ts. */
  function track(z: ZoneBase, sample: number): void {
    const alloc = z.alloc.bind(z);
    const tryAlloc = z.tryAlloc.bind(z);
    const free = z.free.bind(z);
    let allocations = 0;
    const note = (p: number): void => {
      const n = ++allocations;
      core.sites.note(z, p, n, n % sample === 0);
    };
    z.alloc = (arg) => {
      const p = alloc(arg);
      note(p);
      return p;
    };
    z.tryAlloc = (arg) => {
      const p = tryAlloc(arg);
      if (p !== 0) note(p);
      return p;
    };
    z.free = (p, arg) => {
      // What is no item, or is free, is for the free itself to complain of.
      if (p !== 0 && Atomics.load(u8, items.check(z, p)) !== MARK_FREE) core.sites.forget(z, p);
      free(p, arg);
    };
  }

  /** Without marks nothing shows that a hook is running: it is counted, so that one that would wait for its own zone is told so. */
  function counted<H extends Ctor | Dtor>(hook: H | null, id: number): H | null {
    if (hook === null) return null;
    const { hookDepth } = core;
    return ((item: number, arg: unknown, given: typeof views): boolean | void => {
      hookDepth[id]++;
      try {
        return hook(item, arg, given);
      } finally {
        hookDepth[id]--;
      }
    }) as H;
  }

  function toSmr(z: Zone): void {
    for (const own of ["alloc", "tryAlloc", "free"]) Reflect.deleteProperty(z, own);
    Object.setPrototypeOf(z, SmrZone.prototype);
    (z as { plain: boolean }).plain = false;
  }

  function make(definition: ZoneDefinition, place: ZonePlace): Zone {
    if ((definition.flags & FLAG_SMR) !== 0) return new SmrZone(definition, place);
    if (definition.counting !== null) return new CountingZone(definition, place, definition.counting);
    const zone = makeByHooks(definition, place);
    if (definition.sample > 0) track(zone, definition.sample);
    return zone;
  }

  function makeByHooks(definition: ZoneDefinition, place: ZonePlace): ZoneBase {
    const { ctor, dtor, flags } = definition;
    const zero = (flags & FLAG_ZERO) !== 0;
    const noMarks = (flags & FLAG_UNCHECKED) !== 0;
    const shared = place.zoneAt !== 0;
    if (ctor !== null || dtor !== null || zero) {
      const methods = noMarks ? uncheckedMethods(counted(ctor, place.id), counted(dtor, place.id), zero) : hookedMethods(ctor, dtor, zero);
      return new HookedZone(definition, place, shared ? { ...methods, free: sharedFree(dtor) } : methods);
    }
    if (shared) return new SharedKegZone(definition, place);
    if ((flags & FLAG_CACHE) !== 0) return new CacheZone(definition, place);
    return noMarks ? new UncheckedZone(definition, place) : new PlainZone(definition, place);
  }

  return { make, toSmr };
}
