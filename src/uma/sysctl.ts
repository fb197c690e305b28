/**
 * Statistics in the shapes that FreeBSD's tools have them: `vmstat --libxo json -z`, and the `vm.uma` tree of sysctl.
 *
 * Both are made from the same counters as {@link ZoneStatistics}, a zone at a time: a memory of a thousand zones is never one big
 * string unless the caller makes one. FreeBSD's NUMA domains are worker slots here: a memory has one depot, so the tree has one
 * domain, and `xdomain` counts frees by another worker than the one that had allocated.
 */
import {
  KEG_FREE,
  KEG_HEADER_BYTES,
  KEG_IPERS,
  KEG_PAGES,
  KEG_PPERA,
  KEG_RESERVE,
  KEG_RSIZE,
  KEG_UNIT_MASK,
  PAGE_BYTES,
  ZONE_BUCKET_CAP,
  ZONE_BUCKET_MAX,
  ZONE_DEPOT_CAP,
  ZONE_DEPOT_ITEMS,
  ZONE_DEPOT_MAX,
  ZONE_DEPOT_MIN,
  ZONE_FLAGS,
  ZONE_ITEMS,
  ZONE_KEG,
  ZONE_LIMIN,
  ZONE_SLEEPS,
  ZONE_TIMIN,
  ZONE_WSS,
} from "../backend/memory/layout.ts";
import type { ZoneStatistics } from "./statistics.ts";
import type { Uma } from "./uma.ts";

/** A zone as `vmstat --libxo json -z` writes it. */
export interface VmstatZone {
  readonly name: string;
  readonly size: number;
  readonly limit: number;
  readonly used: number;
  readonly free: number;
  readonly requests: number;
  readonly fail: number;
  readonly sleep: number;
  readonly xdomain: number;
}

/** The sysctl node `vm.uma.<zone>`. */
export interface UmaNode {
  readonly size: number;
  readonly flags: number;
  readonly bucket_size: number;
  readonly bucket_size_max: number;
  readonly keg: {
    readonly name: string;
    readonly rsize: number;
    readonly ppera: number;
    readonly ipers: number;
    readonly align: number;
    readonly reserve: number;
    /** Share of the slab and its header that is items, percent. */
    readonly efficiency: number;
    readonly domain: readonly { readonly pages: number; readonly free_items: number; readonly free_slabs: number }[];
  };
  readonly limit: {
    readonly items: number;
    readonly max_items: number;
    readonly sleepers: number;
    readonly sleeps: number;
    readonly bucket_max: number;
  };
  readonly domain: readonly {
    readonly nitems: number;
    readonly imax: number;
    readonly imin: number;
    /** The least since the last tick: with one depot a zone, what imin is. */
    readonly bimin: number;
    readonly wss: number;
    readonly limin: number;
    readonly timin: number;
  }[];
  readonly stats: {
    readonly current: number;
    readonly allocs: number;
    readonly frees: number;
    readonly fails: number;
    readonly xdomain: number;
  };
}

/** The zones of `vmstat -z`, one at a time. */
export function* vmstatZones(uma: Uma): Generator<VmstatZone, void, void> {
  for (const z of uma.stats().zones) {
    const { name, size, limit, used, free, requests, fail, sleep, xdomain } = z;
    yield { name, size, limit, used, free, requests, fail, sleep, xdomain };
  }
}

/** The text of `vmstat --libxo json -z`, in pieces: a zone each. */
export function* vmstatJson(uma: Uma): Generator<string, void, void> {
  yield '{"memory-zone-statistics":{"zone":[';
  let separator = "";
  for (const zone of vmstatZones(uma)) {
    yield separator + JSON.stringify(zone);
    separator = ",";
  }
  yield "]}}";
}

/** The `vm.uma` tree, a node at a time. Names are unique here, so none is numbered. */
export function* umaTree(uma: Uma): Generator<readonly [name: string, node: UmaNode], void, void> {
  for (const z of uma.stats().zones) {
    const { cells, geometry } = uma.core.floor;
    const zone = cells.i32[geometry.zoneDirectory + z.id];
    if (zone !== 0) yield [z.name, nodeOf(uma, z, zone)];
  }
}

/** The `vm.uma` tree as the text of one JSON object, in pieces: a zone each. */
export function* umaTreeJson(uma: Uma): Generator<string, void, void> {
  let separator = "{";
  for (const [name, node] of umaTree(uma)) {
    yield `${separator}${JSON.stringify(name)}:${JSON.stringify(node)}`;
    separator = ",";
  }
  yield separator === "{" ? "{}" : "}";
}

function nodeOf(uma: Uma, z: ZoneStatistics, zone: number): UmaNode {
  const { i32 } = uma.core.floor.cells;
  const keg = i32[zone + ZONE_KEG];
  const ipers = i32[keg + KEG_IPERS];
  const rsize = i32[keg + KEG_RSIZE];
  const slabBytes = i32[keg + KEG_PPERA] * PAGE_BYTES;
  return {
    size: z.size,
    flags: i32[zone + ZONE_FLAGS],
    bucket_size: i32[zone + ZONE_BUCKET_CAP],
    bucket_size_max: i32[zone + ZONE_BUCKET_MAX],
    keg: {
      name: z.keg,
      rsize,
      ppera: i32[keg + KEG_PPERA],
      ipers,
      align: i32[keg + KEG_UNIT_MASK],
      reserve: i32[keg + KEG_RESERVE],
      efficiency: z.kind === "cache" ? 0 : Math.floor((ipers * rsize * 100) / (slabBytes + i32[keg + KEG_HEADER_BYTES])),
      domain: [
        {
          pages: i32[keg + KEG_PAGES],
          free_items: i32[keg + KEG_FREE],
          free_slabs: z.kind === "cache" ? 0 : Math.floor(i32[keg + KEG_FREE] / ipers),
        },
      ],
    },
    limit: {
      items: i32[zone + ZONE_ITEMS],
      max_items: z.limit,
      sleepers: z.sleepers,
      sleeps: i32[zone + ZONE_SLEEPS],
      bucket_max: i32[zone + ZONE_DEPOT_CAP],
    },
    domain: [
      {
        nitems: i32[zone + ZONE_DEPOT_ITEMS],
        imax: i32[zone + ZONE_DEPOT_MAX],
        imin: i32[zone + ZONE_DEPOT_MIN],
        bimin: i32[zone + ZONE_DEPOT_MIN],
        wss: i32[zone + ZONE_WSS],
        limin: i32[zone + ZONE_LIMIN],
        timin: i32[zone + ZONE_TIMIN],
      },
    ],
    stats: { current: z.used, allocs: z.requests, frees: z.requests - z.used, fails: z.fail, xdomain: z.xdomain },
  };
}
