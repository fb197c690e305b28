/**
 * malloc: memory of any size from the zones of the size classes, and from the heap arena beyond them.
 *
 * **malloc** finds the class's zone in a table by (size + 15) >> 4 and allocates from it. **free** finds the zone by the
 * page table: the entry of the address's page holds the tag of the zone whose slab it is, and a table leads from the tag to the
 * zone as this thread has it open; a page without a tag can only be a large block's. Who owns an allocation, that it is not free
 * already, that the address is the first byte of one is checked as zone and arena check it, so what they promise holds here: any
 * worker frees what any other has allocated, a wrong free changes nothing, and a worker's death loses nothing.
 *
 * **Shortcuts** (core.ts) lead from the tag, or from the size, straight to this worker's line of the zone, without a look at the
 * zone as an object; where the line does not serve, zone and slow path do.
 *
 * Zones are opened when a thread first needs them: for an allocation of that class, or to free one that another thread made.
 *
 * Class `Malloc` lives in the factory so that the views and tables are constants of its closure. All zones of the classes are of
 * one JavaScript class, which keeps its call sites monomorphic.
 */
import { optionError, UmaError } from "../../backend/memory/errors.ts";
import * as layout from "../../backend/memory/layout.ts";
import type { Constraints } from "../../backend/vmem/request.ts";
import { SHORTCUT_TAGS } from "../core.ts";
import type { DeathPolicy, ZoneDefinition } from "../definition.ts";
import * as outcomes from "../outcome.ts";
import type { Uma } from "../uma.ts";
import type { WaitOptions } from "../waiting.ts";
import type { ZoneBase } from "../zone-base.ts";
import type { Zone } from "../zone.ts";
import { BLOCK_BUSY, NO_BLOCK, createBlocks } from "./blocks.ts";
import { CLASS_OF, CLASS_SHIFT, CLASS_SIZES, SMALL_MAX_BYTES, ZONE_PREFIX, classZones } from "./classes.ts";
import { type MallocStatistics, mallocStatistics } from "./statistics.ts";
import { createThrift } from "./thrift.ts";

const { ARENA_OWN, KEG_TAG, KEG_ZONE, PAGE_BYTES, PAGE_SHIFT, PTE_SLAB, PTE_TAG, SB_POOL_PAGES, SB_RECORD_PAGES, SLAB_KEG } = layout;
const { BUSY, EMPTY } = outcomes;

/** malloc as one thread has it. Addresses are byte addresses in the memory, multiples of 16; 0 is NULL. */
export interface Malloc {
  /**
   * Allocates `size` bytes; 0 gives an address of its own, too.
   * @returns the address, 0 when there is no memory (`uma.lastFailure`: EMPTY or BUSY).
   * @throws UmaError ERR_UMA_OPTION when `size` is no integer from 0 to the length of the memory.
   */
  malloc(size: number): number;
  /** Allocates `count` × `size` bytes, all of them 0. @throws UmaError ERR_UMA_OPTION. */
  calloc(count: number, size: number): number;
  /**
   * Gives the allocation at `p` another size; it moves only where it must. `p` = 0: as malloc. A size of 0 keeps an allocation.
   * @returns its address; 0 when there is no memory, and then the allocation at `p` is as it was.
   * @throws UmaError ERR_UMA_OPTION; as {@link free}.
   */
  realloc(p: number, size: number): number;
  /**
   * Frees an allocation, whichever worker made it; 0 is ignored. Where this thread meets a class for the first time it opens its
   * zone, which may fail for lack of memory: ERR_UMA_EMPTY, ERR_UMA_BUSY.
   * @throws UmaError ERR_UMA_ADDRESS, ERR_UMA_WRONG_ZONE (an item of a zone that is not malloc's), ERR_UMA_DOUBLE_FREE,
   * ERR_UMA_ITEM_BUSY; nothing has changed then.
   */
  free(p: number): void;
  /** Bytes that the allocation at `p` really has. @throws UmaError as {@link free}. */
  usableSize(p: number): number;
  /** Pages of the block of whole pages that begins at `p`; 0 = none does (it may be an allocation of a size class). */
  blockPages(p: number): number;
  /**
   * Allocates `size` bytes at a multiple of `align`.
   * @param align - a power of two up to half the memory; above a page, as a block of pages.
   */
  alignedAlloc(align: number, size: number): number;
  /**
   * Opens the zones of all classes here and now, not each when it is first needed: so that an allocation of any class needs no
   * records when memory is short, and so that this thread can finish whatever a dead worker leaves in any of them.
   * @throws UmaError ERR_UMA_EMPTY, ERR_UMA_BUSY; what is open stays so.
   */
  openClasses(): void;
  /**
   * Allocates a block of whole pages where the constraints allow it: for what knows the memory by byte addresses and needs them in a
   * row, aligned, below an address, or not across a boundary. Freed as everything else.
   * @returns the address, 0 when there is no such place.
   * @throws UmaError ERR_UMA_OPTION; ERR_VMEM_CONSTRAINT when the constraints contradict each other.
   * @source FreeBSD contigmalloc(9)
   */
  contiguous(size: number, constraints?: Constraints): number;
  /** As {@link malloc}, never waiting for anything, not for a lock either (`uma.lastFailure`: BUSY). @source FreeBSD M_NOWAIT */
  allocNow(size: number): number;
  /**
   * As {@link malloc}, waiting for memory if there is none: blocks the thread.
   * @throws UmaError ERR_UMA_TIMEOUT; ERR_UMA_WAIT_HERE where a thread may not block; ERR_UMA_EMPTY for more than the memory has.
   * @source FreeBSD M_WAITOK
   */
  allocWait(size: number, options?: WaitOptions): number;
  /** Sets `count` allocations of `size` bytes (at most 8192) aside, which only {@link allocReserved} takes. @source FreeBSD uma_zone_reserve */
  reserve(size: number, count: number): void;
  /** As {@link allocNow}, from what was set aside if there is nothing else. @source FreeBSD M_USE_RESERVE */
  allocReserved(size: number): number;
  /** Gives unused slabs of all classes back to the heap. @returns whether there were any. */
  trim(): boolean;
  /** Figures per size class, and of the large blocks; of all threads. */
  stats(): MallocStatistics;
}

/** Largest alignment, bytes. */
const MOST_ALIGN = 2 ** 30;
/** An allocation moves to a smaller class when it would use no more than 1/SHRINK of its own. */
const SHRINK = 2;
/** Up to so many bytes a loop copies faster than a call of `copyWithin`, which takes some 50 ns to begin. */
const WORDWISE_BYTES = 256;
const LEAST_BYTES = CLASS_SIZES[0] as number;

export interface MallocOptions {
  /**
   * What becomes of a dead worker's allocations of up to 8192 bytes: "keep" (default: reported, and outstanding until someone
   * frees them, for another thread may use them) or "free" (as when a process ends). Larger ones are kept and reported either
   * way: `report.blocks`, each of which anyone may {@link Malloc.free}. All threads of a memory say the same: a zone of the other
   * policy is refused, ERR_UMA_ZONE_MISMATCH.
   */
  readonly onDeath?: DeathPolicy;
}

/**
 * malloc for this thread's attachment `uma`.
 * @throws UmaError ERR_UMA_OPTION.
 */
export function createMalloc(uma: Uma, options: MallocOptions = {}): Malloc {
  const zones = classZones(options.onDeath ?? "keep");
  const { core } = uma;
  const { floor, heap, items, caches, kegs, shortcuts } = core;
  const { i32, u8 } = floor.cells;
  const { heapStart: LOW, heapEnd, pageTable: PT } = floor.geometry;
  const SPAN = heapEnd - LOW;
  const { locks, slot: ME } = floor;
  const blocks = createBlocks(floor, heap);
  const opened: Zone[] = [];
  const thrift = createThrift(floor, heap, caches, kegs, core.arenaPages, opened);
  const classOf = CLASS_OF;
  /** Zones by class, by size in units of 16 bytes, and by tag; null until this thread needs them. */
  const byClass: (Zone | null)[] = CLASS_SIZES.map(() => null);
  const bySize: (Zone | null)[] = Array.from(classOf, () => null);
  const byTag: (ZoneBase | null)[] = Array.from({ length: SHORTCUT_TAGS }, () => null);
  /** By size in units of 16 bytes: where the zone's shortcut is, 0 = there is none. */
  const shortcutOf = new Int32Array(classOf.length);
  const byLateTag = new Map<number, Zone>();

  /** The zone of a class, opened. @throws UmaError ERR_UMA_EMPTY, ERR_UMA_BUSY when that cannot be done. */
  function zoneOf(index: number): Zone {
    const known = byClass[index] ?? null;
    if (known !== null && !known.closed) return known;
    const zone = uma.open(zones[index] as ZoneDefinition) as ZoneBase;
    zone.supplier = thrift.supplier;
    const old = known === null ? -1 : opened.indexOf(known);
    if (old >= 0) opened.splice(old, 1);
    opened.push(zone);
    byClass[index] = zone;
    const late = zone.tag >= SHORTCUT_TAGS;
    if (late) byLateTag.set(zone.tag, zone);
    else byTag[zone.tag] = zone;
    for (let unit = 0; unit < classOf.length; unit++) {
      if (classOf[unit] !== index) continue;
      bySize[unit] = zone;
      shortcutOf[unit] = late ? 0 : zone.tag << 2;
    }
    shorten(zone);
    return zone;
  }

  /**
   * Brings the zone's shortcut up to date: whoever takes a zone off its line only puts the shortcut out of use. Before the slow path,
   * for nothing may be called between an allocation and its return: a stack overflow would lose it.
   */
  function shorten(zone: Zone): void {
    if (zone.tag >= SHORTCUT_TAGS) return;
    const at = zone.tag << 2;
    shortcuts[at] = zone.line;
    shortcuts[at + 1] = zone.shift;
    shortcuts[at + 2] = zone.unitMask;
  }

  /** The zone whose slab `p` lies in, by the long way. @returns null when `p` lies in no slab. */
  function zoneAt(p: number): Zone | null {
    if (!Number.isInteger(p) || p < LOW || p >= heapEnd) return null;
    const entry = ((p >>> PAGE_SHIFT) << 2) + PT;
    const tag = i32[entry + PTE_TAG];
    if (tag === 0) return null;
    const known = (tag < SHORTCUT_TAGS ? byTag[tag] : byLateTag.get(tag)) ?? null;
    if (known !== null && !known.closed) return known;
    const keg = i32[i32[entry + PTE_SLAB] + SLAB_KEG];
    const name = i32[keg + KEG_TAG] === tag ? items.nameIn(i32[keg + KEG_ZONE]) : "?";
    const index = name.startsWith(ZONE_PREFIX) ? CLASS_SIZES.indexOf(Number(name.slice(ZONE_PREFIX.length))) : -1;
    if (index < 0) throw new UmaError("ERR_UMA_WRONG_ZONE", `${p} is an item of zone "${name}", not of malloc`, { zone: name, value: p });
    return zoneOf(index);
  }

  function checkSize(size: number, what: string): void {
    if (Number.isInteger(size) && size >= 0 && size <= SPAN) return;
    throw optionError(what, size, `an integer from 0 to ${SPAN} (bytes)`);
  }

  function pagesFor(size: number): number {
    return Math.ceil(size / PAGE_BYTES);
  }

  function allocBlock(pages: number): number {
    thrift.consider(pages);
    let p = blocks.alloc(pages);
    if (p === NO_BLOCK && thrift.all()) p = blocks.alloc(pages);
    if (p !== NO_BLOCK && p !== BLOCK_BUSY) return p;
    core.failure = p === NO_BLOCK ? EMPTY : BUSY;
    return 0;
  }

  function allocPlaced(pages: number, constraints: Constraints): number {
    thrift.consider(pages);
    let p = blocks.allocPlaced(pages, constraints);
    if (p === NO_BLOCK && thrift.all()) p = blocks.allocPlaced(pages, constraints);
    if (p !== NO_BLOCK && p !== BLOCK_BUSY) return p;
    core.failure = p === NO_BLOCK ? EMPTY : BUSY;
    return 0;
  }

  /** The zone for a size, null when there is no memory for its records. */
  function zoneOfSize(size: number): Zone | null {
    try {
      return zoneOf(classOf[(size + 15) >> CLASS_SHIFT] as number);
    } catch (error) {
      if (error instanceof UmaError && (error.code === "ERR_UMA_EMPTY" || error.code === "ERR_UMA_BUSY")) return null;
      throw error;
    }
  }

  function waitForBlock(pages: number, { timeout = Number.POSITIVE_INFINITY }: WaitOptions): number {
    if (typeof timeout !== "number" || !(timeout >= 0)) throw optionError("timeout", timeout, "0 or more (milliseconds)");
    const details = { value: pages * PAGE_BYTES };
    if (!floor.cells.canWait) throw new UmaError("ERR_UMA_WAIT_HERE", "this thread may not block: it cannot wait for memory", details);
    // Pages that became records, headers and buckets, and the heap's own, never come back.
    const sb = floor.cells.base;
    const most = heap.counts().total - i32[heap.arena + ARENA_OWN] - i32[sb + SB_RECORD_PAGES] - i32[sb + SB_POOL_PAGES];
    if (pages > most)
      throw new UmaError("ERR_UMA_EMPTY", `the memory has at most ${most} pages to give, not ${pages}: no free could help`, details);
    const p = blocks.allocWait(pages, performance.now() + timeout);
    if (p > 0) return p;
    throw new UmaError("ERR_UMA_TIMEOUT", `no ${pages} pages in a row came free in time`, details);
  }

  /** An item of a class whose zone may not be open yet; 0 when there is no memory, be it for the zone's records. */
  function allocItem(index: number): number {
    let zone: Zone;
    try {
      zone = zoneOf(index);
    } catch (error) {
      if (!(error instanceof UmaError) || (error.code !== "ERR_UMA_EMPTY" && error.code !== "ERR_UMA_BUSY")) throw error;
      core.failure = error.code === "ERR_UMA_EMPTY" ? EMPTY : BUSY;
      return 0;
    }
    return zone.tryAlloc();
  }

  /** Bytes of the live allocation at `p`, from its zone. */
  function itemBytes(zone: Zone, p: number): number {
    if (zone.ownerOf(p) !== 0) return zone.rsize;
    throw new UmaError("ERR_UMA_ADDRESS", `the allocation at ${p} has been freed`, { zone: zone.name, value: p });
  }

  function usable(p: number): number {
    const zone = zoneAt(p);
    if (zone !== null) return itemBytes(zone, p);
    const pages = blocks.pagesAt(p);
    if (pages > 0) return pages * PAGE_BYTES;
    throw blocks.refusal(p);
  }

  /**
   * Bytes of the allocation at `p` by the quick checks of the hot path: for this worker's own items of classes that it has open.
   * @returns 0 where the long way must be gone.
   */
  function quickUsable(p: number): number {
    if ((p | 0) !== p || (p - LOW) >>> 0 >= SPAN) return 0;
    const e = ((p >>> 12) << 2) + PT;
    const tag = i32[e];
    if (tag >>> 0 >= 1024) return 0;
    const zone = byTag[tag] as Zone | null;
    if (zone === null || (p & zone.unitMask) !== 0) return 0;
    return u8[(i32[e + 1] + (p >> zone.shift)) | 0] === ME ? zone.rsize : 0;
  }

  /** Whether an allocation of `held` bytes serves for `size` bytes where it is. */
  function fits(held: number, size: number): boolean {
    if (size > SMALL_MAX_BYTES) return pagesFor(size) * PAGE_BYTES === held;
    return size <= held && Math.max(size, LEAST_BYTES) * SHRINK > held;
  }

  /** Copies the `bytes` at `from` to `to`, up to a multiple of 4: no allocation is shorter than that. */
  function copy(to: number, from: number, bytes: number): void {
    if (bytes > WORDWISE_BYTES) {
      u8.copyWithin(to, from, from + bytes);
      return;
    }
    // The last byte of a memory of 2 GiB is followed by address 2³¹.
    const end = (from + bytes + 3) >>> 2;
    let target = to >> 2;
    for (let word = from >> 2; word < end; word++) i32[target++] = i32[word];
  }

  // The hot path of zone-classes.ts once more, by the shortcuts: in free, each load that waits for another counts.
  // Literals: 8192 = SMALL_MAX_BYTES, 4 = CLASS_SHIFT, 12 = PAGE_SHIFT, 1024 = SHORTCUT_TAGS, PTE_TAG = 0, PTE_DELTA = 1.
  class ZoneMalloc implements Malloc {
    malloc(size: number): number {
      if ((size | 0) === size && size >>> 0 <= 8192) {
        const s = shortcutOf[(size + 15) >> 4] as number;
        const c = shortcuts[s] as number;
        const sp = i32[c];
        const n = i32[c + 2];
        if ((((sp & 255) - 8) | n) >= 0) {
          const p = i32[sp];
          u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> (shortcuts[s + 1] as number))) | 0] = ME;
          i32[c] = sp - 1;
          i32[c + 2] = n + 1;
          return p;
        }
      }
      return this.mallocSlow(size);
    }

    free(p: number): void {
      if ((p | 0) === p && (p - LOW) >>> 0 < SPAN) {
        const e = ((p >>> 12) << 2) + PT;
        const tag = i32[e];
        if (tag >>> 0 < 1024) {
          const s = tag << 2;
          const c = shortcuts[s] as number;
          const sp = i32[c];
          if ((sp & 255) < i32[c + 1] && (p & (shortcuts[s + 2] as number)) === 0) {
            const m = (i32[e + 1] + (p >> (shortcuts[s + 1] as number))) | 0;
            if (u8[m] === ME) {
              i32[sp + 1] = p;
              i32[c] = sp + 1;
              u8[m] = 0;
              return;
            }
          }
        }
      }
      this.freeSlow(p);
    }

    private mallocSlow(size: number): number {
      checkSize(size, "size of malloc");
      if (size > SMALL_MAX_BYTES) return allocBlock(pagesFor(size));
      const zone = bySize[(size + 15) >> CLASS_SHIFT] ?? null;
      if (zone === null) return allocItem(classOf[(size + 15) >> CLASS_SHIFT] as number);
      shorten(zone);
      return zone.tryAlloc();
    }

    private freeSlow(p: number): void {
      if ((p | 0) === p && (p - LOW) >>> 0 < SPAN) {
        const tag = i32[((p >>> 12) << 2) + PT];
        const known = tag >>> 0 < 1024 ? (byTag[tag] as ZoneBase | null) : null;
        if (known !== null && !known.closed) {
          shorten(known);
          known.freeSlow(p, null, undefined);
          return;
        }
      }
      if (p === 0) return;
      const zone = zoneAt(p);
      if (zone === null) {
        blocks.free(p);
        return;
      }
      shorten(zone);
      zone.free(p);
    }

    calloc(count: number, size: number): number {
      checkSize(count, "count of calloc");
      checkSize(size, "size of calloc");
      checkSize(count * size, "count × size of calloc");
      const p = this.malloc(count * size);
      if (p !== 0) u8.fill(0, p, p + count * size);
      return p;
    }

    realloc(p: number, size: number): number {
      const quick = quickUsable(p);
      if (quick !== 0 && (size | 0) === size && size >>> 0 <= 8192) {
        if (size <= quick && (size < LEAST_BYTES ? LEAST_BYTES : size) * SHRINK > quick) return p;
        const zone = bySize[(size + 15) >> 4] as Zone | null;
        if (zone !== null) {
          const to = zone.tryAlloc();
          // What shrinks need not move.
          if (to === 0) return size <= quick ? p : 0;
          copy(to, p, quick < size ? quick : size);
          this.free(p);
          return to;
        }
      }
      return this.reallocSlow(p, size);
    }

    private reallocSlow(p: number, size: number): number {
      checkSize(size, "size of realloc");
      if (p === 0) return this.malloc(size);
      const held = usable(p);
      if (fits(held, size)) return p;
      if (held > SMALL_MAX_BYTES && size > SMALL_MAX_BYTES) {
        if (blocks.resize(p, pagesFor(size)) === "done") return p;
      }
      const to = this.malloc(size);
      // What shrinks need not move.
      if (to === 0) return size <= held ? p : 0;
      copy(to, p, Math.min(held, size));
      this.free(p);
      return to;
    }

    usableSize(p: number): number {
      return usable(p);
    }

    blockPages(p: number): number {
      return blocks.pagesAt(p);
    }

    alignedAlloc(align: number, size: number): number {
      if (!Number.isInteger(align) || align < 1 || align > MOST_ALIGN || (align & (align - 1)) !== 0) {
        throw optionError("align of alignedAlloc", align, `a power of two from 1 to ${MOST_ALIGN} (bytes)`);
      }
      checkSize(size, "size of alignedAlloc");
      if (align <= 16) return this.malloc(size);
      if (align > PAGE_BYTES) return allocPlaced(Math.max(1, pagesFor(size)), { align });
      if (size > SMALL_MAX_BYTES) return allocBlock(pagesFor(size));
      for (let index = classOf[(size + 15) >> CLASS_SHIFT] as number; index < CLASS_SIZES.length; index++) {
        // Slabs begin on a page, so the items of such a class all lie at multiples of `align`.
        if ((CLASS_SIZES[index] as number) % align === 0) return allocItem(index);
      }
      return allocBlock(pagesFor(size));
    }

    openClasses(): void {
      for (let index = 0; index < CLASS_SIZES.length; index++) zoneOf(index);
    }

    contiguous(size: number, constraints: Constraints = {}): number {
      checkSize(size, "size of contiguous");
      return allocPlaced(Math.max(1, pagesFor(size)), constraints);
    }

    allocNow(size: number): number {
      locks.hurry++;
      try {
        return this.malloc(size);
      } finally {
        locks.hurry--;
      }
    }

    allocWait(size: number, options: WaitOptions = {}): number {
      checkSize(size, "size of allocWait");
      const p = this.malloc(size);
      if (p !== 0) return p;
      const zone = size > SMALL_MAX_BYTES ? null : zoneOfSize(size);
      return zone === null ? waitForBlock(Math.max(1, pagesFor(size)), options) : zone.allocWait(options);
    }

    reserve(size: number, count: number): void {
      if (!Number.isInteger(size) || size < 0 || size > SMALL_MAX_BYTES) {
        throw optionError("size of reserve", size, `an integer from 0 to ${SMALL_MAX_BYTES} (bytes)`);
      }
      zoneOf(classOf[(size + 15) >> CLASS_SHIFT] as number).reserve(count);
    }

    allocReserved(size: number): number {
      const p = this.allocNow(size);
      const zone = p !== 0 || size > SMALL_MAX_BYTES ? null : zoneOfSize(size);
      if (zone === null) return p;
      locks.hurry++;
      try {
        return zone.allocReserved();
      } finally {
        locks.hurry--;
      }
    }

    trim(): boolean {
      return thrift.all();
    }

    stats(): MallocStatistics {
      return mallocStatistics(uma.stats().zones, blocks.counts());
    }
  }

  return new ZoneMalloc();
}
