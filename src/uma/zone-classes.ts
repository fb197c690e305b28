/**
 * The classes of zones: the hot path is here and nowhere else.
 *
 * **alloc** reads the topmost item of this worker's alloc bucket, marks it, and stores the lowered position: that one store is
 * the commit. Until then the item is in the bucket, whatever its mark says (*the bucket beats the mark*). **free** of one's own
 * item stores it on top, raises the position, then clears the mark. No Atomics, no allocation, no call. Where the bucket is empty
 * or full, where another worker has asked for attention (TOP = 0), or where anything about the address is not as it should be, the
 * path leaves into `take` and `freeSlow`.
 *
 * Classes: all zones without hooks share one; a zone with hooks gets a class of its own from the factory, with the hooks as
 * constants, because a call site that sees the hooks of eight zones in one class pays 10 ns for it. A zone with checks off has
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
import { createZoneBase } from "./zone-base.ts";
import { createSlowPath } from "./zone-slow.ts";
import type { Counting, Zone, ZoneFactory, ZonePlace, ZoneServices } from "./zone.ts";

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

  /** A class for one zone with hooks: they are constants of this call. */
  function hookedClass(ctor: Ctor | null, dtor: Dtor | null, zero: boolean): new (d: ZoneDefinition, place: ZonePlace) => Zone {
    return class HookedZone extends Base {
      override alloc(arg?: unknown): number {
        const c = this.line;
        const sp = i32[c];
        const n = i32[c + 2];
        if ((((sp & 255) - 8) | n) >= 0) {
          const p = i32[sp];
          if (this.checks) u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = MINE_BUSY;
          i32[c] = sp - 1;
          i32[c + 2] = n + 1;
          return this.construct(p, arg, true) | 0;
        }
        return this.allocSlow(arg, true) | 0;
      }

      override tryAlloc(arg?: unknown): number {
        const c = this.line;
        const sp = i32[c];
        const n = i32[c + 2];
        if ((((sp & 255) - 8) | n) >= 0) {
          const p = i32[sp];
          if (this.checks) u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = MINE_BUSY;
          i32[c] = sp - 1;
          i32[c + 2] = n + 1;
          return this.construct(p, arg, false) | 0;
        }
        return this.allocSlow(arg, false) | 0;
      }

      /** The item is BUSY in this worker's name; on refusal it goes back without dtor. */
      construct(p: number, arg: unknown, must: boolean): number {
        if (zero) u8.fill(0, p, p + this.size);
        if (ctor !== null) {
          let accepted: boolean | void;
          try {
            accepted = ctor(p, arg, views);
          } catch (cause) {
            this.refused(p);
            throw hookError("ctor", this.name, p, cause);
          }
          if (accepted === false) {
            this.refused(p);
            core.failure = REFUSED;
            if (must) throw failed(this);
            return 0;
          }
        }
        if (this.checks) u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = ME;
        return p;
      }

      refused(p: number): void {
        uncountAlloc(this);
        finishFree(this, p);
      }

      override free(p: number, arg?: unknown): void {
        if ((p | 0) === p && (p - LOW) >>> 0 < SPAN && this.checks) {
          const e = ((p >>> 12) << 2) + PT;
          if (i32[e] === this.tag && (p & this.unitMask) === 0) {
            const m = (i32[e + 1] + (p >> this.shift)) | 0;
            if (u8[m] === ME) {
              u8[m] = MINE_BUSY;
              if (dtor !== null) this.destruct(p, arg);
              // Only now: dtor may have used this zone.
              const c = this.line;
              const sp = i32[c];
              if ((sp & 255) < i32[c + 1]) {
                i32[sp + 1] = p;
                i32[c] = sp + 1;
                u8[m] = 0;
                return;
              }
              this.finish(p);
              return;
            }
          }
        }
        this.freeSlow(p, dtor, arg);
      }

      destruct(p: number, arg: unknown): void {
        try {
          (dtor as Dtor)(p, arg, views);
        } catch (cause) {
          this.finish(p);
          throw hookError("dtor", this.name, p, cause);
        }
      }

      finish(p: number): void {
        finishFree(this, p);
        if (Atomics.load(i32, this.line + LINE_REASONS) !== 0) services.attend(this);
      }

      allocSlow(arg: unknown, must: boolean): number {
        const p = take(this, MINE_BUSY, must);
        return p === 0 ? 0 : this.construct(p, arg, must);
      }
    };
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

  /** A class for a zone with hooks on a keg that may have several. */
  function sharedClass(Alone: new (d: ZoneDefinition, place: ZonePlace) => Zone): typeof Alone {
    return class SharedHookedZone extends Alone {
      override free(p: number, arg?: unknown): void {
        // Of another zone: the slow path's checks say so.
        if (p !== 0 && slow.quickMark(this, p) === 0) items.check(this, p);
        super.free(p, arg);
      }
    };
  }

  /** A class that notes where its items come from: see sites.ts. */
  function trackedClass(Untracked: new (d: ZoneDefinition, place: ZonePlace) => Zone, sample: number): typeof Untracked {
    return class TrackedZone extends Untracked {
      private allocations = 0;

      override alloc(arg?: unknown): number {
        const p = super.alloc(arg);
        this.note(p);
        return p;
      }

      override tryAlloc(arg?: unknown): number {
        const p = super.tryAlloc(arg);
        if (p !== 0) this.note(p);
        return p;
      }

      override free(p: number, arg?: unknown): void {
        // What is no item, or is free, is for the free itself to complain of.
        if (p !== 0 && Atomics.load(u8, items.check(this, p)) !== MARK_FREE) core.sites.forget(this, p);
        super.free(p, arg);
      }

      private note(p: number): void {
        const n = ++this.allocations;
        core.sites.note(this, p, n, n % sample === 0);
      }
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
    Object.setPrototypeOf(z, SmrZone.prototype);
    (z as { plain: boolean }).plain = false;
  }

  function make(definition: ZoneDefinition, place: ZonePlace): Zone {
    const { flags, sample } = definition;
    const noMarks = (flags & FLAG_UNCHECKED) !== 0;
    const ctor = noMarks ? counted(definition.ctor, place.id) : definition.ctor;
    const dtor = noMarks ? counted(definition.dtor, place.id) : definition.dtor;
    if ((flags & FLAG_SMR) !== 0) return new SmrZone(definition, place);
    const zero = (flags & FLAG_ZERO) !== 0;
    if (definition.counting !== null) return new CountingZone(definition, place, definition.counting);
    const hooked = ctor !== null || dtor !== null || zero;
    const shared = place.zoneAt !== 0;
    if (sample > 0 || (hooked && shared)) {
      let Made: new (d: ZoneDefinition, at: ZonePlace) => Zone = hooked ? hookedClass(ctor, dtor, zero) : PlainZone;
      if (shared) Made = hooked ? sharedClass(Made) : SharedKegZone;
      return new (sample > 0 ? trackedClass(Made, sample) : Made)(definition, place);
    }
    if (hooked) return new (hookedClass(ctor, dtor, zero))(definition, place);
    if (shared) return new SharedKegZone(definition, place);
    if ((flags & FLAG_CACHE) !== 0) return new CacheZone(definition, place);
    return (flags & FLAG_UNCHECKED) !== 0 ? new UncheckedZone(definition, place) : new PlainZone(definition, place);
  }

  return { make, toSmr };
}
