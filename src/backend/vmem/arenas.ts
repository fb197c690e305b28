/**
 * The arenas of a memory: how they come into being, are found by name, end, and what is done about them when a worker dies.
 *
 * An arena's record is a page: control block, first hash table, first tags. Records stand in a list, under the control lock;
 * a record is filled in while nobody knows it and enters the list in one transaction, and a record that has ended keeps its tags
 * for the next arena. Any thread opens an arena by its name. Functions (import, release, reclaim) cannot be shared: each thread
 * brings its own; one without them allocates what there is, and leaves empty spans to those that have them.
 */
import { UmaError, optionError } from "../memory/errors.ts";
import type { Floor } from "../memory/floor.ts";
import {
  ARENA_CLOSER,
  ARENA_FIRST,
  ARENA_FLAGS,
  ARENA_HASH_ROUND,
  ARENA_HASH_TABLES,
  ARENA_IDENTIFIERS,
  ARENA_IMPORT_MIN,
  ARENA_LIMIT,
  ARENA_LOCK,
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
  ARENA_SEGMENTS,
  ARENA_SERIAL,
  ARENA_SOURCE,
  ARENA_SOURCE_USER,
  ARENA_SPAN_FIRST,
  ARENA_STATE,
  ARENA_STATE_DYING,
  ARENA_STATE_FREE,
  ARENA_STATE_LIVE,
  ARENA_TAG_END,
  ARENA_TAG_NEXT,
  INTENT_EXTENT,
  INTENT_PAGE,
  MARK_ORPHAN,
  PAGE_BYTES,
  PAGE_SHIFT,
  PTE_TAG,
  SB_ARENAS,
  SB_ARENA_FREE,
  SB_ARENA_SERIAL,
  SB_CONTROL_LOCK,
  SPAN_ARENA,
  SPAN_HELD,
  SPAN_SIZE,
  SPAN_SOURCE,
  SPAN_START,
  TAG_KIND,
  TAG_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_CACHE,
  TAG_SHADOW,
  TAG_SPAN,
  TAG_SPAN_IMPORTED,
  TAG_START,
} from "../memory/layout.ts";
import type { Arena, ArenaOptions, ImportOptions } from "./arena.ts";
import { PROVIDED, type Porter } from "./backing.ts";
import { WANTS_TAGS, createEngine } from "./engine.ts";
import { dismantle } from "./ending.ts";
import { giveSpan } from "./giving.ts";
import { ArenaHandle } from "./handle.ts";
import { HEAP_BUSY, type Heap, NO_PAGES } from "./heap.ts";
import { checkArenaOptions, checkImport, checkSource } from "./local.ts";
import { walkedOf } from "./looking.ts";
import type { QuantumCache } from "./quantum-cache.ts";
import { MOST_END } from "./request.ts";
import { HASH_FIRST } from "./hash.ts";
import { createSharedBacking } from "./shared-backing.ts";
import { SOURCE_RELEASED, SOURCE_USER, createArenaPorter, createUserPorter } from "./shared-porter.ts";
import { OVERLAPS } from "./spans.ts";
import { type Walked, createWalker } from "./walk.ts";

/** Options of a shared arena: `source` is another shared arena of the same memory, or "heap" by {@link Arenas.heap}. */
export type SharedArenaOptions = ArenaOptions;
/** What a thread brings along when it opens an arena: functions cannot be shared. */
export type ArenaFunctions = Pick<ArenaOptions, "import" | "release" | "importAligned" | "reclaim">;

/** What a dead worker had allocated in an arena: kept, and nobody's now. */
export interface ArenaLeftover {
  readonly arena: string;
  readonly start: number;
  readonly size: number;
}

export interface Arenas {
  /** The heap itself, as an arena: integers are byte addresses, the quantum is a page. */
  readonly heap: Arena;
  /**
   * Makes an arena in the memory, or opens the one of that name if it agrees; only its maker adds the span.
   * @throws UmaError ERR_UMA_OPTION; ERR_VMEM_MISMATCH; ERR_VMEM_NOTAGS when there is no memory for its record; ERR_VMEM_BUSY.
   */
  create(name: string, options?: SharedArenaOptions): Arena;
  /** Opens an arena by its name. @throws UmaError ERR_VMEM_NO_ARENA. */
  open(name: string, functions?: ArenaFunctions): Arena;
  /** Names of the arenas there are. */
  list(): string[];
}

/** What the floors above need beside. */
export interface ArenaSystem extends Arenas {
  /** Completes frames that this worker had to leave; set by whoever knows all kinds of frames. */
  hooks: { finishFrames: () => void; quantumCache: ((arena: ArenaHandle) => QuantumCache | null) | null };
  /** The handle of the arena at word `a`. */
  at(a: number): ArenaHandle;
  /** Completes the frame of a span in flight. @returns false when a lock was out of reach. */
  finishFrame(frame: number): boolean;
  /** Deals with what a dead worker left in arenas. @returns null when a lock was out of reach. */
  recover(name: number): ArenaLeftover[] | null;
  /** Checks all arenas but the heap. @returns pages of the heap that they have, by record and by import. */
  verify(say: (problem: string) => void): number;
}

export function createArenas(floor: Floor, heap: Heap): ArenaSystem {
  const { i32, u8, f64, base: sb } = floor.cells;
  const { locks, intents, patienceMs } = floor;
  const { set, commit } = floor.journal;
  const CONTROL = sb + SB_CONTROL_LOCK;
  const engine = createEngine(floor);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const handles = new Map<number, { serial: number; handle: ArenaHandle }>();
  const hooks: ArenaSystem["hooks"] = { finishFrames: () => undefined, quantumCache: null };
  const services = { finishFrames, hasChildren, retire };
  let finishing = false;

  /** Completing a frame uses arenas, which look for frames to complete. */
  function finishFrames(): void {
    if (finishing) return;
    finishing = true;
    try {
      hooks.finishFrames();
    } finally {
      finishing = false;
    }
  }

  function firstArena(): number {
    return i32[sb + SB_ARENAS];
  }

  function nameAt(a: number): string {
    if (a === heap.arena) return "heap";
    const at = (a + ARENA_NAME) << 2;
    return decoder.decode(u8.slice(at, at + i32[a + ARENA_NAME_LENGTH]));
  }

  function find(name: Uint8Array): number {
    for (let a = firstArena(); a !== 0; a = i32[a + ARENA_NEXT]) {
      if (i32[a + ARENA_STATE] === ARENA_STATE_LIVE && hasName(a, name)) return a;
    }
    return 0;
  }

  function hasName(a: number, name: Uint8Array): boolean {
    if (i32[a + ARENA_NAME_LENGTH] !== name.length) return false;
    const at = (a + ARENA_NAME) << 2;
    for (let n = 0; n < name.length; n++) if (u8[at + n] !== name[n]) return false;
    return true;
  }

  function encode(name: string): Uint8Array {
    const bytes = encoder.encode(name);
    if (bytes.length > ARENA_NAME_BYTES || name === "heap") {
      throw optionError("name", name, `a string of 1 to ${ARENA_NAME_BYTES} bytes of UTF-8, not "heap"`);
    }
    return bytes;
  }

  function create(name: string, options: SharedArenaOptions = {}): Arena {
    const checked = checkArenaOptions(name, options);
    const bytes = encode(name);
    checkShared(name, options, checked);
    begin();
    for (;;) {
      const known = find(bytes);
      if (known !== 0) {
        agree(known, name, options, checked);
        return open(name, options);
      }
      const frame = intents.push(INTENT_PAGE);
      if (i32[sb + SB_ARENA_FREE] === 0) {
        const page = heap.alloc(1, 0, frame + INTENT_EXTENT);
        if (page === NO_PAGES || page === HEAP_BUSY) {
          intents.pop(frame);
          throw page === HEAP_BUSY ? busy(name) : noRecord(name);
        }
      }
      const made = enter(bytes, options, checked, frame);
      // Not needed in the end: a record was free, or somebody else was faster.
      if (i32[frame + INTENT_EXTENT] === 0 || heap.free(i32[frame + INTENT_EXTENT], frame + INTENT_EXTENT)) intents.pop(frame);
      if (made === BUSY_RECORD) throw busy(name);
      if (made !== 0) return handleFor(made, options);
    }
  }

  function begin(): void {
    locks.mend();
    if (intents.abandoned()) finishFrames();
  }

  function noRecord(name: string): UmaError {
    return new UmaError("ERR_VMEM_NOTAGS", `no memory for the record of arena "${name}"; raise the option bytes of the memory`, {
      zone: name,
    });
  }

  function busy(name: string): UmaError {
    return new UmaError("ERR_VMEM_BUSY", `arena "${name}": a lock could not be had in time; try again`, { zone: name });
  }

  function checkShared(
    name: string,
    options: SharedArenaOptions,
    checked: { qcacheMax: number; identifiers: boolean; quantum: number },
  ): void {
    const { source, span } = options;
    if (source !== undefined && (!(source instanceof ArenaHandle) || source.backing.memory !== floor)) {
      throw optionError("source", source, "an arena of the same memory, as this thread has it open", name);
    }
    checkImport(name, checked.identifiers, options);
    if (span !== undefined) {
      const { start, size } = span;
      const { quantum } = checked;
      const right = Number.isSafeInteger(start) && Number.isSafeInteger(size) && start >= 0 && size > 0 && start <= MOST_END - size;
      if (!right || start % quantum !== 0 || size % quantum !== 0) {
        throw new UmaError(
          "ERR_VMEM_SPAN",
          `arena "${name}": span [${start}, +${size}) is not made of whole quanta of ${quantum} from 0 on`,
          {
            zone: name,
            value: start,
          },
        );
      }
    }
    for (const key of ["limit", "importMin"] as const) {
      const value = options[key] ?? 0;
      if (!Number.isSafeInteger(value) || value < 0) throw optionError(key, value, "an integer from 0 (none) on", name);
    }
  }

  function agree(
    a: number,
    name: string,
    options: SharedArenaOptions,
    checked: { quantum: number; identifiers: boolean; qcacheMax: number },
  ): void {
    const differs = (what: string, here: number, there: number): void => {
      if (here === there) return;
      throw new UmaError("ERR_VMEM_MISMATCH", `arena "${name}" exists with another ${what}: ${there} there, ${here} here`, {
        zone: name,
        value: there,
      });
    };
    differs("quantum", checked.quantum, f64[(a + ARENA_QUANTUM) >> 1]);
    differs("qcacheMax", checked.qcacheMax, f64[(a + ARENA_QCACHE_MAX) >> 1]);
    differs("kind (1 = identifiers)", checked.identifiers ? ARENA_IDENTIFIERS : 0, i32[a + ARENA_FLAGS]);
    differs("source (record)", sourceWord(options), i32[a + ARENA_SOURCE]);
  }

  function sourceWord(options: ImportOptions): number {
    if (options.import !== undefined) return ARENA_SOURCE_USER;
    return options.source === undefined ? 0 : (options.source as ArenaHandle).backing.a;
  }

  /** Fills in a record and enters it in the list. @returns it; 0 = try again; BUSY_RECORD. */
  function enter(
    bytes: Uint8Array,
    options: SharedArenaOptions,
    checked: { quantum: number; identifiers: boolean; qcacheMax: number },
    frame: number,
  ): number {
    if (!locks.acquire(CONTROL, patienceMs)) return BUSY_RECORD;
    try {
      if (find(bytes) !== 0) return 0;
      let a = i32[sb + SB_ARENA_FREE];
      if (a !== 0) {
        set(sb + SB_ARENA_FREE, i32[a + ARENA_NEXT]);
      } else {
        const page = i32[frame + INTENT_EXTENT];
        if (page === 0) return 0;
        a = page >>> 2;
        i32.fill(0, a, a + PAGE_BYTES / 4);
        i32[a + ARENA_HASH_TABLES] = a + ARENA_PAGE_HASH;
        i32[a + ARENA_HASH_ROUND] = HASH_FIRST;
        i32[a + ARENA_TAG_NEXT] = a + ARENA_PAGE_TAGS;
        i32[a + ARENA_TAG_END] = a + PAGE_BYTES / 4;
        i32[a + ARENA_OWN] = 1;
        set(frame + INTENT_EXTENT, 0);
      }
      const serial = i32[sb + SB_ARENA_SERIAL] + 1;
      set(sb + SB_ARENA_SERIAL, serial);
      i32[a + ARENA_FLAGS] = checked.identifiers ? ARENA_IDENTIFIERS : 0;
      i32[a + ARENA_SERIAL] = serial;
      i32[a + ARENA_SOURCE] = sourceWord(options);
      i32[a + ARENA_CLOSER] = 0;
      i32[a + ARENA_QCACHE_SIZES] = 0;
      f64.fill(0, (a + ARENA_QUANTUM) >> 1, (a + NUMBERS_END) >> 1);
      f64[(a + ARENA_QUANTUM) >> 1] = checked.quantum;
      f64[(a + ARENA_QCACHE_MAX) >> 1] = checked.qcacheMax;
      f64[(a + ARENA_LIMIT) >> 1] = options.limit ?? 0;
      f64[(a + ARENA_IMPORT_MIN) >> 1] = options.importMin ?? 0;
      i32[a + ARENA_NAME_LENGTH] = bytes.length;
      u8.set(bytes, (a + ARENA_NAME) << 2);
      if (options.span !== undefined) engine.spans.insert(a, 0, options.span.start, options.span.size, TAG_SPAN);
      set(a + ARENA_NEXT, firstArena());
      set(sb + SB_ARENAS, a);
      set(a + ARENA_STATE, ARENA_STATE_LIVE);
      commit();
      return a;
    } finally {
      locks.release();
    }
  }

  function open(name: string, functions: ArenaFunctions = {}): Arena {
    const a = find(encode(name));
    if (a === 0) throw new UmaError("ERR_VMEM_NO_ARENA", `the memory has no arena "${String(name)}"`, { zone: String(name) });
    return handleFor(a, functions);
  }

  /** The one handle that this thread has of an arena; functions that come later are taken in. */
  function handleFor(a: number, functions: ArenaFunctions): ArenaHandle {
    const known = handles.get(a);
    if (known !== undefined && known.serial === i32[a + ARENA_SERIAL]) {
      if (functions.import !== undefined) known.handle.wire(functions);
      if (functions.reclaim !== undefined) known.handle.setReclaim(functions.reclaim);
      return known.handle;
    }
    const source = i32[a + ARENA_SOURCE];
    const options: ArenaOptions = {
      ...(functions.import === undefined ? {} : { import: functions.import }),
      ...(functions.release === undefined ? {} : { release: functions.release }),
      ...(functions.importAligned === undefined ? {} : { importAligned: functions.importAligned }),
      ...(functions.reclaim === undefined ? {} : { reclaim: functions.reclaim }),
      ...(source > 0 ? { source: at(source) } : {}),
    };
    const handle = new ArenaHandle(createSharedBacking(floor, heap, engine, a, services), {
      name: nameAt(a),
      // The heap's handle is made before the heap is.
      quantum: a === heap.arena ? PAGE_BYTES : f64[(a + ARENA_QUANTUM) >> 1],
      identifiers: (i32[a + ARENA_FLAGS] & ARENA_IDENTIFIERS) !== 0,
      qcacheMax: f64[(a + ARENA_QCACHE_MAX) >> 1],
      options,
      porterFor,
    });
    handle.wire(options);
    handles.set(a, { serial: i32[a + ARENA_SERIAL], handle });
    if (handle.qcacheMax > 0 && hooks.quantumCache !== null) handle.cache = hooks.quantumCache(handle);
    return handle;
  }

  function at(a: number): ArenaHandle {
    return handleFor(a, {});
  }

  function porterFor(handle: ArenaHandle, options: ImportOptions): Porter | null {
    checkSource(handle, options);
    const { source } = options;
    if (source !== undefined && (!(source instanceof ArenaHandle) || source.backing.memory !== floor)) {
      throw optionError("source", source, "an arena of the same memory, as this thread has it open", handle.name);
    }
    // The record says where an arena imports from; a thread that opens it without functions must not change that.
    const word = sourceWord(options);
    if (handle.backing.isAlive() && i32[handle.backing.a + ARENA_SOURCE] !== word && word !== 0)
      i32[handle.backing.a + ARENA_SOURCE] = word;
    if (options.import !== undefined) {
      return createUserPorter(floor, handle, options.import, options.release, options.importAligned === true);
    }
    return source === undefined ? null : createArenaPorter(floor, handle, source as ArenaHandle);
  }

  function hasChildren(a: number): boolean {
    for (let child = firstArena(); child !== 0; child = i32[child + ARENA_NEXT]) {
      if (i32[child + ARENA_STATE] !== ARENA_STATE_FREE && i32[child + ARENA_SOURCE] === a) return true;
    }
    return a === heap.arena;
  }

  function retire(a: number): void {
    if (!locks.acquire(CONTROL, patienceMs)) throw busy(nameAt(a));
    try {
      let link = sb + SB_ARENAS;
      while (i32[link] !== a && i32[link] !== 0) link = i32[link] + ARENA_NEXT;
      if (i32[link] === 0) return;
      set(link, i32[a + ARENA_NEXT]);
      set(a + ARENA_NEXT, i32[sb + SB_ARENA_FREE]);
      set(sb + SB_ARENA_FREE, a);
      set(a + ARENA_STATE, ARENA_STATE_FREE);
      set(a + ARENA_SOURCE, 0);
      commit();
    } finally {
      locks.release();
    }
    handles.delete(a);
  }

  function list(): string[] {
    const names: string[] = [];
    for (let a = firstArena(); a !== 0; a = i32[a + ARENA_NEXT]) if (i32[a + ARENA_STATE] === ARENA_STATE_LIVE) names.push(nameAt(a));
    return names.reverse();
  }

  function finishFrame(frame: number): boolean {
    const outer = finishing;
    finishing = true;
    try {
      if (i32[frame + SPAN_HELD] !== 0 && !sendHome(frame)) return false;
    } finally {
      finishing = outer;
    }
    f64[(frame + SPAN_START) >> 1] = 0;
    f64[(frame + SPAN_SIZE) >> 1] = 0;
    return true;
  }

  function sendHome(frame: number): boolean {
    const start = f64[(frame + SPAN_START) >> 1];
    const size = f64[(frame + SPAN_SIZE) >> 1];
    const source = i32[frame + SPAN_SOURCE];
    if (source > 0) return giveSpan(at(source), start, size, frame);
    const a = i32[frame + SPAN_ARENA];
    // A user's span: back into the arena, whose threads have the functions. If its release was called, it is gone.
    if (source === SOURCE_RELEASED || source !== SOURCE_USER || i32[a + ARENA_STATE] !== ARENA_STATE_LIVE) {
      i32[frame + SPAN_HELD] = 0;
      return true;
    }
    return putBack(a, start, size, frame);
  }

  function putBack(a: number, start: number, size: number, frame: number): boolean {
    const { backing } = at(a);
    for (;;) {
      if (!backing.enter(true)) return false;
      let want: number;
      try {
        want = engine.wants(a, commit);
        if (want !== WANTS_TAGS) {
          const after = engine.spans.placeFor(a, start, size);
          if (after !== OVERLAPS) engine.spans.insert(a, after, start, size, TAG_SPAN_IMPORTED);
          set(frame + SPAN_HELD, 0);
          commit();
          return true;
        }
      } finally {
        backing.leave();
      }
      if (backing.provide(want, true) !== PROVIDED) return false;
    }
  }

  function recover(name: number): ArenaLeftover[] | null {
    const left: ArenaLeftover[] = [];
    let next = 0;
    for (let a = firstArena(); a !== 0; a = next) {
      next = i32[a + ARENA_NEXT];
      if (i32[a + ARENA_STATE] === ARENA_STATE_DYING && i32[a + ARENA_CLOSER] === name) {
        try {
          dismantle(at(a));
          retire(a);
        } catch {
          return null;
        }
        continue;
      }
      if (!sweep(a, name, left)) return null;
    }
    return left;
  }

  /** Finds what the dead worker had allocated without the lock, and makes it nobody's under it, one by one. */
  function sweep(a: number, name: number, left: ArenaLeftover[]): boolean {
    if (i32[a + ARENA_SPAN_FIRST] === 0 || i32[a + ARENA_STATE] !== ARENA_STATE_LIVE) return true;
    const { backing, walked } = walkable(a);
    // The lock once: whoever died in the middle of a change, and is not recovered yet, must be so first.
    if (!backing.enter(true)) return false;
    backing.leave();
    const walker = createWalker(walked, 0);
    while (walker.next()) {
      if (walker.found.owner !== name) continue;
      const { start } = walker.found;
      if (!backing.enter(true)) return false;
      try {
        const tag = engine.segments.lookup(a, start);
        if (tag === 0 || i32[tag + TAG_OWNER] !== name) continue;
        set(tag + TAG_OWNER, MARK_ORPHAN);
        commit();
        left.push({ arena: nameAt(a), start, size: walker.found.size });
      } finally {
        backing.leave();
      }
    }
    return !walker.hasGaps();
  }

  function walkable(a: number): { backing: ArenaHandle["backing"]; walked: Walked } {
    const handle = at(a);
    return { backing: handle.backing, walked: walkedOf(handle) };
  }

  /** Each run of the quantum caches has its page, which says so. */
  function verifyRuns(a: number, say: (problem: string) => void): void {
    const { pageTable } = floor.geometry;
    // The arena's own check has bounded the list; what it found wrong may still lead astray.
    let left = i32[a + ARENA_SEGMENTS];
    for (let tag = i32[a + ARENA_FIRST]; tag > 0 && left > 0; tag = i32[tag + TAG_NEXT], left--) {
      if (i32[tag + TAG_KIND] !== TAG_SEGMENT_CACHE) continue;
      const page = i32[tag + TAG_SHADOW];
      const start = f64[(tag + TAG_START) >> 1];
      const stands = page > 0 && f64[page >> 3] === start && i32[pageTable + ((page >>> PAGE_SHIFT) << 2) + PTE_TAG] !== 0;
      if (!stands) say(`arena "${nameAt(a)}": no page stands for the run of caches at ${start}`);
    }
  }

  function verify(say: (problem: string) => void): number {
    let pages = 0;
    for (const first of [firstArena(), i32[sb + SB_ARENA_FREE]]) {
      for (let a = first; a !== 0; a = i32[a + ARENA_NEXT]) {
        const live = first === firstArena();
        pages += i32[a + ARENA_OWN];
        if (i32[a + ARENA_LOCK] !== 0) say(`the lock of arena "${nameAt(a)}" is held by ${i32[a + ARENA_LOCK]}`);
        if (!live && i32[a + ARENA_SPAN_FIRST] !== 0) say(`the free arena record at ${a} has spans`);
        if (live && i32[a + ARENA_STATE] !== ARENA_STATE_LIVE) say(`arena "${nameAt(a)}" is in state ${i32[a + ARENA_STATE]}`);
        if (live) for (const problem of at(a).verify()) say(problem);
        if (live) verifyRuns(a, say);
        if (live && i32[a + ARENA_SOURCE] === heap.arena) pages += at(a).stats().mem_import / PAGE_BYTES;
      }
    }
    return pages;
  }

  return {
    heap: at(heap.arena),
    create,
    open,
    list,
    hooks,
    at,
    finishFrame,
    recover,
    verify,
  };
}

const BUSY_RECORD = -1;
/** Numbers of a control block end before this word. */
const NUMBERS_END = 70;
