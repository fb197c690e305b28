/**
 * Quantum caches of shared arenas: for each multiple of the quantum up to `qcacheMax` a zone.
 *
 * An item of such a zone is no memory for anybody: it stands for a piece of the arena, item k of a page for piece k of the run that
 * the page is a map of (run-pages.ts). So pieces have all that items have: every worker's bucket (no lock, no journal), the depot,
 * an owner that recovery finds when it dies, a second free that is refused; and identifiers are cached as well as memory.
 *
 * From a piece to its item: the run's number is the start divided by the run's length, and its page stands in a table of this
 * thread's. An entry may be out of date: it counts if the page's first number is the run's start, and the page table says that the
 * page is the zone's. Otherwise the arena's tag of the run is asked, under its lock.
 *
 * A cache that can get no run leaves the request to the arena, and is not asked again for a while.
 */
import { UmaCorruptionError, UmaError } from "../backend/memory/errors.ts";
import {
  ARENA_CLOSER,
  ARENA_QCACHE_SIZES,
  ARENA_SERIAL,
  ARENA_STATE,
  ARENA_STATE_LIVE,
  ARENA_WAITERS,
  INTENT_FRAMES,
  KEG_ARENA,
  KEG_ARENA_SERIAL,
  KEG_FREE,
  KEG_IPERS,
  KEG_PIECE,
  KEG_PPERA,
  KEG_SLABS,
  MARK_FREE,
  PAGE_BYTES,
  PAGE_SHIFT,
  PTE_SLAB,
  PTE_TAG,
  SLAB_KEG,
  TAG_KIND,
  TAG_SEGMENT_CACHE,
  TAG_SHADOW,
} from "../backend/memory/layout.ts";
import { runQuanta } from "../backend/supplier/run-pages.ts";
import { notAllocated, stillEnding } from "../backend/vmem/complaints.ts";
import { stir } from "../backend/vmem/giving.ts";
import type { ArenaHandle } from "../backend/vmem/handle.ts";
import type { QuantumCache } from "../backend/vmem/quantum-cache.ts";
import type { Core } from "./core.ts";
import { type ZoneDefinition, defineZone } from "./definition.ts";
import type { Registry } from "./registry.ts";
import { layOutSlab } from "./slab-geometry.ts";
import type { Zone } from "./zone.ts";

/** Entries of the table from runs to pages. */
const TABLE = 256;
/** Requests that a cache that got no run leaves to the arena before it tries again. */
const REST = 64;

/** The pieces of one size in a run: how many, and the bytes of the page that stand for one. */
interface Plan {
  readonly pieces: number;
  readonly bytes: number;
}

/** As many pieces as fit, and whose items fill one page by themselves. */
export function planOf(quanta: number, run: number): Plan {
  for (let pieces = Math.floor(run / quanta); pieces > 0; pieces--) {
    const bytes = Math.floor(PAGE_BYTES / pieces / 16) * 16;
    const { ipers, ppera, rsize } = layOutSlab(bytes, 16);
    if (ppera === 1 && ipers === pieces && rsize === bytes) return { pieces, bytes };
  }
  return { pieces: 1, bytes: PAGE_BYTES };
}

/** One size, as this thread has it open. */
interface Shelf {
  readonly zone: Zone;
  readonly pieces: number;
  readonly bytes: number;
  readonly perByte: number;
  /** Integers of a piece, and 1 ÷ that. */
  readonly step: number;
  readonly perStep: number;
  /** Requests still to be left to the arena. */
  rest: number;
}

export function createQuantumCaches(core: Core, registry: Registry): (arena: ArenaHandle) => QuantumCache {
  const { i32, u8, f64 } = core.floor.cells;
  const { locks, intents } = core.floor;
  const { pageTable } = core.floor.geometry;
  const { slabs, runs } = core;

  class ZoneCache implements QuantumCache {
    readonly isShared = true;
    private readonly arena: ArenaHandle;
    private readonly a: number;
    private readonly serial: number;
    private readonly most: number;
    private readonly quantum: number;
    private readonly perQuantum: number;
    /** Integers of a run. */
    private readonly run: number;
    private readonly perRun: number;
    /** By quanta of a piece; [0] is never there. */
    private readonly shelves: (Shelf | null)[];
    private readonly runOf: Float64Array = new Float64Array(TABLE).fill(-1);
    private readonly pageOf: Int32Array = new Int32Array(TABLE);
    /** Frees that came while an import function of the user's ran: done later. */
    private readonly late: { zone: Zone; item: number }[] = [];
    private frees = 0;
    /** Whether the last zone that could not be opened is none that there is. */
    private refused = false;
    /** What a drain that found nothing has left. */
    private vain = Number.NaN;

    constructor(arena: ArenaHandle, a: number, serial: number) {
      this.arena = arena;
      this.a = a;
      this.serial = serial;
      this.most = arena.qcacheMax / arena.quantum;
      this.quantum = arena.quantum;
      this.perQuantum = 1 / arena.quantum;
      this.run = runQuanta(arena.quantum) * arena.quantum;
      this.perRun = 1 / this.run;
      this.shelves = Array.from({ length: this.most + 1 }, () => null);
    }

    alloc(size: number, mayWait: boolean): number {
      const n = (size * this.perQuantum) | 0;
      const shelf = n * this.quantum === size && n >>> 0 <= this.most ? (this.shelves[n] as Shelf | null) : null;
      if (shelf === null || shelf.rest > 0 || !this.isAlive()) return this.allocSlow(size * this.perQuantum, mayWait);
      const { zone } = shelf;
      if (zone.inHook > 0) return -1;
      let p: number;
      if (mayWait) {
        p = zone.tryAlloc();
      } else {
        locks.hurry++;
        try {
          p = zone.tryAlloc();
        } finally {
          locks.hurry--;
        }
      }
      if (p === 0) {
        shelf.rest = REST;
        return -1;
      }
      const low = p & (PAGE_BYTES - 1);
      return f64[(p - low) >> 3] + ((low * shelf.perByte + 0.5) | 0) * shelf.step;
    }

    /** Opens the shelf that is missing, or counts a request that goes by. */
    private allocSlow(quanta: number, mayWait: boolean): number {
      const n = Math.ceil(quanta);
      if (!(n >= 1 && n <= this.most) || !this.isAlive()) return -1;
      const shelf = this.shelves[n] ?? this.openShelf(n, mayWait);
      if (shelf === null) return -1;
      if (shelf.rest > 0) {
        shelf.rest--;
        return -1;
      }
      return this.alloc(n * this.arena.quantum, mayWait);
    }

    free(start: number, size: number): boolean {
      const n = (size * this.perQuantum) | 0;
      const shelf = n * this.quantum === size && n >>> 0 <= this.most ? (this.shelves[n] as Shelf | null) : null;
      const r = Math.floor(start * this.perRun);
      const k = r & (TABLE - 1);
      if (shelf !== null && this.runOf[k] === r) {
        const page = this.pageOf[k] as number;
        const first = f64[page >> 3] as number;
        const piece = ((start - first) * shelf.perStep + 0.5) | 0;
        if (
          first === r * this.run &&
          i32[pageTable + ((page >>> PAGE_SHIFT) << 2) + PTE_TAG] === shelf.zone.tag &&
          piece * shelf.step === start - first &&
          piece < shelf.pieces &&
          this.isAlive()
        ) {
          this.put(shelf, page + piece * shelf.bytes, start);
          return true;
        }
      }
      return this.freeSlow(start, size);
    }

    private put(shelf: Shelf, item: number, start: number): void {
      const { zone } = shelf;
      if (zone.inHook > 0) {
        this.late.push({ zone, item });
        return;
      }
      try {
        zone.free(item);
      } catch (thrown) {
        throw thrown instanceof UmaCorruptionError ? notAllocated(this.arena, start, thrown) : thrown;
      }
      shelf.rest = 0;
      this.frees++;
      if (i32[this.a + ARENA_WAITERS] !== 0 || this.late.length > 0) this.settle(zone);
    }

    /** Somebody waits: what this thread has goes where everybody can reach it. */
    private settle(freed: Zone): void {
      for (const { zone, item } of this.late.splice(0)) zone.free(item);
      if (i32[this.a + ARENA_WAITERS] === 0) return;
      reclaim(freed);
      stir(this.arena);
    }

    /** Asks the arena for the run, and says what is wrong if the piece is none of it. @returns false when there is no such run. */
    private freeSlow(start: number, size: number): boolean {
      const n = Math.ceil(size * this.perQuantum);
      if (!(n >= 1 && n <= this.most) || !this.isAlive()) return false;
      const r = Math.floor(start * this.perRun);
      const page = this.pageUnderLock(r * this.run);
      if (page === 0) return false;
      const keg = i32[i32[pageTable + ((page >>> PAGE_SHIFT) << 2) + PTE_SLAB] + SLAB_KEG];
      const quanta = i32[keg + KEG_PIECE];
      const shelf = this.shelves[quanta] ?? this.openShelf(quanta, true);
      if (shelf === null)
        throw new UmaError("ERR_VMEM_BUSY", `free in arena "${this.arena.name}": its cache could not be opened; try again`);
      const piece = Math.floor((start - r * this.run) * shelf.perStep);
      if (piece * shelf.step !== start - r * this.run || piece >= shelf.pieces) throw notAllocated(this.arena, start);
      const item = page + piece * shelf.bytes;
      if (quanta !== n) {
        if (u8[slabs.markOf(item, shelf.zone.shift)] === MARK_FREE) throw notAllocated(this.arena, start);
        throw new UmaCorruptionError(
          "ERR_VMEM_SIZE",
          `free of ${start} in arena "${this.arena.name}" with size ${size}: it has ${shelf.step}`,
          { zone: this.arena.name, value: start },
        );
      }
      this.runOf[r & (TABLE - 1)] = r;
      this.pageOf[r & (TABLE - 1)] = page;
      this.put(shelf, item, start);
      return true;
    }

    /** The page that stands for the run at `start`; 0 = there is no such run. */
    private pageUnderLock(start: number): number {
      const { backing } = this.arena;
      backing.begin(true);
      if (!backing.enter(true)) {
        throw new UmaError("ERR_VMEM_BUSY", `free in arena "${this.arena.name}": its lock could not be had in time; try again`, {
          zone: this.arena.name,
        });
      }
      try {
        const tag = backing.engine().segments.lookup(this.a, start);
        return tag !== 0 && i32[tag + TAG_KIND] === TAG_SEGMENT_CACHE ? i32[tag + TAG_SHADOW] : 0;
      } finally {
        backing.leave();
      }
    }

    drain(): boolean {
      const shelves = this.all();
      for (const shelf of shelves) shelf.rest = 0;
      const before = this.state(shelves);
      if (before === this.vain) return false;
      let given = 0;
      for (const { zone } of shelves) given += reclaim(zone);
      this.vain = given === 0 ? this.state(shelves) : Number.NaN;
      return given > 0;
    }

    /** Changes when anything was given back since, as far as it can be seen from here. */
    private state(shelves: readonly Shelf[]): number {
      let sum = this.frees;
      for (const { zone } of shelves) sum += i32[zone.keg + KEG_FREE] + i32[zone.keg + KEG_SLABS] * 2 ** 20;
      return sum;
    }

    outstanding(): number {
      let sum = 0;
      for (const { zone, step } of this.all()) sum += zone.getCur() * step;
      return sum;
    }

    held(): number {
      let sum = 0;
      for (const { zone } of this.all()) sum += i32[zone.keg + KEG_SLABS] * this.run;
      return sum;
    }

    close(): void {
      const sizes = i32[this.a + ARENA_QCACHE_SIZES];
      for (let n = 1; n <= this.most; n++) {
        if (((sizes >>> n) & 1) === 0) continue;
        const known = this.shelves[n] ?? null;
        // A zone that is there must be had: nobody else would ever end it.
        const shelf = known !== null && !known.zone.closed ? known : this.openShelf(n, true);
        if (shelf === null && !this.refused) throw stillEnding(this.arena);
        if (shelf !== null && !shelf.zone.closed) destroyZone(shelf.zone, this.arena);
      }
      this.shelves.fill(null);
    }

    private isAlive(): boolean {
      return i32[this.a + ARENA_STATE] === ARENA_STATE_LIVE && i32[this.a + ARENA_SERIAL] === this.serial;
    }

    private mayMakeZones(): boolean {
      this.refused = !this.isAlive() || i32[this.a + ARENA_CLOSER] !== 0;
      return !this.refused;
    }

    /** All sizes that any thread has used. */
    private all(): Shelf[] {
      const sizes = i32[this.a + ARENA_QCACHE_SIZES];
      const shelves: Shelf[] = [];
      for (let n = 1; n <= this.most; n++) {
        if (((sizes >>> n) & 1) === 0) continue;
        const shelf = this.shelves[n] ?? this.openShelf(n, true);
        if (shelf !== null && !shelf.zone.closed && shelf.zone.inHook === 0) shelves.push(shelf);
      }
      return shelves;
    }

    /**
     * The bit comes before the zone, and no zone comes once a worker means to end the arena (both under the control lock): whoever
     * ends it finds all zones that there are by the bits.
     * @returns null when there is no memory for another zone, a lock was out of reach, or the arena is ending (then `refused` is true).
     */
    private openShelf(n: number, mayWait: boolean): Shelf | null {
      const { a, arena } = this;
      const { pieces, bytes } = planOf(n, runQuanta(arena.quantum));
      this.refused = false;
      Atomics.or(i32, a + ARENA_QCACHE_SIZES, 1 << n);
      if (!mayWait) locks.hurry++;
      let zone: Zone;
      try {
        zone = registry.open(this.definition(n, bytes), () => this.mayMakeZones());
      } catch (thrown) {
        if (thrown instanceof UmaError && !(thrown instanceof UmaCorruptionError)) return null;
        throw thrown;
      } finally {
        if (!mayWait) locks.hurry--;
      }
      // The same for every opener; before there is a slab.
      i32[zone.keg + KEG_ARENA] = a;
      i32[zone.keg + KEG_ARENA_SERIAL] = this.serial;
      i32[zone.keg + KEG_PIECE] = n;
      if (i32[zone.keg + KEG_IPERS] !== pieces || i32[zone.keg + KEG_PPERA] !== 1) {
        throw new UmaError("ERR_UMA_INTERNAL", `a page of zone "${zone.name}" has not ${pieces} items`, { zone: zone.name });
      }
      zone.supplier = runs.supplierFor(arena);
      const step = n * arena.quantum;
      const shelf: Shelf = { zone, pieces, bytes, perByte: 1 / bytes, step, perStep: 1 / step, rest: 0 };
      this.shelves[n] = shelf;
      return shelf;
    }

    /** The serial tells it from the zones of an arena of the same name that has ended. */
    private definition(n: number, bytes: number): ZoneDefinition {
      return defineZone(`vmem ${this.arena.name} ${n * this.arena.quantum} (${this.serial})`, { size: bytes, notouch: true });
    }
  }

  /** @throws UmaError ERR_VMEM_BUSY. */
  function destroyZone(zone: Zone, arena: ArenaHandle): void {
    try {
      zone.destroy({ force: true });
    } catch (thrown) {
      if (zone.closed) return;
      throw thrown instanceof UmaError && thrown.code === "ERR_UMA_BUSY" ? stillEnding(arena) : thrown;
    }
  }

  /** Gives back what this thread and the depot have, asks the others. @returns slabs that went; 0 when a lock was out of reach. */
  function reclaim(zone: Zone): number {
    // Slabs that could not be given back stand in frames until a lock is to be had again; there is no room for many.
    if (zone.closed || zone.inHook > 0 || intents.depth() > INTENT_FRAMES / 2) return 0;
    try {
      return zone.reclaim("drain-cpu").slabs;
    } catch (thrown) {
      if (thrown instanceof UmaError && thrown.code === "ERR_UMA_BUSY") return 0;
      throw thrown;
    }
  }

  return (arena) => new ZoneCache(arena, arena.backing.a, arena.backing.serial);
}
