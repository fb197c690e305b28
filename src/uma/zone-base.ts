/** What all zones can do beside alloc and free: each call goes through the slow path's entrance to the part that does it. */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import * as layout from "../backend/memory/layout.ts";
import type { AllocPages, FreePages, PageSupplier } from "../backend/supplier/page-supplier.ts";
import { createUserPages } from "../backend/supplier/user-pages.ts";
import { type ItemList, createBulk } from "./bulk.ts";
import { isCacheItem } from "./cache-zone.ts";
import { type Core } from "./core.ts";
import { type ZoneDefinition, FLAG_UNCHECKED, FLAG_ZINIT } from "./definition.ts";
import type { Gate } from "./gate.ts";
import { type Dtor, type Fini, HOOK_PAGES, type Init } from "./hooks.ts";
import type { WarningOptions } from "./limits.ts";
import type { ReclaimMode } from "./reclaim.ts";
import type { ZoneStatistics } from "./statistics.ts";
import type { AsyncWaitOptions, WaitOptions } from "./waiting.ts";
import type { SlowPath } from "./zone-slow.ts";
import type { DestroyOptions, LeakReport, Reclaimed, Zone, ZonePlace, ZoneServices } from "./zone.ts";

const { KEG_HOOKS, KEG_ITEMS, LINE_REMOTE, MARK_BUSY } = layout;

/** A zone without its hot path. */
export interface ZoneBase extends Zone {
  /** Finds out what is wrong with a free, or does it the long way. */
  freeSlow(p: number, dtor: Dtor | null, arg: unknown): void;
}

export type ZoneBaseClass = abstract new (definition: ZoneDefinition, place: ZonePlace) => ZoneBase;

export function createZoneBase(core: Core, services: ZoneServices, slow: SlowPath): ZoneBaseClass {
  const { i32, u8, f64 } = core.floor.cells;
  const { caches, items } = core;
  const { slot } = core.floor;
  const MINE_BUSY = slot | MARK_BUSY;
  const bulk = createBulk(core);

  const { enter, prepare, guarded, put, quickMark, swapFull, claimOther, finishOwnFree, runDtor, markIndex, notSmr } = slow;

  /**
   * What all zones have; the hot methods are in the classes below.
   *
   * Fields are `declare`d, and stored once: V8 then takes the line, tag and shift of a zone that is a constant of its caller for
   * constants, too, and every address of the hot path with them. A field that the class defines is `undefined` first and never
   * constant again: that made a pair 1.7 times as slow.
   */
  abstract class Base implements ZoneBase {
    closed = false;
    inHook = 0;
    hurt = 0;
    declare line: number;
    declare readonly tag: number;
    declare readonly shift: number;
    declare readonly unitMask: number;
    declare readonly zone: number;
    declare readonly keg: number;
    declare readonly id: number;
    declare readonly name: string;
    declare readonly size: number;
    declare readonly rsize: number;
    declare readonly checks: boolean;
    declare readonly plain: boolean;
    declare init: Init | null;
    declare fini: Fini | null;
    declare gate: Gate | null;
    declare readonly zoneAt: number;
    declare readonly zoneIndex: number;
    declare readonly zeroInit: boolean;
    declare readonly definition: ZoneDefinition;
    declare supplier: PageSupplier;
    declare private allocPages: AllocPages | null;
    declare private freePages: FreePages | null;

    constructor(definition: ZoneDefinition, place: ZonePlace) {
      this.line = place.line;
      this.tag = place.tag;
      this.shift = place.shift;
      this.unitMask = place.unitMask;
      this.zone = place.zone;
      this.keg = place.keg;
      this.id = place.id;
      this.name = definition.name;
      this.size = definition.size;
      this.rsize = place.rsize;
      this.checks = (definition.flags & FLAG_UNCHECKED) === 0;
      this.plain = bulk.isPlain(definition) && place.zoneAt === 0;
      this.init = definition.init;
      this.fini = definition.fini;
      this.zeroInit = (definition.flags & FLAG_ZINIT) !== 0;
      this.definition = definition;
      this.gate = gateOf(definition);
      this.zoneAt = place.zoneAt;
      this.zoneIndex = place.zoneIndex;
      this.supplier = place.supplier;
      this.allocPages = definition.allocPages;
      this.freePages = definition.freePages;
    }

    abstract alloc(arg?: unknown): number;
    abstract tryAlloc(arg?: unknown): number;
    abstract free(item: number, arg?: unknown): void;

    allocWait(options: WaitOptions = {}, arg?: unknown): number {
      enter(this);
      return services.features.waiting.wait(this, arg, options);
    }

    async allocAsync(options: AsyncWaitOptions = {}, arg?: unknown): Promise<number> {
      enter(this);
      return services.features.waiting.later(this, arg, options);
    }

    setMax(count: number): void {
      enter(this);
      services.features.limits.setMax(this, count);
    }

    getMax(): number {
      enter(this);
      return services.features.limits.getMax(this);
    }

    getCur(): number {
      enter(this);
      return services.features.census.outstanding(this.zone);
    }

    exhausted(): boolean {
      enter(this);
      return services.features.limits.exhausted(this);
    }

    setMaxCache(count: number): void {
      enter(this);
      services.features.limits.setMaxCache(this, count);
    }

    setWarning(message: string, options: WarningOptions = {}): void {
      enter(this);
      services.features.limits.setWarning(this, message, options);
    }

    setMaxAction(action: ((zone: Zone) => void) | null): void {
      enter(this);
      services.features.limits.setMaxAction(this, action);
    }

    hide(): void {
      if (this.inHook === 0) caches.hide(this.line);
    }

    show(): void {
      if (this.inHook === 0) caches.show(this);
    }

    settle(item: number): boolean {
      // An exception may have come after it was done.
      if (this.checks && u8[markIndex(this, item)] !== MINE_BUSY) return true;
      return put(this, item);
    }

    prealloc(count: number): void {
      enter(this);
      guarded(this, () => services.prealloc(this, count));
    }

    allocBulk(into: ItemList, count: number = into.length, arg?: unknown): boolean {
      if (this.plain && count > 0 && bulk.takeAtOnce(this, into, count)) return true;
      enter(this);
      return bulk.alloc(this, into, count, arg);
    }

    freeBulk(list: ItemList, count: number = list.length, arg?: unknown): void {
      if (this.plain && this.checks && count > 0 && bulk.giveAtOnce(this, list, count)) return;
      enter(this);
      bulk.free(this, list, count, arg);
    }

    allocSmr(_arg?: unknown): number {
      throw notSmr(this);
    }

    freeSmr(_item: number): void {
      throw notSmr(this);
    }

    reserve(count: number): void {
      enter(this);
      guarded(this, () => services.features.reserves.reserve(this, count));
    }

    allocReserved(arg?: unknown): number {
      enter(this);
      return services.features.reserves.allocReserved(this, arg);
    }

    reserveKva(count: number): boolean {
      enter(this);
      return guarded(this, () => services.features.reserves.reserveKva(this, count));
    }

    prefill(count: number): void {
      enter(this);
      guarded(this, () => services.features.reserves.prefill(this, count));
    }

    reclaim(mode: ReclaimMode = "drain"): Reclaimed {
      enter(this);
      if (mode !== "trim" && mode !== "drain" && mode !== "drain-cpu") {
        throw optionError("mode of reclaim", mode, '"trim", "drain" or "drain-cpu"', this.name);
      }
      return guarded(this, () => services.features.reclaims.zone(this, mode));
    }

    destroy(options: DestroyOptions = {}): LeakReport {
      enter(this);
      return guarded(this, () => services.destroy(this, options));
    }

    close(): void {
      if (this.closed) return;
      prepare(this);
      if (!this.closed) guarded(this, () => services.close(this));
    }

    [Symbol.dispose](): void {
      this.close();
    }

    transfer(item: number, to: number): void {
      enter(this);
      items.transfer(this, item, to);
    }

    adopt(item: number): boolean {
      enter(this);
      return items.adopt(this, item);
    }

    owned(): Generator<number, void, void> {
      enter(this);
      return services.ownedBy(this, slot);
    }

    ownedBy(owner: number): Generator<number, void, void> {
      enter(this);
      return services.ownedBy(this, owner);
    }

    ownerOf(item: number): number {
      return items.ownerOf(this, item);
    }

    stats(): ZoneStatistics {
      return services.statistics(this);
    }

    setInit(init: Init): void {
      enter(this);
      services.features.setters.setHook(this, "init", init);
    }

    setFini(fini: Fini): void {
      enter(this);
      services.features.setters.setHook(this, "fini", fini);
    }

    setZoneInit(zoneInit: Init): void {
      enter(this);
      services.features.setters.setHook(this, "zoneInit", zoneInit);
    }

    setZoneFini(zoneFini: Fini): void {
      enter(this);
      services.features.setters.setHook(this, "zoneFini", zoneFini);
    }

    setSmr(): void {
      enter(this);
      services.features.setters.setSmr(this);
    }

    setAllocf(allocPages: AllocPages): void {
      this.mayChangeSupplier("setAllocf", allocPages);
      this.allocPages = allocPages;
      this.rewireSupplier();
    }

    setFreef(freePages: FreePages): void {
      this.mayChangeSupplier("setFreef", freePages);
      this.freePages = freePages;
      this.rewireSupplier();
    }

    private mayChangeSupplier(what: string, given: unknown): void {
      enter(this);
      if (typeof given !== "function") throw optionError(what, given, "a function", this.name);
      services.refuseCache(this, what);
      const items = i32[this.keg + KEG_ITEMS];
      if (items === 0) return;
      throw new UmaError("ERR_UMA_TOO_LATE", `${what} of zone "${this.name}" after its first allocation: it has ${items} items`, {
        zone: this.name,
        value: items,
      });
    }

    /** One alone is completed by the arena's other half, which knows only pages of its own. */
    private rewireSupplier(): void {
      const none: AllocPages = () => 0;
      this.supplier = createUserPages(core.floor, this.allocPages ?? none, this.freePages ?? (() => undefined));
      for (const other of core.open) if (other !== undefined && other.keg === this.keg) other.supplier = this.supplier;
      i32[this.keg + KEG_HOOKS] |= HOOK_PAGES;
    }

    /** Finds out what is wrong with a free, or does it the long way. */
    freeSlow(p: number, dtor: Dtor | null, arg: unknown): void {
      if (p === 0 || (dtor === null && swapFull(this, p))) return;
      enter(this);
      const quick = quickMark(this, p);
      if (quick !== 0) {
        const isMine = u8[quick] === slot;
        if (isMine && dtor === null) {
          finishOwnFree(this, p);
          return;
        }
        if (!isMine && claimOther(quick)) {
          f64[(this.line + LINE_REMOTE) >> 1]++;
          runDtor(this, p, dtor, arg);
          return;
        }
      }
      if (this.gate !== null && this.gate.origin !== null) {
        if (!isCacheItem(p)) throw noCacheItem(this, p);
        runDtor(this, p, dtor, arg);
        return;
      }
      const mark = items.check(this, p);
      if (!this.checks) {
        // Believed, as the zone was made with checks off; nothing but the address is known of it.
        runDtor(this, p, dtor, arg);
        return;
      }
      if (items.claim(this, p, mark)) f64[(this.line + LINE_REMOTE) >> 1]++;
      runDtor(this, p, dtor, arg);
    }
  }

  function gateOf({ zoneInit, zoneFini, origin }: ZoneDefinition): Gate | null {
    if (zoneInit === null && zoneFini === null && origin === null) return null;
    return { zoneInit, zoneFini, origin: origin === null ? null : origin(core) };
  }

  function noCacheItem(z: Zone, p: number): UmaError {
    return new UmaError(
      "ERR_UMA_ADDRESS",
      `${String(p)} is no item of the cache zone "${z.name}": those are 32-bit integers other than 0`,
      {
        zone: z.name,
        value: p,
      },
    );
  }

  return Base;
}
