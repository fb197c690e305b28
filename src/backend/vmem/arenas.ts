/**
 * The arenas of a memory: how a thread makes, finds and opens them, and checks them all.
 *
 * Their records are in arena-records.ts, what is done about them when a worker dies in arena-recovery.ts. Any thread opens an arena
 * by its name. Functions (import, release, reclaim) cannot be shared: each thread brings its own; one without them allocates what
 * there is, and leaves empty spans to those that have them.
 */
import { UmaError, optionError } from "../memory/errors.ts";
import type { Floor } from "../memory/floor.ts";
import {
  ARENA_FIRST,
  ARENA_FLAGS,
  ARENA_IDENTIFIERS,
  ARENA_LOCK,
  ARENA_NEXT,
  ARENA_OWN,
  ARENA_QCACHE_MAX,
  ARENA_QUANTUM,
  ARENA_SEGMENTS,
  ARENA_SERIAL,
  ARENA_SOURCE,
  ARENA_SPAN_FIRST,
  ARENA_STATE,
  ARENA_STATE_FREE,
  ARENA_STATE_LIVE,
  INTENT_EXTENT,
  INTENT_PAGE,
  PAGE_BYTES,
  PAGE_SHIFT,
  PTE_TAG,
  SB_ARENA_FREE,
  TAG_KIND,
  TAG_NEXT,
  TAG_SEGMENT_CACHE,
  TAG_SHADOW,
  TAG_START,
} from "../memory/layout.ts";
import type { Arena, ArenaOptions, ImportOptions } from "./arena.ts";
import { type Checked, type Found, createArenaRecords } from "./arena-records.ts";
import { type ArenaRecovery, createArenaRecovery } from "./arena-recovery.ts";
import type { Porter } from "./backing.ts";
import { destroyed, stillEnding } from "./complaints.ts";
import { createEngine } from "./engine.ts";
import { ArenaHandle } from "./handle.ts";
import { HEAP_BUSY, type Heap, NO_PAGES } from "./heap.ts";
import { checkArenaOptions, checkImport, checkSource } from "./local.ts";
import type { QuantumCache } from "./quantum-cache.ts";
import { MOST_END } from "./request.ts";
import { createSharedBacking } from "./shared-backing.ts";
import { createArenaPorter, createUserPorter } from "./shared-porter.ts";

export type { ArenaLeftover } from "./arena-recovery.ts";

/** Options of a shared arena: `source` is another shared arena of the same memory, or "heap" by {@link Arenas.heap}. */
export type SharedArenaOptions = ArenaOptions;
/** What a thread brings along when it opens an arena: functions cannot be shared. */
export type ArenaFunctions = Pick<ArenaOptions, "import" | "release" | "importAligned" | "reclaim">;

export interface Arenas {
  /** The heap itself, as an arena: integers are byte addresses, the quantum is a page. */
  readonly heap: Arena;
  /**
   * Makes an arena in the memory, or opens the one of that name if it agrees; only its maker adds the span.
   * @throws UmaError ERR_UMA_OPTION, also for the names "heap" and "vmalloc"; ERR_VMEM_MISMATCH; ERR_VMEM_NOTAGS when there is no memory for its record; ERR_VMEM_BUSY.
   */
  create(name: string, options?: SharedArenaOptions): Arena;
  /** Opens an arena by its name. @throws UmaError ERR_VMEM_NO_ARENA. */
  open(name: string, functions?: ArenaFunctions): Arena;
  /** Names of the arenas there are. */
  list(): string[];
}

/** What the floors above need beside. */
export interface ArenaSystem extends Arenas, ArenaRecovery {
  /** Completes frames that this worker had to leave; set by whoever knows all kinds of frames. */
  hooks: { finishFrames: () => void; quantumCache: ((arena: ArenaHandle) => QuantumCache | null) | null };
  /** The handle of the arena at word `a`. */
  at(a: number): ArenaHandle;
  /** Keeps a name for the library's own use: only by what this returns is an arena of that name made. */
  reserve(name: string): (options: SharedArenaOptions) => Arena;
  /** Checks all arenas but the heap. @returns pages of the heap that they have, by record and by import. */
  verify(say: (problem: string) => void): number;
}

export function createArenas(floor: Floor, heap: Heap): ArenaSystem {
  const { i32, f64 } = floor.cells;
  const { locks, intents } = floor;
  const engine = createEngine(floor);
  const records = createArenaRecords(floor, heap, engine);
  const handles = new Map<number, { serial: number; handle: ArenaHandle }>();
  const hooks: ArenaSystem["hooks"] = { finishFrames: () => undefined, quantumCache: null };
  const reserved = new Set<string>();
  let finishing = false;
  const recovery = createArenaRecovery(floor, records, engine, { at, quietly });

  /** Completing a frame uses arenas, which look for frames to complete. */
  function quietly<T>(work: () => T): T {
    const outer = finishing;
    finishing = true;
    try {
      return work();
    } finally {
      finishing = outer;
    }
  }

  function finishFrames(): void {
    if (!finishing) quietly(() => hooks.finishFrames());
  }

  function create(name: string, options: SharedArenaOptions = {}): Arena {
    if (reserved.has(name)) throw optionError("name", name, "a name that the memory does not use for an arena of its own", name);
    return make(name, options);
  }

  function reserve(name: string): (options: SharedArenaOptions) => Arena {
    reserved.add(name);
    return (options) => make(name, options);
  }

  function make(name: string, options: SharedArenaOptions): Arena {
    const checked = checkArenaOptions(name, options);
    const bytes = records.encode(name);
    checkShared(name, options, checked);
    begin();
    for (;;) {
      const known = records.find(bytes);
      if (known !== null) {
        const mismatch = records.mismatch(known.a, name, options, checked);
        // Unless somebody has destroyed it just now: then it is made, and what was read may be of the next arena in its record.
        if (records.find(bytes)?.serial !== known.serial) continue;
        if (mismatch !== null) throw mismatch;
        return handleFor(known, options);
      }
      const frame = intents.push(INTENT_PAGE);
      if (i32[floor.cells.base + SB_ARENA_FREE] === 0) {
        const page = heap.alloc(1, 0, frame + INTENT_EXTENT);
        if (page === NO_PAGES || page === HEAP_BUSY) {
          intents.pop(frame);
          throw page === HEAP_BUSY ? busy(name) : noRecord(name);
        }
      }
      const made = records.enter(bytes, options, checked, frame);
      // Not needed in the end: a record was free, or somebody else was faster.
      if (i32[frame + INTENT_EXTENT] === 0 || heap.free(i32[frame + INTENT_EXTENT], frame + INTENT_EXTENT)) intents.pop(frame);
      if (made === "busy") throw busy(name);
      if (made !== null) return handleFor(made, options);
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

  function checkShared(name: string, options: SharedArenaOptions, checked: Checked): void {
    const { source, span } = options;
    if (source !== undefined && (!(source instanceof ArenaHandle) || source.backing.memory !== floor)) {
      throw optionError("source", source, "an arena of the same memory, as this thread has it open", name);
    }
    if (source !== undefined && !source.backing.isAlive()) throw destroyed(source);
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

  function open(name: string, functions: ArenaFunctions = {}): Arena {
    const bytes = records.encode(name);
    // A look without the lock can be led astray by an arena that ends meanwhile.
    const found = records.find(bytes) ?? records.seek(bytes);
    if (found === "busy") throw busy(name);
    if (found === null) throw new UmaError("ERR_VMEM_NO_ARENA", `the memory has no arena "${String(name)}"`, { zone: String(name) });
    return handleFor(found, functions);
  }

  /**
   * The one handle that this thread has of an arena; functions that come later are taken in.
   * @param found - its serial was read before all else: if the record is another's when all is read, the handle is a dead one, and not kept.
   */
  function handleFor({ a, serial }: Found, functions: ArenaFunctions): ArenaHandle {
    const known = handles.get(a);
    if (known !== undefined && known.serial === serial) {
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
    const handle = new ArenaHandle(createSharedBacking(floor, heap, engine, a, serial, { finishFrames, claim: records.claim, retire }), {
      name: records.nameAt(a),
      // The heap's handle is made before the heap is.
      quantum: a === heap.arena ? PAGE_BYTES : f64[(a + ARENA_QUANTUM) >> 1],
      identifiers: (i32[a + ARENA_FLAGS] & ARENA_IDENTIFIERS) !== 0,
      qcacheMax: f64[(a + ARENA_QCACHE_MAX) >> 1],
      options,
      porterFor,
    });
    handle.wire(options);
    if (i32[a + ARENA_SERIAL] === serial && i32[a + ARENA_STATE] !== ARENA_STATE_FREE) handles.set(a, { serial, handle });
    if (handle.qcacheMax > 0 && hooks.quantumCache !== null) handle.cache = hooks.quantumCache(handle);
    return handle;
  }

  function at(a: number): ArenaHandle {
    return handleFor({ a, serial: i32[a + ARENA_SERIAL] }, {});
  }

  function porterFor(handle: ArenaHandle, options: ImportOptions): Porter | null {
    checkSource(handle, options);
    const { source } = options;
    if (source !== undefined && (!(source instanceof ArenaHandle) || source.backing.memory !== floor)) {
      throw optionError("source", source, "an arena of the same memory, as this thread has it open", handle.name);
    }
    // The record says where an arena imports from; a thread that opens it without functions must not change that.
    const word = records.sourceWord(options);
    if (handle.backing.isAlive() && i32[handle.backing.a + ARENA_SOURCE] !== word && word !== 0) {
      if (!records.rewire(handle.backing.a, handle.backing.serial, options)) throw busy(handle.name);
    }
    if (options.import !== undefined) {
      return createUserPorter(floor, handle, options.import, options.release, options.importAligned === true);
    }
    return source === undefined ? null : createArenaPorter(floor, handle, source as ArenaHandle);
  }

  function retire(a: number, serial: number, closer: number): void {
    if (!records.retire(a, serial, closer)) throw stillEnding({ name: records.nameAt(a) });
    if (handles.get(a)?.serial === serial) handles.delete(a);
  }

  function list(): string[] {
    const names: string[] = [];
    for (let a = records.first(); a !== 0; a = i32[a + ARENA_NEXT])
      if (i32[a + ARENA_STATE] === ARENA_STATE_LIVE) names.push(records.nameAt(a));
    return names.reverse();
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
      if (!stands) say(`arena "${records.nameAt(a)}": no page stands for the run of caches at ${start}`);
    }
  }

  function verify(say: (problem: string) => void): number {
    let pages = 0;
    for (const first of [records.first(), i32[floor.cells.base + SB_ARENA_FREE]]) {
      for (let a = first; a !== 0; a = i32[a + ARENA_NEXT]) {
        const live = first === records.first();
        pages += i32[a + ARENA_OWN];
        if (i32[a + ARENA_LOCK] !== 0) say(`the lock of arena "${records.nameAt(a)}" is held by ${i32[a + ARENA_LOCK]}`);
        if (!live && i32[a + ARENA_SPAN_FIRST] !== 0) say(`the free arena record at ${a} has spans`);
        if (live && i32[a + ARENA_STATE] !== ARENA_STATE_LIVE) say(`arena "${records.nameAt(a)}" is in state ${i32[a + ARENA_STATE]}`);
        if (live) for (const problem of at(a).verify()) say(problem);
        if (live) verifyRuns(a, say);
        if (live && i32[a + ARENA_SOURCE] === heap.arena) pages += at(a).stats().mem_import / PAGE_BYTES;
      }
    }
    return pages;
  }

  return { heap: at(heap.arena), create, open, list, hooks, at, reserve, ...recovery, verify };
}
