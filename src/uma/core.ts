/**
 * One attachment, put together: the parts below zones, wired once for one worker in one memory.
 * What zones, recovery, verification and statistics all need stands here, and nothing else.
 */
import type { Floor } from "../backend/memory/floor.ts";
import { MAX_ZONES, SB_DEAD_LINE } from "../backend/memory/layout.ts";
import { createArenaPages } from "../backend/supplier/arena-pages.ts";
import type { PageSupplier } from "../backend/supplier/page-supplier.ts";
import { createRunPages, type RunPages } from "../backend/supplier/run-pages.ts";
import { type ArenaSystem, createArenas } from "../backend/vmem/arenas.ts";
import { createHeap, type Heap } from "../backend/vmem/heap.ts";
import { createCaches, type Caches, type ZoneHandle } from "./cache.ts";
import { createExchange, type Exchange } from "./exchange.ts";
import { makeViews, type Views } from "./hooks.ts";
import { createDepot } from "./depot.ts";
import { createGates, type Gates } from "./gate.ts";
import { createItems, type Items } from "./items.ts";
import { createKegs, type Kegs } from "./keg.ts";
import { OK, type Outcome } from "./outcome.ts";
import { createPools, type Pools } from "./pools.ts";
import { createQueue, type Queue } from "./queue.ts";
import { createSmr, type InnerSmr } from "./smr.ts";
import { createSites, type Sites } from "./sites.ts";
import { createSlabs, type Slabs } from "./slab.ts";
import { type Areas, createAreas } from "./vmalloc/areas.ts";
import type { Zone } from "./zone.ts";

/** Zones with tags below this have a shortcut. */
export const SHORTCUT_TAGS = 1024;

export interface Core {
  readonly floor: Floor;
  readonly heap: Heap;
  readonly arenas: ArenaSystem;
  /** Mapped addresses over scattered pages. */
  readonly areas: Areas;
  readonly pools: Pools;
  readonly slabs: Slabs;
  readonly kegs: Kegs;
  readonly exchange: Exchange;
  readonly caches: Caches;
  readonly gates: Gates;
  readonly items: Items;
  readonly sites: Sites;
  readonly queue: Queue;
  readonly smr: InnerSmr;
  readonly views: Views;
  /** Pages that stand for runs of arenas. */
  readonly runs: RunPages;
  /** The default supplier. */
  readonly arenaPages: PageSupplier;
  /** Zones that this thread has open, by id. */
  readonly open: (Zone | undefined)[];
  /** Items whose free could not be finished: BUSY in this worker's name, done with dtor. Finished at the next slow path. */
  readonly unfinished: { zone: Zone; item: number }[];
  /** Closings of zones in this thread that a lock out of reach has cut short. */
  readonly closings: { zone: number; handle: ZoneHandle | null }[];
  /** Zones in whose queues this thread stands still, although it waits no more: the lock was out of reach. */
  readonly staleWaits: Set<Zone>;
  /** How deep this thread is in ctor and dtor of zones without marks, by id. */
  readonly hookDepth: Int32Array;
  /**
   * What malloc's hot path needs of a zone of its own, found from the tag that the page table shows: {line, shift, unit mask, −} at
   * 4 × tag. Of all other zones, of those opened too late for a place here, and while a zone is off its line, it is the dead line,
   * which is always empty and always full.
   */
  readonly shortcuts: Int32Array;
  /** Why the last try for an item of any zone failed. */
  failure: Outcome;
  /** Ends this thread's waits for a zone that it closes; set by the composition. @returns false when a lock was out of reach. */
  endWaits: (z: Zone) => boolean;
  /** Ends the frees of SMR items that found no bucket, of a zone or all; set by the composition. @returns false when some are left. */
  endLateFrees: (z: Zone | null) => boolean;
  /** False once this worker has detached. */
  attached: boolean;
}

export function createCore(floor: Floor): Core {
  const heap = createHeap(floor);
  const pools = createPools(floor, heap);
  const slabs = createSlabs(floor);
  const views = makeViews(floor.cells.buffer);
  const arenas = createArenas(floor, heap);
  const arenaPages: PageSupplier = createArenaPages(floor, heap, (frame) => runs.giveRun(frame));
  const runs: RunPages = createRunPages(floor, heap, arenas, (zone, frame) => arenaPages.free(zone, frame));
  const kegs = createKegs(floor, heap, pools, slabs, views, arenaPages);
  const smr = createSmr(floor);
  const depot = createDepot(floor, smr);
  const gates = createGates(floor, pools, slabs, kegs, depot, views);
  const exchange = createExchange(floor);
  const caches = createCaches(floor, pools, slabs, kegs, smr, depot, gates, exchange);
  return {
    floor,
    heap,
    arenas,
    areas: createAreas(floor, heap, arenas),
    pools,
    slabs,
    kegs,
    exchange,
    caches,
    gates,
    items: createItems(floor, slabs),
    sites: createSites(floor, heap, slabs),
    queue: createQueue(floor),
    smr,
    views,
    arenaPages,
    runs,
    open: [],
    unfinished: [],
    closings: [],
    staleWaits: new Set(),
    hookDepth: new Int32Array(MAX_ZONES),
    shortcuts: deadShortcuts(floor.cells.base + SB_DEAD_LINE),
    failure: OK,
    endWaits: () => true,
    endLateFrees: () => true,
    attached: true,
  };
}

function deadShortcuts(deadLine: number): Int32Array {
  const shortcuts = new Int32Array(4 * SHORTCUT_TAGS);
  for (let tag = 0; tag < SHORTCUT_TAGS; tag++) shortcuts[4 * tag] = deadLine;
  return shortcuts;
}

/**
 * Ends a thread's part in the memory for good, also where zones could not be closed: their handles point to the dead line, no lock is
 * taken any more, and what had to wait for one is left to whoever recovers the slot.
 */
export function endCore(core: Core): void {
  const { base } = core.floor.cells;
  core.attached = false;
  core.floor.locks.end();
  for (const z of core.open) {
    if (z === undefined) continue;
    z.line = base + SB_DEAD_LINE;
    z.hurt = 0;
    z.closed = true;
  }
  for (let tag = 0; tag < SHORTCUT_TAGS; tag++) core.shortcuts[4 * tag] = base + SB_DEAD_LINE;
  core.open.length = 0;
  core.unfinished.length = 0;
  core.closings.length = 0;
  core.staleWaits.clear();
}

/**
 * Frees what could not be freed when it was, of one zone or all, as far as locks are to be had now: at the first that is not, the
 * rest goes on waiting. @returns false when some of it does.
 */
export function finishUnfinished(core: Core, only: Zone | null = null): boolean {
  const { unfinished } = core;
  for (let n = unfinished.length; n > 0; n--) {
    const entry = unfinished.shift();
    // A hook that runs on the way may have ended some.
    if (entry === undefined) break;
    let done = false;
    try {
      done = (only === null || entry.zone === only) && entry.zone.settle(entry.item);
    } finally {
      if (!done) unfinished.push(entry);
    }
    if (!done && (only === null || entry.zone === only)) return false;
  }
  return true;
}
