/**
 * Statistics, as `vmstat -z` shows them, plus where the memory goes.
 *
 * Reading takes no lock that an allocator wants and walks no list: every figure is a counter, or a sum over the worker slots.
 * While others are at work the figures of one line may be a few operations apart.
 */
import {
  KEG_FREE,
  KEG_HEADER_BYTES,
  KEG_PAGES,
  KEG_RSIZE,
  KEG_SIZE,
  KEG_SLABS,
  KEG_ZONE,
  LINE_ALLOCS,
  LINE_ALLOCS_HIGH,
  LINE_EXCHANGES,
  LINE_FAILS,
  LINE_REMOTE,
  LINE_SLEEPS,
  LINE_TAG,
  PAGE_BYTES,
  STATE_FREE,
  ZONE_BUCKET_CAP,
  ZONE_CONTENTIONS,
  ZONE_DEPOT_ITEMS,
  ZONE_FLAGS,
  ZONE_ITEMS,
  ZONE_KEG,
  ZONE_LIMIT,
  ZONE_PRIMARY,
  ZONE_SLEEPERS,
  ZONE_TAG,
} from "../backend/memory/layout.ts";
import type { Census } from "./census.ts";
import type { Core } from "./core.ts";
import { FLAG_CACHE } from "./definition.ts";
import type { Records } from "./records.ts";
import type { Registry } from "./registry.ts";

/** One zone; `vmstat -z`'s names first. */
export interface ZoneStatistics {
  readonly name: string;
  /** The zone's number in the memory's directory. */
  readonly id: number;
  /** Item size as asked, bytes. */
  readonly size: number;
  /** Items that may be out at a time; 0 = no limit. */
  readonly limit: number;
  /** Items outstanding. */
  readonly used: number;
  /** Items in caches, depot and slabs. */
  readonly free: number;
  /** Successful allocations, and those that failed. */
  readonly requests: number;
  readonly fail: number;
  /** Allocations that had to wait, and workers that wait now. */
  readonly sleep: number;
  readonly sleepers: number;
  /** Frees of items that another worker had allocated. */
  readonly xdomain: number;
  /** Item size as laid out, bytes. */
  readonly rsize: number;
  readonly slabs: number;
  readonly pages: number;
  /** Bytes of pages and of slab headers. */
  readonly bytes: number;
  readonly headerBytes: number;
  /** Where the free items are. */
  readonly freeInSlabs: number;
  readonly freeInDepot: number;
  readonly freeInCaches: number;
  readonly bucketSize: number;
  /** "keg": the zone has slabs of its own; "secondary": its items lie on another's (whose slabs are counted there); "cache": it has none. */
  readonly kind: "keg" | "secondary" | "cache";
  /** Name of the zone whose slabs they are. */
  readonly keg: string;
  /** Buckets exchanged with the depot, and how often its lock was found taken. */
  readonly exchanges: number;
  readonly contentions: number;
  readonly workers: WorkerStatistics[];
}

/** One worker's part in a zone. */
export interface WorkerStatistics {
  readonly slot: number;
  readonly live: boolean;
  readonly cached: number;
  readonly requests: number;
  readonly fail: number;
  readonly sleep: number;
  readonly xdomain: number;
  readonly exchanges: number;
}

/** The whole memory. */
export interface MemoryStatistics {
  readonly bytes: number;
  /** Pages of the heap: in use, free, and the most ever in use; bytes. */
  readonly heapInUse: number;
  readonly heapFree: number;
  readonly heapPeak: number;
  readonly workers: number;
  readonly zones: ZoneStatistics[];
}

export interface Statistics {
  ofZone(id: number): ZoneStatistics | null;
  ofMemory(): MemoryStatistics;
}

export function createStatistics(core: Core, records: Records, registry: Registry, census: Census): Statistics {
  const { floor, heap, items } = core;
  const { i32, f64 } = floor.cells;
  const { slots } = floor;

  function ofZone(id: number): ZoneStatistics | null {
    const zone = registry.recordOf(id);
    if (zone === 0) return null;
    const keg = i32[zone + ZONE_KEG];
    const workers = workersOf(zone, id);
    const cached = sum(workers, "cached");
    const used = Math.max(0, i32[zone + ZONE_ITEMS] - i32[zone + ZONE_DEPOT_ITEMS] - cached);
    const primary = i32[zone + ZONE_PRIMARY];
    // Slabs are counted once, with the keg's first zone.
    const inKeg = (word: number): number => (primary === 0 ? i32[keg + word] : 0);
    return {
      name: items.nameIn(zone),
      id,
      size: i32[keg + KEG_SIZE],
      limit: i32[zone + ZONE_LIMIT],
      used,
      free: inKeg(KEG_FREE) + i32[zone + ZONE_DEPOT_ITEMS] + cached,
      requests: sum(workers, "requests"),
      fail: sum(workers, "fail"),
      sleep: sum(workers, "sleep"),
      sleepers: i32[zone + ZONE_SLEEPERS],
      xdomain: sum(workers, "xdomain"),
      rsize: i32[keg + KEG_RSIZE],
      slabs: inKeg(KEG_SLABS),
      pages: inKeg(KEG_PAGES),
      bytes: inKeg(KEG_PAGES) * PAGE_BYTES,
      headerBytes: inKeg(KEG_SLABS) * i32[keg + KEG_HEADER_BYTES],
      freeInSlabs: inKeg(KEG_FREE),
      freeInDepot: i32[zone + ZONE_DEPOT_ITEMS],
      freeInCaches: cached,
      bucketSize: i32[zone + ZONE_BUCKET_CAP],
      kind: (i32[zone + ZONE_FLAGS] & FLAG_CACHE) !== 0 ? "cache" : primary === 0 ? "keg" : "secondary",
      keg: items.nameIn(i32[keg + KEG_ZONE]),
      exchanges: sum(workers, "exchanges"),
      contentions: i32[zone + ZONE_CONTENTIONS] >>> 0,
      workers,
    };
  }

  /** Every slot that ever had this zone open: counters belong to the slot and outlive its workers. */
  function workersOf(zone: number, id: number): WorkerStatistics[] {
    const workers: WorkerStatistics[] = [];
    for (let slot = 1; slot <= slots.count; slot++) {
      const at = slots.wordOf(slot);
      const line = records.lineOf(at, id);
      if (line === 0 || i32[line + LINE_TAG] !== i32[zone + ZONE_TAG]) continue;
      const isOpen = registry.isOpenBy(at, id);
      workers.push({
        slot,
        live: isOpen && slots.state(slot) !== STATE_FREE,
        cached: isOpen ? census.inLine(line) : 0,
        requests: i32[line + LINE_ALLOCS_HIGH] * 2 ** 31 + allocsIn(i32[line + LINE_ALLOCS]),
        fail: i32[line + LINE_FAILS] >>> 0,
        sleep: i32[line + LINE_SLEEPS] >>> 0,
        xdomain: f64[(line + LINE_REMOTE) >> 1],
        exchanges: i32[line + LINE_EXCHANGES] >>> 0,
      });
    }
    return workers;
  }

  function sum(workers: readonly WorkerStatistics[], field: Exclude<keyof WorkerStatistics, "slot" | "live">): number {
    let total = 0;
    for (const worker of workers) total += worker[field];
    return total;
  }

  function ofMemory(): MemoryStatistics {
    const zones: ZoneStatistics[] = [];
    for (let id = registry.highest(); id > 0; id--) {
      const zone = ofZone(id);
      if (zone !== null) zones.push(zone);
    }
    const heapCounts = heap.counts();
    let workers = 0;
    for (let slot = 1; slot <= slots.count; slot++) if (slots.state(slot) !== STATE_FREE) workers++;
    return {
      bytes: floor.geometry.bytes - floor.geometry.base,
      heapInUse: heapCounts.inUse * PAGE_BYTES,
      heapFree: heapCounts.free * PAGE_BYTES,
      heapPeak: heapCounts.peak * PAGE_BYTES,
      workers,
      zones,
    };
  }

  return { ofZone, ofMemory };
}

/** Bit 31 counts only where no other bit is set: else it is a call. */
function allocsIn(word: number): number {
  return word < 0 && (word & 0x7fffffff) !== 0 ? word & 0x7fffffff : word >>> 0;
}

/** The table of `vmstat -z`, a line at a time. */
export function* zoneTable(zones: Iterable<ZoneStatistics>): Generator<string, void, void> {
  yield ["ITEM".padEnd(24), "SIZE", "LIMIT", "USED", "FREE", "REQ", "FAIL", "SLEEP", "XDOM"]
    .map((head, n) => (n === 0 ? head : head.padStart(WIDTHS[n] as number)))
    .join(" ");
  for (const z of zones) {
    const cells = [z.size, z.limit, z.used, z.free, z.requests, z.fail, z.sleep, z.xdomain];
    yield [`${z.name}:`.padEnd(24), ...cells.map((value, n) => String(value).padStart(WIDTHS[n + 1] as number))].join(" ");
  }
}

const WIDTHS: readonly number[] = [24, 8, 9, 9, 9, 12, 7, 7, 10];
