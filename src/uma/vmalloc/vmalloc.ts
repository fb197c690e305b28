/**
 * vmalloc: one stretch of addresses over pages from anywhere in the heap.
 *
 * A heap that has lived for a while has free pages and no long free stretch. An area here takes pages wherever they lie, as many in a
 * row as there are, at the worst one by one, and maps them side by side; the price is that its addresses mean nothing to a typed
 * array: every access goes through the page table (three loads), or through {@link Vmalloc.pieces}, which gives the stretches of the
 * memory behind a range, for use without a copy.
 *
 * When not to use it: for one page, which needs no page table; for what fits a free stretch, which `malloc` gives directly; and
 * wherever the work can be done a page at a time. It is right for a large buffer that is used in sequence and must look like one.
 *
 * Sizes are rounded up to pages. There is a guard page in front of each area, so what runs out of an area at either end is refused.
 */
import { optionError } from "../../backend/memory/errors.ts";
import { MAP_IO, MAP_LIVE, MAP_NOTE, MAP_TABLE_SPAN, MAP_WHAT, MARK_ORPHAN, PAGE_BYTES, VMAP_START } from "../../backend/memory/layout.ts";
import { slotOf } from "../../backend/memory/names.ts";
import type { Core } from "../core.ts";
import { EMPTY } from "../outcome.ts";
import type { Uma } from "../uma.ts";
import { callerText } from "../sites.ts";
import { type MappedAccess, createAccess } from "./access.ts";
import { MAP_MOST_BYTES } from "./page-table.ts";

/** A line of vmallocinfo. */
export interface AreaInfo {
  readonly address: number;
  readonly bytes: number;
  readonly pages: number;
  readonly kind: "vmalloc" | "ioremap";
  /** Slot of the worker whose it is; 127: that worker is dead. */
  readonly owner: number;
  /** "function file:line" of whoever mapped it; "" where that was not asked to be noted ({@link VmallocOptions.callers}). */
  readonly caller: string;
}

export interface VmallocOptions {
  /**
   * Bytes of addresses: a multiple of 2 MiB up to 2016 MiB. Decided by whoever comes first; later openers find what there is.
   * Default four times the memory, at least 64 MiB.
   */
  readonly bytes?: number;
  /** An area of this many bytes or more, or of one page only, is warned of, once for each reason and thread. Default 1 MiB; 0 = never. */
  readonly warnBytes?: number;
  /** Notes function, file and line of whoever maps an area in this thread, for vmallocinfo: a stack each time. Default false. */
  readonly callers?: boolean;
  /** Where warnings go; default console.warn. */
  readonly warn?: (message: string) => void;
}

export interface VmallocRequest {
  /** Never waits, not even for a lock: not for that of a page table either. */
  readonly nowait?: boolean;
  /** All bytes 0. */
  readonly zero?: boolean;
}

export interface VmallocStatistics {
  readonly areas: number;
  /** Bytes of their pages, and addresses in use with their guard pages. */
  readonly bytes: number;
  readonly used: number;
  readonly total: number;
  /** Tables of the page table. */
  readonly tables: number;
}

export interface Vmalloc extends MappedAccess {
  /** Mapped addresses lie in [start, end): behind every byte address. */
  readonly start: number;
  readonly end: number;
  /**
   * Maps `size` bytes, rounded up to pages.
   * @returns the address; 0 when there are no pages or no addresses (`uma.lastFailure`: EMPTY, BUSY).
   * @throws UmaError ERR_UMA_OPTION.
   */
  alloc(size: number, request?: VmallocRequest): number;
  /**
   * Gives an area back, whoever mapped it; 0 is ignored. Never fails for want of a lock: what cannot be finished is finished later.
   * @throws UmaError ERR_UMA_ADDRESS (half an area, no area, one freed before), ERR_VMEM_KIND (an ioremap's); nothing has changed then.
   */
  free(p: number): void;
  /** Bytes of the area that begins at `p`. @throws UmaError ERR_UMA_ADDRESS. */
  sizeOf(p: number): number;
  /** All areas, in the order of their addresses. Holds no lock, neither while it runs nor between two lines; /proc/vmallocinfo. */
  info(): Generator<AreaInfo, void, void>;
  stats(): VmallocStatistics;
}

const MOST_BYTES = MAP_MOST_BYTES;
const LEAST_BYTES = 32 * MAP_TABLE_SPAN;
const WARN_BYTES = 2 ** 20;

/**
 * Opens the mapped addresses of a memory in this thread, making them if nobody has yet: two pages of the heap, and one more for each
 * 2 MiB of addresses that are ever used.
 * @throws UmaError ERR_UMA_OPTION; ERR_UMA_EMPTY, ERR_UMA_BUSY.
 */
export function openVmalloc(uma: Uma, options: VmallocOptions = {}): Vmalloc {
  const { core } = uma;
  const { areas } = core;
  areas.open(checkBytes(options.bytes, core));
  const { i32 } = core.floor.cells;
  const { heapEnd } = core.floor.geometry;
  const entryOf = (p: number): number => areas.table.entryOf(p);
  const START = VMAP_START;
  const END = START + areas.total();
  const access = createAccess(core, END);
  const { warnBytes = WARN_BYTES, callers = false, warn = (message: string): void => console.warn(message) } = options;
  const warned = new Set<string>();

  function checkSize(size: number, what: string): number {
    if (!Number.isSafeInteger(size) || size < 1 || size > heapEnd) throw optionError(what, size, `an integer from 1 to ${heapEnd} (bytes)`);
    return Math.ceil(size / PAGE_BYTES);
  }

  function alloc(size: number, { nowait = false, zero = false }: VmallocRequest = {}): number {
    const pages = checkSize(size, "size of vmalloc");
    warnOf(pages);
    const p = nowait ? hurried(pages) : patient(pages);
    if (p !== 0 && zero) access.fill(p, 0, pages * PAGE_BYTES);
    return p;
  }

  function patient(pages: number): number {
    const request = { pages, foreign: null, caller: siteOfCaller(core, callers), mayWait: true };
    let p = areas.make(request);
    // Memory that zones hold in reserve is memory all the same.
    if (p === 0 && areas.outcome() === EMPTY && uma.reclaim("drain").slabs > 0) p = areas.make(request);
    core.failure = p === 0 ? areas.outcome() : core.failure;
    return p;
  }

  function hurried(pages: number): number {
    const { locks } = core.floor;
    locks.hurry++;
    try {
      const p = areas.make({ pages, foreign: null, caller: siteOfCaller(core, callers), mayWait: false });
      core.failure = p === 0 ? areas.outcome() : core.failure;
      return p;
    } finally {
      locks.hurry--;
    }
  }

  function warnOf(pages: number): void {
    if (warnBytes <= 0) return;
    const bytes = pages * PAGE_BYTES;
    const why =
      pages === 1
        ? "one page needs no mapping: take a page (get_free_pages, malloc)"
        : bytes >= warnBytes
          ? "single pages, worked through one by one, would do and cost less; map only what must look like one stretch"
          : "";
    if (why === "" || warned.has(why)) return;
    warned.add(why);
    warn(`vmalloc of ${bytes} bytes: ${why}`);
  }

  function* info(): Generator<AreaInfo, void, void> {
    for (let guard = areas.next(START - PAGE_BYTES); guard !== 0; guard = areas.next(guard)) {
      const header = entryOf(guard);
      const what = i32[header + MAP_WHAT];
      const owner = i32[header + MAP_NOTE];
      if ((what & MAP_LIVE) === 0) continue;
      const pages = areas.pagesIn(what);
      const caller = areas.callerOf(guard + PAGE_BYTES);
      yield {
        address: guard + PAGE_BYTES,
        bytes: pages * PAGE_BYTES,
        pages,
        kind: (what & MAP_IO) === 0 ? "vmalloc" : "ioremap",
        owner: owner === MARK_ORPHAN ? MARK_ORPHAN : slotOf(owner),
        caller: caller === 0 ? "" : core.sites.textOf(caller),
      };
    }
  }

  function sizeOf(p: number): number {
    const header = areas.headerAt(p);
    if (header === 0 || (i32[header + MAP_WHAT] & MAP_LIVE) === 0) throw areas.refusal(p, "sizeOf");
    return areas.pagesIn(i32[header + MAP_WHAT]) * PAGE_BYTES;
  }

  function stats(): VmallocStatistics {
    let count = 0;
    let pages = 0;
    let used = 0;
    for (const area of info()) {
      count++;
      // The guard page; over a buffer from elsewhere, one more at the end.
      used += area.bytes + (area.kind === "vmalloc" ? PAGE_BYTES : 2 * PAGE_BYTES);
      if (area.kind === "vmalloc") pages += area.pages;
    }
    return { areas: count, bytes: pages * PAGE_BYTES, used, total: END - START, tables: areas.table.tables() };
  }

  return {
    ...access,
    start: START,
    end: END,
    alloc,
    free(p) {
      if (p !== 0) areas.remove(p, false);
    },
    sizeOf,
    info,
    stats,
  };
}

/** Site of whoever called the library, to be noted with an area; 0 = not to be. Takes the control lock for a new one. */
export function siteOfCaller(core: Core, wanted: boolean): number {
  return wanted ? core.sites.idOf(callerText()) : 0;
}

function checkBytes(given: number | undefined, core: Core): number {
  const { heapEnd } = core.floor.geometry;
  const roomy = Math.ceil((4 * heapEnd) / MAP_TABLE_SPAN) * MAP_TABLE_SPAN;
  const bytes = given ?? Math.min(MOST_BYTES, Math.max(LEAST_BYTES, roomy));
  if (Number.isInteger(bytes) && bytes >= MAP_TABLE_SPAN && bytes <= MOST_BYTES && bytes % MAP_TABLE_SPAN === 0) return bytes;
  throw optionError("bytes of vmalloc", bytes, `a multiple of ${MAP_TABLE_SPAN} from ${MAP_TABLE_SPAN} to ${MOST_BYTES} (bytes)`);
}
