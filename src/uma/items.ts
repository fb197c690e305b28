/**
 * Items by address: the slow, exact checks behind the hot path's quick ones, and who owns what.
 *
 * The mark of an item says whose it is. Its owner changes it by plain stores; everybody else by one compare-exchange of the
 * owner's mark, so that of a remote free, a transfer and the recovery of a dead owner exactly one gets the item.
 */
import { UmaCorruptionError, UmaError } from "../backend/memory/errors.ts";
import type { Floor } from "../backend/memory/floor.ts";
import * as layout from "../backend/memory/layout.ts";
import type { Slabs } from "./slab.ts";

const {
  KEG_IPERS,
  KEG_RSIZE,
  KEG_SHIFT,
  KEG_TAG,
  KEG_ZONE,
  KEG_ZONES,
  KEG_ZONE_AT,
  MARK_BUSY,
  MARK_FREE,
  MARK_ORPHAN,
  PAGE_SHIFT,
  PTE_SLAB,
  PTE_TAG,
  SLAB_KEG,
  SLAB_START,
  ZONE_NAME,
  ZONE_NAME_LENGTH,
} = layout;

/** What is needed of a zone to judge an address. */
export interface ItemZone {
  readonly name: string;
  readonly keg: number;
  readonly tag: number;
  readonly shift: number;
  /** See {@link ZoneHandle}; where it is left out, the keg has one zone. */
  readonly zoneAt?: number;
  readonly zoneIndex?: number;
}

export interface Items {
  /** Checks that `p` is the address of an item of the zone. @returns the byte index of its mark; throws a typed error else. */
  check(z: ItemZone, p: number): number;
  /** Claims an item for being freed: its mark becomes this worker's with BUSY. @returns whether it was another worker's. */
  claim(z: ItemZone, p: number, mark: number): boolean;
  /** Makes an item this worker's without BUSY, whoever has it. @returns the mark before. */
  claimFor(z: ItemZone, p: number, mark: number, slot: number): number;
  freeAlready(z: ItemZone, p: number): UmaError;
  /** Makes this worker's item another worker's, who must take part in the memory (or have a ticket for it). */
  transfer(z: ItemZone, p: number, slot: number): void;
  /** Makes an ORPHAN item this worker's. @returns false when it is none (any more). */
  adopt(z: ItemZone, p: number): boolean;
  /** Slot that owns the item: 0 = free, 1 … 126, 127 = its owner is dead. */
  ownerOf(z: ItemZone, p: number): number;
  /** The slab in whose pages the address lies; 0 = none. */
  slabAt(p: number): number;
  /** The zone (record) that the item at this address belongs to; 0 = none. */
  whose(p: number): number;
  /** The zone (record) that an item of the keg with this mark is out to. */
  zoneOf(keg: number, mark: number): number;
  /** Name in a zone's record. */
  nameIn(zone: number): string;
}

export function createItems(floor: Floor, slabs: Slabs): Items {
  const { i32, u8 } = floor.cells;
  const { slot, slots, handing } = floor;
  const { pageTable, heapStart, heapEnd, workers } = floor.geometry;
  const decoder = new TextDecoder();

  function nameIn(zone: number): string {
    const start = (zone + ZONE_NAME) << 2;
    return decoder.decode(u8.slice(start, start + i32[zone + ZONE_NAME_LENGTH]) as Uint8Array<ArrayBuffer>);
  }

  function slabAt(p: number): number {
    if (!Number.isInteger(p) || p < heapStart || p >= heapEnd) return 0;
    const entry = ((p >>> PAGE_SHIFT) << 2) + pageTable;
    return i32[entry + PTE_TAG] === 0 ? 0 : i32[entry + PTE_SLAB];
  }

  function whose(p: number): number {
    const slab = slabAt(p);
    if (slab === 0) return 0;
    const keg = i32[slab + SLAB_KEG];
    return zoneOf(keg, slabs.markOf(p, i32[keg + KEG_SHIFT]));
  }

  function check(z: ItemZone, p: number): number {
    if (!Number.isInteger(p) || p < heapStart || p >= heapEnd) throw noItem(z, p, `items lie in [${heapStart}, ${heapEnd})`);
    const entry = ((p >>> PAGE_SHIFT) << 2) + pageTable;
    const tag = i32[entry + PTE_TAG];
    if (tag === 0) throw noItem(z, p, "no zone has items in that page");
    const slab = i32[entry + PTE_SLAB];
    const keg = i32[slab + SLAB_KEG];
    if (tag !== z.tag) {
      const owner = i32[keg + KEG_TAG] === tag ? nameIn(i32[keg + KEG_ZONE]) : "?";
      throw new UmaError("ERR_UMA_WRONG_ZONE", `${p} is an item of zone "${owner}", not of "${z.name}"`, { zone: z.name, value: p });
    }
    const offset = p - i32[slab + SLAB_START];
    const rsize = i32[keg + KEG_RSIZE];
    if (offset % rsize !== 0) throw noItem(z, p, `it lies ${offset % rsize} bytes inside the item at ${p - (offset % rsize)}`);
    if (offset >= i32[keg + KEG_IPERS] * rsize) throw noItem(z, p, "it lies behind the last item of its slab");
    const mark = slabs.markOf(p, z.shift);
    const { zoneAt = 0, zoneIndex = 0 } = z;
    if (zoneAt !== 0 && u8[mark] !== MARK_FREE && u8[mark + zoneAt] !== zoneIndex) {
      const owner = nameIn(zoneOf(keg, mark));
      throw new UmaError("ERR_UMA_WRONG_ZONE", `${p} is an item of zone "${owner}", not of "${z.name}"`, { zone: z.name, value: p });
    }
    return mark;
  }

  function zoneOf(keg: number, mark: number): number {
    const at = i32[keg + KEG_ZONE_AT];
    const zone = at === 0 ? 0 : i32[keg + KEG_ZONES + u8[mark + at]];
    return zone === 0 ? i32[keg + KEG_ZONE] : zone;
  }

  function noItem(z: ItemZone, p: number, why: string): UmaError {
    return new UmaError("ERR_UMA_ADDRESS", `${String(p)} is no address of an item of zone "${z.name}": ${why}`, { zone: z.name, value: p });
  }

  function claimFor(z: ItemZone, p: number, mark: number, mine: number): number {
    const seen = Atomics.load(u8, mark);
    if (seen === MARK_FREE) throw freeAlready(z, p);
    if ((seen & MARK_BUSY) !== 0 || Atomics.compareExchange(u8, mark, seen, mine) !== seen) {
      throw new UmaCorruptionError("ERR_UMA_ITEM_BUSY", `the item ${p} of zone "${z.name}" is being made or freed`, {
        zone: z.name,
        value: p,
      });
    }
    return seen;
  }

  function freeAlready(z: ItemZone, p: number): UmaError {
    return new UmaCorruptionError("ERR_UMA_DOUBLE_FREE", `the item ${p} of zone "${z.name}" is free already`, { zone: z.name, value: p });
  }

  function claim(z: ItemZone, p: number, mark: number): boolean {
    let seen = Atomics.load(u8, mark);
    while ((seen & MARK_BUSY) === 0 && seen !== MARK_FREE) {
      const found = Atomics.compareExchange(u8, mark, seen, slot | MARK_BUSY);
      if (found === seen) return seen !== slot;
      seen = found;
      // An owner that dies between our look and our claim leaves an orphan, which is there to be freed by whoever has it.
      if (seen !== MARK_ORPHAN) break;
    }
    if (seen === MARK_FREE) {
      throw new UmaCorruptionError("ERR_UMA_DOUBLE_FREE", `the item ${p} of zone "${z.name}" is free already`, { zone: z.name, value: p });
    }
    const whose = seen === (slot | MARK_BUSY) ? "this worker" : `worker ${seen & ~MARK_BUSY}`;
    throw new UmaCorruptionError("ERR_UMA_ITEM_BUSY", `the item ${p} of zone "${z.name}" is being made or freed by ${whose}`, {
      zone: z.name,
      value: p,
    });
  }

  function transfer(z: ItemZone, p: number, to: number): void {
    const mark = check(z, p);
    if (!Number.isInteger(to) || to < 1 || to > workers) {
      throw new UmaError("ERR_UMA_OPTION", `transfer to slot ${String(to)}: slots are 1 … ${workers}`, { zone: z.name, value: to });
    }
    if (!handing.begin(slots.tenant(to))) throw noAddressee(z, to);
    let was: number;
    try {
      was = Atomics.compareExchange(u8, mark, slot, to);
    } finally {
      handing.end();
    }
    if (was !== slot) throw notOwner(z, p);
  }

  function noAddressee(z: ItemZone, to: number): UmaError {
    return new UmaError("ERR_UMA_NO_SLOT", `transfer to slot ${to}: no worker is there`, { zone: z.name, value: to });
  }

  function notOwner(z: ItemZone, p: number): UmaError {
    return new UmaError("ERR_UMA_NOT_OWNER", `the item ${p} of zone "${z.name}" is not this worker's to hand on`, {
      zone: z.name,
      value: p,
    });
  }

  function adopt(z: ItemZone, p: number): boolean {
    return Atomics.compareExchange(u8, check(z, p), MARK_ORPHAN, slot) === MARK_ORPHAN;
  }

  function ownerOf(z: ItemZone, p: number): number {
    return Atomics.load(u8, check(z, p)) & ~MARK_BUSY;
  }

  return { zoneOf, check, claim, claimFor, freeAlready, transfer, adopt, ownerOf, nameIn, slabAt, whose };
}
