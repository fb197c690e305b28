/**
 * Local arenas: tags in a private buffer of one thread, no memory of zalloc's needed.
 *
 * The buffer holds what a page of the shared memory holds for a shared arena: journal, control block, hash, tags. It doubles when
 * tags run out; indices stay what they are, only the views and the engine over them are made anew. The journal undoes what an
 * exception (a stack overflow may come at any call) left half done.
 *
 * Unlike illumos, 0 is an integer like any other, and −1 means none.
 */
import { UmaError, optionError } from "../memory/errors.ts";
import { createJournal, type Journal } from "../memory/journal.ts";
import {
  ARENA_HASH_ROUND,
  ARENA_HASH_TABLES,
  ARENA_QCACHE_MAX,
  ARENA_QUANTUM,
  ARENA_STATE,
  ARENA_STATE_LIVE,
  ARENA_TAG_END,
  ARENA_TAG_NEXT,
  ARENA_WORDS,
  SLOT_JOURNAL_COUNT,
  SLOT_WORDS,
} from "../memory/layout.ts";
import type { Arena, ArenaOptions, ImportFunction, ImportOptions } from "./arena.ts";
import { type Backing, NOT_PROVIDED, PROVIDED, type Porter, type SpanInHand } from "./backing.ts";
import { NONE, type Engine, WANTS_TABLE, createEngine } from "./engine.ts";
import { ArenaHandle } from "./handle.ts";
import { LocalCache } from "./local-cache.ts";
import { QCACHE_SIZES } from "./quantum-cache.ts";
import { isPowerOfTwo } from "./request.ts";
import { HASH_FIRST, firstOfTable } from "./hash.ts";

const SLOT = 0;
const A = SLOT_WORDS;
const HASH = A + ARENA_WORDS;
const TAGS = HASH + HASH_FIRST;
const FIRST_WORDS = 1024;
/** Words at most: an index is an int32. */
const MOST_WORDS = 2 ** 29;

/** The arenas that import from an arena, and which one an arena imports from. */
const children = new WeakMap<Arena, Set<Arena>>();
const parent = new WeakMap<Arena, Arena>();

/** Notes that `child` imports from `source` now, and from nobody else. */
function adopt(child: Arena, source: Arena | null): void {
  const before = parent.get(child);
  if (before !== undefined) children.get(before)?.delete(child);
  parent.delete(child);
  if (source === null) return;
  parent.set(child, source);
  const all = children.get(source);
  if (all === undefined) children.set(source, new Set([child]));
  else all.add(child);
}

/**
 * Makes an arena of this thread.
 * @param name - for errors, statistics and dumps; need not be unique.
 * @throws UmaError ERR_UMA_OPTION, ERR_VMEM_SPAN, ERR_VMEM_CIRCLE.
 * @source illumos vmem.c vmem_create, vmem_xcreate; FreeBSD subr_vmem.c vmem_create
 */
export function createLocalArena(name: string, options: ArenaOptions = {}): Arena {
  const checked = checkArenaOptions(name, options);
  const backing = createBacking(checked.quantum, checked.qcacheMax, () => handle);
  const handle: ArenaHandle = new ArenaHandle(backing, { ...checked, name, options, porterFor: createLocalPorter });
  handle.wire(options);
  handle.configure(options);
  if (checked.qcacheMax > 0) {
    handle.cache = new LocalCache({
      name,
      ...checked,
      takeRun: (size, align, mayWait) => handle.takeRun(size, align, mayWait),
      giveRun: (start, size) => handle.giveRun(start, size),
    });
  }
  return handle;
}

/** Checks what every arena is asked for, whatever it stands on. */
export function checkArenaOptions(name: unknown, options: ArenaOptions): { quantum: number; identifiers: boolean; qcacheMax: number } {
  if (typeof name !== "string" || name === "") throw optionError("name", name, "a string that is not empty");
  if (options === null || typeof options !== "object") throw optionError("options", options, "an object", name);
  const { quantum = 1, identifiers = false, qcacheMax = 0 } = options;
  if (!isPowerOfTwo(quantum)) throw optionError("quantum", quantum, "a power of two from 1 to 2^52", name);
  if (typeof identifiers !== "boolean") throw optionError("identifiers", identifiers, "true or false", name);
  if (!Number.isSafeInteger(qcacheMax) || qcacheMax < 0 || qcacheMax > QCACHE_SIZES * quantum || qcacheMax % quantum !== 0) {
    throw optionError("qcacheMax", qcacheMax, `a multiple of the quantum from 0 (none) to ${QCACHE_SIZES} quanta`, name);
  }
  for (const key of ["import", "release", "reclaim"] as const) {
    if (options[key] !== undefined && typeof options[key] !== "function") throw optionError(key, options[key], "a function", name);
  }
  return { quantum, identifiers, qcacheMax };
}

/** Refuses a source that would make a circle. */
export function checkSource(handle: ArenaHandle, options: ImportOptions): void {
  for (let source: Arena | null = options.source ?? null; source !== null; source = source.source) {
    if (source === handle) {
      throw new UmaError(
        "ERR_VMEM_CIRCLE",
        `arena "${handle.name}" cannot import from "${options.source?.name}": it imports from this one`,
        {
          zone: handle.name,
        },
      );
    }
  }
  checkImport(handle.name, handle.identifiers, options);
}

/** Refuses what no arena of that kind may import from. */
export function checkImport(name: string, identifiers: boolean, options: ImportOptions): void {
  if (identifiers && options.source !== undefined && !options.source.identifiers) {
    throw optionError("source", options.source, "an arena of identifiers, as this one is", name);
  }
  if (options.release !== undefined && options.import === undefined) {
    throw optionError("release", options.release, "given together with import", name);
  }
}

function createBacking(quantum: number, qcacheMax: number, arena: () => Arena): Backing {
  let words = FIRST_WORDS;
  let i32!: Int32Array;
  let f64!: Float64Array;
  let journal!: Journal;
  let engine!: Engine;
  let alive = true;
  let sleepers: (() => void)[] = [];
  view(new ArrayBuffer(words * 4));
  f64[(A + ARENA_QUANTUM) >> 1] = quantum;
  f64[(A + ARENA_QCACHE_MAX) >> 1] = qcacheMax;
  i32[A + ARENA_STATE] = ARENA_STATE_LIVE;
  i32[A + ARENA_HASH_TABLES] = HASH;
  i32[A + ARENA_HASH_ROUND] = HASH_FIRST;
  i32[A + ARENA_TAG_NEXT] = TAGS;
  i32[A + ARENA_TAG_END] = words;

  function view(buffer: ArrayBuffer): void {
    i32 = new Int32Array(buffer);
    f64 = new Float64Array(buffer);
    const cells = { i32, u8: new Uint8Array(buffer), f64 };
    journal = createJournal(cells, SLOT);
    engine = createEngine({ cells, journal });
  }

  /** Makes room for `more` words behind the tags. */
  function grow(more: number): boolean {
    let wider = words;
    while (wider - i32[A + ARENA_TAG_NEXT] < more) wider *= 2;
    if (wider > MOST_WORDS) return false;
    let buffer: ArrayBuffer;
    try {
      buffer = new ArrayBuffer(wider * 4);
    } catch {
      return false;
    }
    new Int32Array(buffer).set(i32);
    words = wider;
    view(buffer);
    i32[A + ARENA_TAG_END] = words;
    return true;
  }

  function provide(want: number): number {
    const table = want === WANTS_TABLE ? engine.segments.hash.missingTable(A) : -1;
    const size = table >= 0 ? firstOfTable(table) : FIRST_WORDS / 2;
    const room = i32[A + ARENA_TAG_END] - i32[A + ARENA_TAG_NEXT];
    if (room < size + FIRST_WORDS / 2 && !grow(size + FIRST_WORDS / 2)) return NOT_PROVIDED;
    if (table >= 0) {
      // What lies behind the tags has never been written to: the table is empty as it is.
      i32[A + ARENA_HASH_TABLES + table] = i32[A + ARENA_TAG_NEXT];
      i32[A + ARENA_TAG_NEXT] += size;
    }
    return PROVIDED;
  }

  function undo(): void {
    if (i32[SLOT + SLOT_JOURNAL_COUNT] !== 0) journal.undo(SLOT);
  }

  function sleepAsync(_seq: number, ms: number): { done: Promise<void>; cancel: () => void } {
    let cancel = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      const timer = setTimeout(() => cancel(), Math.min(ms, 0x7fffffff));
      cancel = () => {
        clearTimeout(timer);
        sleepers = sleepers.filter((wakeUp) => wakeUp !== cancel);
        resolve();
      };
      sleepers.push(cancel);
    });
    return { done, cancel };
  }

  return {
    a: A,
    serial: 0,
    home: 0,
    owner: 0,
    memory: null,
    guarded: false,
    hold: () => undefined,
    unhold: () => undefined,
    isHomeOf: () => true,
    engine: () => engine,
    begin: undo,
    hurry: () => undefined,
    enter: () => true,
    leave: undo,
    commit: () => journal.commit(),
    isAlive: () => alive,
    provide,
    wake: () => {
      for (const wakeUp of sleepers) wakeUp();
    },
    // Nobody else could free while this thread sleeps.
    sleep: () => false,
    sleepAsync,
    claim: () => (alive ? ((children.get(arena())?.size ?? 0) > 0 ? "children" : "claimed") : "ended"),
    unclaim: () => undefined,
    beginEnd: (mayEnd) => {
      mayEnd();
      return true;
    },
    isEnding: () => alive,
    end: () => {
      alive = false;
      adopt(arena(), null);
    },
  };
}

/** Carries spans by calling functions: the user's, or the source's alloc and free. */
export function createLocalPorter(handle: ArenaHandle, options: ImportOptions): Porter | null {
  checkSource(handle, options);
  const { source } = options;
  adopt(handle, source ?? null);
  let busy = false;
  const fetchSpan: ImportFunction | null =
    options.import ??
    (source === undefined
      ? null
      : (size, { mayWait }) => {
          const start = source instanceof ArenaHandle ? source.obtain(size, mayWait) : source.tryAlloc(size);
          busy = start < 0 && source.lastFailure === "BUSY";
          return start;
        });
  if (fetchSpan === null) return null;
  const giveSpan = options.import === undefined && source !== undefined ? source.free.bind(source) : options.release;
  return {
    unit: options.import === undefined && source !== undefined ? source.quantum : handle.quantum,
    aligned: options.importAligned === true,
    canRelease: giveSpan !== undefined,
    fetch: (size, align, phase, mayWait): SpanInHand | null => {
      busy = false;
      const given = fetchSpan(size, { arena: handle.name, align, phase, mayWait });
      const span = typeof given === "number" ? { start: given, size, frame: 0 } : { start: given.start, size: given.size, frame: 0 };
      return checkSpan(handle.name, span) ? span : null;
    },
    wasBusy: () => busy,
    land: () => undefined,
    landed: () => undefined,
    lift: (start, size) => ({ start, size, frame: 0 }),
    giveBack: ({ start, size }) => giveSpan?.(start, size),
    putOff: ({ start, size }) => giveSpan?.(start, size),
  };
}

/** Whether an import function gave a span. @throws UmaError ERR_VMEM_SPAN when it gave neither a span nor −1. */
export function checkSpan(arena: string, { start, size }: { start: number; size: number }): boolean {
  if (start === NONE) return false;
  if (Number.isSafeInteger(start) && start >= 0 && Number.isSafeInteger(size) && size > 0) return true;
  throw new UmaError(
    "ERR_VMEM_SPAN",
    `the import function of arena "${arena}" returned ${String(start)}; a start from 0 on, or −1 for none`,
    {
      zone: arena,
    },
  );
}
