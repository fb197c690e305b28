/**
 * Records of arenas: how an arena stands in the memory.
 *
 * A record is a page: control block, first hash table, first tags. Records stand in a list, under the control lock; a record is
 * filled in while nobody knows it and enters the list in one transaction, and one that has ended keeps its tags for the next arena.
 *
 * An arena's tags are written under its own lock, by whoever has seen there that it lives; and once it is dying, by the worker that
 * ends it. So a record that is filled in again under the control lock meets no late one. It lives only after that transaction is
 * final, by one store: whoever takes from it takes from what nobody undoes.
 */
import { UmaError, optionError } from "../memory/errors.ts";
import type { Floor } from "../memory/floor.ts";
import {
  ARENA_CLOSER,
  ARENA_FLAGS,
  ARENA_HASH_ROUND,
  ARENA_HASH_TABLES,
  ARENA_IDENTIFIERS,
  ARENA_IMPORT_MIN,
  ARENA_LIMIT,
  ARENA_NAME,
  ARENA_NAME_BYTES,
  ARENA_NAME_LENGTH,
  ARENA_NEXT,
  ARENA_OWN,
  ARENA_PAGE_HASH,
  ARENA_PAGE_TAGS,
  ARENA_QCACHE_MAX,
  ARENA_QCACHE_SIZES,
  ARENA_QUANTUM,
  ARENA_SERIAL,
  ARENA_SOURCE,
  ARENA_SOURCE_USER,
  ARENA_STATE,
  ARENA_STATE_DYING,
  ARENA_STATE_FREE,
  ARENA_STATE_LIVE,
  ARENA_TAG_END,
  ARENA_TAG_NEXT,
  INTENT_EXTENT,
  PAGE_BYTES,
  SB_ARENAS,
  SB_ARENA_FREE,
  SB_ARENA_SERIAL,
  SB_CONTROL_LOCK,
  TAG_SPAN,
} from "../memory/layout.ts";
import type { ArenaOptions, ImportOptions } from "./arena.ts";
import type { Claim } from "./backing.ts";
import { destroyed } from "./complaints.ts";
import type { Engine } from "./engine.ts";
import type { ArenaHandle } from "./handle.ts";
import { HASH_FIRST } from "./hash.ts";
import type { Heap } from "./heap.ts";

/** Options that stand in a record, checked. */
export interface Checked {
  readonly quantum: number;
  readonly identifiers: boolean;
  readonly qcacheMax: number;
}

/** An arena by its record and its serial: the record alone may be another's by the time it is looked at. */
export interface Found {
  readonly a: number;
  readonly serial: number;
}

/** Numbers of a control block end before this word. */
const NUMBERS_END = 70;

export interface ArenaRecords {
  /** The arenas there are, as a list through ARENA_NEXT. */
  first(): number;
  /**
   * The arenas there are, for the recovery of worker `name`, and whether it was taking them apart; one that it only meant to end is
   * anybody's to end again. null = a lock was out of reach.
   */
  collect(name: number): { readonly a: number; readonly ends: boolean }[] | null;
  nameAt(a: number): string;
  /** A name as records hold it. @throws UmaError ERR_UMA_OPTION. */
  encode(name: string): Uint8Array;
  /** The live arena of that name; null = none, or others were ending arenas meanwhile (see `seek`). */
  find(name: Uint8Array): Found | null;
  /** As `find`, under the control lock. */
  seek(name: Uint8Array): Found | null | "busy";
  /** Where the arena was made with other options: ERR_VMEM_MISMATCH. It is thrown once the record is known to be that arena's still. */
  mismatch(a: number, name: string, options: ArenaOptions, checked: Checked): UmaError | null;
  /** What a record says of where an arena with these options imports from. */
  sourceWord(options: ImportOptions): number;
  /** Has the arena `serial` at word `a` import as the options say. @throws UmaError ERR_VMEM_DESTROYED. @returns false when a lock was out of reach. */
  rewire(a: number, serial: number, options: ImportOptions): boolean;
  /**
   * Fills in a record and enters it in the list.
   * @param frame - intent frame with a page for it, unless one is free.
   * @throws UmaError ERR_VMEM_DESTROYED when the arena that it is to import from has ended.
   * @returns it; null = try again.
   */
  enter(bytes: Uint8Array, options: ArenaOptions, checked: Checked, frame: number): Found | null | "busy";
  /** Puts this worker's name to the arena `serial` at word `a`, as the one that is to end it. */
  readonly claim: (a: number, serial: number) => Claim;
  /** Puts the record of the arena `serial` that worker `closer` has taken apart among the free ones. @returns false when a lock was out of reach. */
  retire(a: number, serial: number, closer: number): boolean;
}

export function createArenaRecords(floor: Floor, heap: Heap, engine: Engine): ArenaRecords {
  const { i32, u8, f64, base: sb } = floor.cells;
  const { locks, patienceMs, me } = floor;
  const { set, commit } = floor.journal;
  const CONTROL = sb + SB_CONTROL_LOCK;
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();

  function first(): number {
    return i32[sb + SB_ARENAS];
  }

  function collect(name: number): { a: number; ends: boolean }[] | null {
    if (!locks.acquire(CONTROL, patienceMs)) return null;
    try {
      const found: { a: number; ends: boolean }[] = [];
      for (let a = first(); a !== 0; a = i32[a + ARENA_NEXT]) {
        const ends = i32[a + ARENA_CLOSER] === name;
        const lives = i32[a + ARENA_STATE] === ARENA_STATE_LIVE;
        if (ends && lives) i32[a + ARENA_CLOSER] = 0;
        found.push({ a, ends: ends && !lives });
      }
      return found;
    } finally {
      locks.release();
    }
  }

  function nameAt(a: number): string {
    if (a === heap.arena) return "heap";
    const at = (a + ARENA_NAME) << 2;
    return decoder.decode(u8.slice(at, at + i32[a + ARENA_NAME_LENGTH]));
  }

  function encode(name: string): Uint8Array {
    const bytes = encoder.encode(name);
    if (bytes.length > ARENA_NAME_BYTES || name === "heap") {
      throw optionError("name", name, `a string of 1 to ${ARENA_NAME_BYTES} bytes of UTF-8, not "heap"`);
    }
    return bytes;
  }

  function find(name: Uint8Array): Found | null {
    for (let a = first(); a !== 0; a = i32[a + ARENA_NEXT]) {
      const serial = i32[a + ARENA_SERIAL];
      if (!hasName(a, name)) continue;
      // After the name: whoever makes the record another's raises the serial before it writes a name, and lets it live afterwards.
      if (i32[a + ARENA_STATE] === ARENA_STATE_LIVE && i32[a + ARENA_SERIAL] === serial) return { a, serial };
    }
    return null;
  }

  function seek(name: Uint8Array): Found | null | "busy" {
    if (!locks.acquire(CONTROL, patienceMs)) return "busy";
    try {
      return find(name);
    } finally {
      locks.release();
    }
  }

  function hasName(a: number, name: Uint8Array): boolean {
    if (i32[a + ARENA_NAME_LENGTH] !== name.length) return false;
    const at = (a + ARENA_NAME) << 2;
    for (let n = 0; n < name.length; n++) if (u8[at + n] !== name[n]) return false;
    return true;
  }

  function mismatch(a: number, name: string, options: ArenaOptions, checked: Checked): UmaError | null {
    const sides: readonly [what: string, here: number, there: number][] = [
      ["quantum", checked.quantum, f64[(a + ARENA_QUANTUM) >> 1]],
      ["qcacheMax", checked.qcacheMax, f64[(a + ARENA_QCACHE_MAX) >> 1]],
      ["kind (1 = identifiers)", checked.identifiers ? ARENA_IDENTIFIERS : 0, i32[a + ARENA_FLAGS]],
      ["source (record)", sourceWord(options), i32[a + ARENA_SOURCE]],
    ];
    const different = sides.find(([, here, there]) => here !== there);
    if (different === undefined) return null;
    const [what, here, there] = different;
    return new UmaError("ERR_VMEM_MISMATCH", `arena "${name}" exists with another ${what}: ${there} there, ${here} here`, {
      zone: name,
      value: there,
    });
  }

  function sourceWord(options: ImportOptions): number {
    if (options.import !== undefined) return ARENA_SOURCE_USER;
    return options.source === undefined ? 0 : (options.source as ArenaHandle).backing.a;
  }

  /** Under the control lock: whoever means to end the source does so under it. */
  function checkSource(options: ImportOptions): void {
    if (options.import !== undefined || options.source === undefined) return;
    const { backing } = options.source as ArenaHandle;
    if (!backing.isAlive() || i32[backing.a + ARENA_CLOSER] !== 0) throw destroyed(options.source);
  }

  function rewire(a: number, serial: number, options: ImportOptions): boolean {
    if (!locks.acquire(CONTROL, patienceMs)) return false;
    try {
      checkSource(options);
      if (i32[a + ARENA_SERIAL] === serial && i32[a + ARENA_STATE] === ARENA_STATE_LIVE) i32[a + ARENA_SOURCE] = sourceWord(options);
      return true;
    } finally {
      locks.release();
    }
  }

  function enter(bytes: Uint8Array, options: ArenaOptions, checked: Checked, frame: number): Found | null | "busy" {
    if (!locks.acquire(CONTROL, patienceMs)) return "busy";
    try {
      if (find(bytes) !== null) return null;
      checkSource(options);
      let a = i32[sb + SB_ARENA_FREE];
      if (a !== 0) {
        set(sb + SB_ARENA_FREE, i32[a + ARENA_NEXT]);
      } else {
        const page = i32[frame + INTENT_EXTENT];
        if (page === 0) return null;
        a = page >>> 2;
        i32.fill(0, a, a + PAGE_BYTES / 4);
        i32[a + ARENA_HASH_TABLES] = a + ARENA_PAGE_HASH;
        i32[a + ARENA_HASH_ROUND] = HASH_FIRST;
        i32[a + ARENA_TAG_NEXT] = a + ARENA_PAGE_TAGS;
        i32[a + ARENA_TAG_END] = a + PAGE_BYTES / 4;
        i32[a + ARENA_OWN] = 1;
        set(frame + INTENT_EXTENT, 0);
      }
      // Used up, even if all this is undone.
      const serial = i32[sb + SB_ARENA_SERIAL] + 1;
      i32[sb + SB_ARENA_SERIAL] = serial;
      i32[a + ARENA_FLAGS] = checked.identifiers ? ARENA_IDENTIFIERS : 0;
      i32[a + ARENA_SERIAL] = serial;
      i32[a + ARENA_SOURCE] = sourceWord(options);
      i32[a + ARENA_CLOSER] = me;
      i32[a + ARENA_QCACHE_SIZES] = 0;
      f64.fill(0, (a + ARENA_QUANTUM) >> 1, (a + NUMBERS_END) >> 1);
      f64[(a + ARENA_QUANTUM) >> 1] = checked.quantum;
      f64[(a + ARENA_QCACHE_MAX) >> 1] = checked.qcacheMax;
      f64[(a + ARENA_LIMIT) >> 1] = options.limit ?? 0;
      f64[(a + ARENA_IMPORT_MIN) >> 1] = options.importMin ?? 0;
      i32[a + ARENA_NAME_LENGTH] = bytes.length;
      u8.set(bytes, (a + ARENA_NAME) << 2);
      if (options.span !== undefined) engine.spans.insert(a, 0, options.span.start, options.span.size, TAG_SPAN);
      set(a + ARENA_NEXT, first());
      set(sb + SB_ARENAS, a);
      set(a + ARENA_STATE, ARENA_STATE_DYING);
      commit();
      i32[a + ARENA_STATE] = ARENA_STATE_LIVE;
      i32[a + ARENA_CLOSER] = 0;
      return { a, serial };
    } finally {
      locks.release();
    }
  }

  function hasChildren(a: number): boolean {
    for (let child = first(); child !== 0; child = i32[child + ARENA_NEXT]) {
      if (i32[child + ARENA_STATE] !== ARENA_STATE_FREE && i32[child + ARENA_SOURCE] === a) return true;
    }
    return a === heap.arena;
  }

  function claim(a: number, serial: number): Claim {
    if (!locks.acquire(CONTROL, patienceMs)) return "busy";
    try {
      if (i32[a + ARENA_SERIAL] !== serial || i32[a + ARENA_STATE] !== ARENA_STATE_LIVE) return "ended";
      if (i32[a + ARENA_CLOSER] !== 0 && i32[a + ARENA_CLOSER] !== me) return "busy";
      if (hasChildren(a)) return "children";
      i32[a + ARENA_CLOSER] = me;
      return "claimed";
    } finally {
      locks.release();
    }
  }

  function retire(a: number, serial: number, closer: number): boolean {
    if (!locks.acquire(CONTROL, patienceMs)) return false;
    try {
      if (i32[a + ARENA_SERIAL] !== serial || i32[a + ARENA_STATE] !== ARENA_STATE_DYING || i32[a + ARENA_CLOSER] !== closer) return true;
      let link = sb + SB_ARENAS;
      while (i32[link] !== a && i32[link] !== 0) link = i32[link] + ARENA_NEXT;
      if (i32[link] === 0) return true;
      set(link, i32[a + ARENA_NEXT]);
      set(a + ARENA_NEXT, i32[sb + SB_ARENA_FREE]);
      set(sb + SB_ARENA_FREE, a);
      set(a + ARENA_STATE, ARENA_STATE_FREE);
      set(a + ARENA_SOURCE, 0);
      commit();
      return true;
    } finally {
      locks.release();
    }
  }

  return { first, collect, nameAt, encode, find, seek, mismatch, sourceWord, rewire, enter, claim, retire };
}
