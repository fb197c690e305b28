/** Statistics of malloc: its size classes and its large blocks, over all threads. Plain readings of the zones' own figures. */
import type { ZoneStatistics } from "../statistics.ts";
import { ZONE_PREFIX } from "./classes.ts";

/** One size class that any thread has used. */
export interface ClassStatistics {
  /** Bytes of an allocation of this class. */
  readonly size: number;
  /** Allocations outstanding, and items free in slabs, depot and caches. */
  readonly used: number;
  readonly free: number;
  /** Allocations ever made, and those that failed. */
  readonly requests: number;
  readonly fail: number;
  /** Frees by another worker than the one that had allocated. */
  readonly crossFrees: number;
  /** Bytes of its slabs and of their headers. */
  readonly bytes: number;
}

/** The whole of malloc. */
export interface MallocStatistics {
  readonly classes: readonly ClassStatistics[];
  /** Large blocks: how many there are, their bytes, and how many there ever were. */
  readonly blocks: { readonly blocks: number; readonly bytes: number; readonly requests: number };
  /** Allocations outstanding in all. */
  readonly used: number;
  /** Bytes in outstanding allocations, as laid out. */
  readonly usedBytes: number;
}

export function mallocStatistics(zones: readonly ZoneStatistics[], blocks: MallocStatistics["blocks"]): MallocStatistics {
  const classes: ClassStatistics[] = [];
  let used = blocks.blocks;
  let usedBytes = blocks.bytes;
  for (const z of zones) {
    if (!z.name.startsWith(ZONE_PREFIX)) continue;
    used += z.used;
    usedBytes += z.used * z.rsize;
    classes.push({
      size: z.rsize,
      used: z.used,
      free: z.free,
      requests: z.requests,
      fail: z.fail,
      crossFrees: z.xdomain,
      bytes: z.bytes + z.headerBytes,
    });
  }
  classes.sort((one, other) => one.size - other.size);
  return { classes, blocks, used, usedBytes };
}
