/**
 * The registry: how zones come into being and are opened.
 *
 * The directory maps a zone's id to its record; all changes are made under the control lock. A worker that has a zone open has a
 * bit for it in its slot: the bits are the count of openers, so a dead worker's openings are found and ended by its recovery.
 * A record is filled in while nobody knows it, and enters the directory in the transaction that also sets its maker's bit.
 */
import { UmaError } from "../backend/memory/errors.ts";
import {
  KEG_BITS_WORDS,
  KEG_FLAGS,
  KEG_HEADER_BYTES,
  KEG_HOOKS,
  KEG_IPERS,
  KEG_LOCK,
  KEG_MOST_ZONES,
  KEG_PPERA,
  KEG_REFS,
  KEG_RSIZE,
  KEG_SHIFT,
  KEG_SIZE,
  KEG_TAG,
  KEG_UNIT_MASK,
  KEG_ZONE,
  KEG_ZONES,
  KEG_ZONE_AT,
  LINE_REASONS,
  LINE_SP,
  LINE_TAG,
  LINE_TOP,
  LINE_WORDS,
  MAX_ZONES,
  NO_BUCKET,
  REASON_ORPHANS,
  RECORD_WORDS,
  SB_ZONE_HIGH,
  SB_ZONE_SERIAL,
  SLAB_BITS,
  SLOT_OPEN,
  ZONE_BUCKET_CAP,
  ZONE_BUCKET_DEFINED,
  ZONE_BUCKET_MAX,
  ZONE_BUCKET_MIN,
  ZONE_DEPOT_CAP,
  ZONE_FLAGS,
  ZONE_FLAGS_DEFINED,
  ZONE_GENERATION,
  ZONE_HASH,
  ZONE_HOOKS,
  ZONE_HOOKS_NOW,
  ZONE_ID,
  ZONE_INDEX,
  ZONE_KEG,
  ZONE_LIMIT,
  ZONE_LIMIT_DEFINED,
  ZONE_MAXCACHE,
  ZONE_NAME,
  ZONE_NAME_LENGTH,
  ZONE_ORPHANS,
  ZONE_PRIMARY,
  ZONE_STATE,
  ZONE_STATE_LIVE,
  ZONE_TAG,
} from "../backend/memory/layout.ts";
import { createUserPages } from "../backend/supplier/user-pages.ts";
import type { Core } from "./core.ts";
import {
  type ZoneDefinition,
  FLAG_CACHE,
  FLAG_MAXBUCKET,
  FLAG_SECONDARIES,
  FLAG_ZINIT,
  bucketRange,
  depotBound,
  checkDefinition,
  hookBits,
} from "./definition.ts";
import { BUSY, EMPTY, OK, type Outcome } from "./outcome.ts";
import type { Records } from "./records.ts";
import { type SlabGeometry, layOutSlab } from "./slab-geometry.ts";
import type { Zone, ZoneFactory, ZonePlace } from "./zone.ts";

export interface Registry {
  /**
   * @param mayMake - asked, under the control lock too, before a zone that does not exist is made; false: it is refused with ERR_UMA_BUSY.
   */
  open(definition: ZoneDefinition, mayMake?: () => boolean): Zone;
  /** Record of zone `id`, 0 = none. */
  recordOf(id: number): number;
  /** Highest id that a zone ever had. */
  highest(): number;
  /** Whether the worker whose slot is at `slotWord` has zone `id` open. */
  isOpenBy(slotWord: number, id: number): boolean;
}

export function createRegistry(core: Core, records: Records, factory: ZoneFactory): Registry {
  const { floor } = core;
  const { i32, u8 } = floor.cells;
  const { locks, patienceMs, slotWord } = floor;
  const { set, commit } = floor.journal;
  const { zoneDirectory } = floor.geometry;
  const sb = floor.cells.base;
  const encoder = new TextEncoder();

  function recordOf(id: number): number {
    return i32[zoneDirectory + id];
  }

  function highest(): number {
    return i32[sb + SB_ZONE_HIGH];
  }

  function isOpenBy(ofSlot: number, id: number): boolean {
    return ((i32[ofSlot + SLOT_OPEN + (id >>> 5)] >>> (id & 31)) & 1) === 1;
  }

  function open(definition: ZoneDefinition, mayMake?: () => boolean): Zone {
    checkDefinition(definition);
    locks.mend();
    const name = encoder.encode(definition.name);
    for (;;) {
      // A secondary brings its primary along: its init and fini are run by whoever grows the keg.
      const primary = definition.primary === null ? null : open(definition.primary as ZoneDefinition);
      const id = find(name);
      if (id > 0) {
        const known = core.open[id];
        if (known !== undefined && !known.closed) {
          agree(known.zone, definition, primary);
          return known;
        }
      }
      if (id === 0 && mayMake?.() === false) throw noRoom(definition.name, BUSY);
      const provided = records.provide(id > 0 ? id : freeId(definition.name));
      if (provided !== OK) throw noRoom(definition.name, provided);
      const opened = openProvided(definition, name, primary, mayMake);
      if (opened !== null) return opened;
    }
  }

  function noRoom(zone: string, outcome: Outcome): UmaError {
    return outcome === EMPTY
      ? new UmaError("ERR_UMA_EMPTY", `no memory for the records of zone "${zone}"; raise the option bytes of the memory`, { zone })
      : new UmaError("ERR_UMA_BUSY", `zone "${zone}" could not be opened: a lock was not to be had in time; try again`, { zone });
  }

  function find(name: Uint8Array): number {
    for (let id = highest(); id > 0; id--) {
      const zone = recordOf(id);
      if (zone !== 0 && i32[zone + ZONE_STATE] === ZONE_STATE_LIVE && hasName(zone, name)) return id;
    }
    return 0;
  }

  function hasName(zone: number, name: Uint8Array): boolean {
    if (i32[zone + ZONE_NAME_LENGTH] !== name.length) return false;
    const at = (zone + ZONE_NAME) << 2;
    for (let n = 0; n < name.length; n++) if (u8[at + n] !== name[n]) return false;
    return true;
  }

  function freeId(zone: string): number {
    for (let id = 1; id < MAX_ZONES; id++) if (recordOf(id) === 0) return id;
    throw new UmaError("ERR_UMA_ZONE_TABLE_FULL", `a memory has at most ${MAX_ZONES - 1} zones`, { zone, value: MAX_ZONES - 1 });
  }

  /** @returns null when what was provided is not enough any more. */
  function openProvided(definition: ZoneDefinition, name: Uint8Array, primary: Zone | null, mayMake?: () => boolean): Zone | null {
    if (!locks.acquire(records.lock, patienceMs)) throw noRoom(definition.name, BUSY);
    let zone: number;
    let id: number;
    try {
      id = find(name);
      if (id === 0) {
        if (mayMake?.() === false) throw noRoom(definition.name, BUSY);
        id = freeId(definition.name);
        if (!records.provided(id)) return null;
        // The primary may have been destroyed since it was opened.
        if (primary !== null && (primary.closed || i32[primary.zone + ZONE_STATE] !== ZONE_STATE_LIVE)) return null;
        zone = create(definition, name, id, primary);
      } else {
        if (!records.provided(id)) return null;
        zone = recordOf(id);
        agree(zone, definition, primary);
      }
      set(slotWord + SLOT_OPEN + (id >>> 5), i32[slotWord + SLOT_OPEN + (id >>> 5)] | (1 << (id & 31)));
      prepareLine(records.lineOf(slotWord, id), i32[zone + ZONE_TAG]);
      commit();
    } finally {
      locks.release();
    }
    return enlist(definition, zone, id, primary);
  }

  /** The counters of a line belong to slot and zone: they outlive the worker, and go only when another zone gets the line. */
  function prepareLine(line: number, tag: number): void {
    if (i32[line + LINE_TAG] !== tag) {
      for (let word = line; word < line + LINE_WORDS; word++) if (i32[word] !== 0) set(word, 0);
      set(line + LINE_TAG, tag);
    }
    set(line + LINE_SP, NO_BUCKET);
    set(line + LINE_TOP, 0);
    set(line + LINE_REASONS, 0);
  }

  /** Fills in records that nobody knows yet and enters them in the directory. */
  function create(d: ZoneDefinition, name: Uint8Array, id: number, primary: Zone | null): number {
    // Before anything is taken: it may refuse.
    const index = primary === null ? 0 : freeIndex(primary, d.name);
    const zone = records.takeZone();
    i32.fill(0, zone + 1, zone + RECORD_WORDS);
    const tag = i32[sb + SB_ZONE_SERIAL] + 1;
    const keg = primary === null ? createKeg(d, zone, tag) : primary.keg;
    const range = bucketRange(i32[keg + KEG_RSIZE], d.bucketMax);
    i32[zone + ZONE_STATE] = ZONE_STATE_LIVE;
    i32[zone + ZONE_ID] = id;
    i32[zone + ZONE_TAG] = tag;
    i32[zone + ZONE_KEG] = keg;
    i32[zone + ZONE_FLAGS] = d.flags;
    i32[zone + ZONE_FLAGS_DEFINED] = d.flags;
    i32[zone + ZONE_HOOKS] = hookBits(d);
    i32[zone + ZONE_HOOKS_NOW] = hookBits(d);
    i32[zone + ZONE_INDEX] = index;
    i32[zone + ZONE_PRIMARY] = primary === null ? 0 : primary.zone;
    i32[zone + ZONE_HASH] = d.face === null ? 0 : d.face.hash;
    // Another start for each zone there ever was: a handle of one that was destroyed hardly fits its successor.
    i32[zone + ZONE_GENERATION] = Math.imul(tag, 0x9e3779b1);
    i32[zone + ZONE_BUCKET_CAP] = (d.flags & FLAG_MAXBUCKET) !== 0 ? range.max : range.start;
    i32[zone + ZONE_BUCKET_MIN] = Math.min(range.start, 1);
    i32[zone + ZONE_BUCKET_MAX] = range.max;
    i32[zone + ZONE_LIMIT] = d.limit;
    i32[zone + ZONE_LIMIT_DEFINED] = d.limit;
    i32[zone + ZONE_BUCKET_DEFINED] = range.max;
    i32[zone + ZONE_MAXCACHE] = d.maxCache;
    i32[zone + ZONE_DEPOT_CAP] = depotBound(i32[keg + KEG_RSIZE], d.maxCache);
    i32[zone + ZONE_NAME_LENGTH] = name.length;
    u8.set(name, (zone + ZONE_NAME) << 2);
    if (primary !== null) {
      set(keg + KEG_ZONES + index, zone);
      set(keg + KEG_REFS, i32[keg + KEG_REFS] + 1);
    }
    set(sb + SB_ZONE_SERIAL, tag);
    set(zoneDirectory + id, zone);
    if (id > highest()) set(sb + SB_ZONE_HIGH, id);
    return zone;
  }

  /** A place in the keg's list of zones. */
  function freeIndex(primary: Zone, zone: string): number {
    for (let index = 1; index < KEG_MOST_ZONES; index++) if (i32[primary.keg + KEG_ZONES + index] === 0) return index;
    throw new UmaError(
      "ERR_UMA_ZONE_TABLE_FULL",
      `zone "${primary.name}" has ${KEG_MOST_ZONES - 1} secondary zones, the most there may be`,
      {
        zone,
        value: KEG_MOST_ZONES - 1,
      },
    );
  }

  /** Cache zones have a keg, too: for its lock, and so that nobody has to ask. It never has a slab. */
  function createKeg(d: ZoneDefinition, zone: number, tag: number): number {
    const keg = records.takeKeg();
    // Not its lock: whoever looked at the zone that was here before may hold it still.
    i32.fill(0, keg + KEG_LOCK + 1, keg + RECORD_WORDS);
    const g = geometryOf(d);
    i32[keg + KEG_TAG] = tag;
    i32[keg + KEG_FLAGS] = d.flags;
    i32[keg + KEG_SIZE] = d.size;
    i32[keg + KEG_RSIZE] = g.rsize;
    i32[keg + KEG_SHIFT] = g.shift;
    i32[keg + KEG_UNIT_MASK] = g.unitMask;
    i32[keg + KEG_IPERS] = g.ipers;
    i32[keg + KEG_PPERA] = g.ppera;
    i32[keg + KEG_HEADER_BYTES] = g.headerBytes;
    i32[keg + KEG_BITS_WORDS] = g.bitsWords;
    i32[keg + KEG_HOOKS] = hookBits(d);
    i32[keg + KEG_REFS] = 1;
    i32[keg + KEG_ZONE] = zone;
    i32[keg + KEG_ZONES] = zone;
    if ((d.flags & FLAG_SECONDARIES) !== 0) {
      // A zone byte for each mark, behind the marks.
      const marks = g.headerBytes - (SLAB_BITS + g.bitsWords) * 4;
      i32[keg + KEG_ZONE_AT] = marks;
      i32[keg + KEG_HEADER_BYTES] = g.headerBytes + marks;
    }
    return keg;
  }

  function geometryOf(d: ZoneDefinition): SlabGeometry {
    if ((d.flags & FLAG_CACHE) === 0) return layOutSlab(d.size + d.hidden, d.align);
    return { rsize: d.size, shift: 0, unitMask: 0, ipers: 0, ppera: 0, headerBytes: 0, bitsWords: 0 };
  }

  function agree(zone: number, d: ZoneDefinition, primary: Zone | null): void {
    const keg = i32[zone + ZONE_KEG];
    const g = geometryOf(d);
    const differs = (what: string, here: number, there: number): void => {
      if (here === there) return;
      throw new UmaError("ERR_UMA_ZONE_MISMATCH", `zone "${d.name}" exists with another ${what}: ${there} there, ${here} here`, {
        zone: d.name,
        value: there,
      });
    };
    differs("primary zone (its record)", primary === null ? 0 : primary.zone, i32[zone + ZONE_PRIMARY]);
    differs("size", d.size, i32[keg + KEG_SIZE]);
    differs("layout of its fields (hash)", d.face === null ? 0 : d.face.hash, i32[zone + ZONE_HASH]);
    differs("alignment (item size as laid out)", g.rsize, i32[keg + KEG_RSIZE]);
    differs("alignment (grid)", g.unitMask, i32[keg + KEG_UNIT_MASK]);
    differs(
      "set of hooks (bits ctor 1, dtor 2, init 4, fini 8, pages 16, zoneInit 32, zoneFini 64, import 128)",
      hookBits(d),
      i32[zone + ZONE_HOOKS],
    );
    differs("set of flags", d.flags, i32[zone + ZONE_FLAGS_DEFINED]);
    differs("limit", d.limit, i32[zone + ZONE_LIMIT_DEFINED]);
    differs("bucket", bucketRange(g.rsize, d.bucketMax).max, i32[zone + ZONE_BUCKET_DEFINED]);
    differs("maxCache", d.maxCache, i32[zone + ZONE_MAXCACHE]);
  }

  function enlist(definition: ZoneDefinition, zone: number, id: number, primary: Zone | null): Zone {
    const keg = i32[zone + ZONE_KEG];
    const pages = definition.allocPages;
    const place: ZonePlace = {
      id,
      zone,
      keg,
      line: records.lineOf(slotWord, id),
      tag: i32[keg + KEG_TAG],
      shift: i32[keg + KEG_SHIFT],
      unitMask: i32[keg + KEG_UNIT_MASK],
      rsize: i32[keg + KEG_RSIZE],
      zoneAt: i32[keg + KEG_ZONE_AT],
      zoneIndex: i32[zone + ZONE_INDEX],
      supplier:
        primary !== null
          ? primary.supplier
          : pages === null
            ? core.arenaPages
            : createUserPages(floor, pages, definition.freePages as NonNullable<ZoneDefinition["freePages"]>),
    };
    const bound = definition.face === null ? null : definition.face.bindTo(definition, core, place);
    // The primary's init, fini and zeroing are this thread's to run for either.
    const whole: ZoneDefinition =
      primary === null
        ? definition
        : { ...definition, init: primary.init, fini: primary.fini, flags: definition.flags | (primary.zeroInit ? FLAG_ZINIT : 0) };
    const made = bound === null ? factory.make(whole, place) : bound.dress(factory.make(bound.definition, place));
    core.open[id] = made;
    // A closing of this very zone that was cut short is overtaken: it must not end the opening that has just been made.
    for (let n = core.closings.length - 1; n >= 0; n--) if (core.closings[n]?.zone === zone) core.closings.splice(n, 1);
    // Items may have been left for a worker that has the zone open: this one is.
    if (Atomics.load(i32, zone + ZONE_ORPHANS) !== 0) Atomics.or(i32, made.line + LINE_REASONS, REASON_ORPHANS);
    return made;
  }

  return { open, recordOf, highest, isOpenBy };
}
