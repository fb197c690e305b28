/**
 * Cache zones: the per-worker caches of a zone over items of any kind.
 *
 * A cache zone has no slabs. Its items are 32-bit integers other than 0 (identifiers, handles, addresses of somebody else's memory);
 * they come by `import`, when the zone's caches have none, and go by `release`, when the caches give some up. The allocator never
 * touches what they may stand for. Buckets, depot, limits, hooks, waiting, statistics are those of every zone; there are no marks,
 * so a free is believed, and what a dead worker held is still its importer's to find. What lay in its buckets comes back.
 */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import { BUCKET_MAX_ITEMS } from "../backend/memory/layout.ts";
import type { Core } from "./core.ts";
import { type ZoneDefinition, type ZoneOptions, FLAG_CACHE, FLAG_NOTOUCH, defineZone } from "./definition.ts";
import { type Origin, createCrates } from "./gate.ts";
import { EMPTY, OK, type Outcome } from "./outcome.ts";

/**
 * Stores up to `count` items in `store`. Runs with no lock held; may not use its own zone.
 * @returns how many: fewer than `count` is no failure, 0 says that there are none.
 * @source FreeBSD sys/vm/uma.h uma_import
 */
export type ImportItems = (store: number[], count: number) => number;
/**
 * Takes `count` items back. What it throws is told to whoever reclaims or destroys; the items count as released.
 * @source FreeBSD sys/vm/uma.h uma_release
 */
export type ReleaseItems = (store: readonly number[], count: number) => void;

export interface CacheOptions
  extends Pick<ZoneOptions, "ctor" | "dtor" | "zoneInit" | "zoneFini" | "limit" | "bucket" | "maxCache" | "unmanaged" | "maxBucket"> {
  readonly import: ImportItems;
  readonly release: ReleaseItems;
  /** For the statistics, and for how large buckets are to begin with: bytes. Default 64. */
  readonly size?: number;
}

/**
 * Defines a cache zone.
 * @throws UmaError ERR_UMA_OPTION.
 * @source FreeBSD sys/vm/uma.h uma_zcache_create
 */
export function defineCache(name: string, options: CacheOptions): ZoneDefinition {
  for (const hook of ["import", "release"] as const) {
    if (typeof options?.[hook] !== "function") throw optionError(hook, options?.[hook], "a function", name);
  }
  const { import: importItems, release } = options;
  return defineCacheOver(name, options, (core) => createUserOrigin(core, name, importItems, release));
}

/**
 * Defines a cache zone over an origin of the library's own, which hands items over in its own transactions: nothing is lost on the way.
 * @throws UmaError ERR_UMA_OPTION.
 */
export function defineCacheOver(
  name: string,
  options: Omit<CacheOptions, "import" | "release">,
  origin: (core: Core) => Origin,
): ZoneDefinition {
  const { ctor, dtor, zoneInit, zoneFini, limit, bucket, maxCache, unmanaged, maxBucket, size = 64 } = options;
  const given = { ctor, dtor, zoneInit, zoneFini, limit, bucket, maxCache, unmanaged, maxBucket };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const plain = defineZone(name, { ...known, size, checks: false });
  return Object.freeze({ ...plain, flags: plain.flags | FLAG_CACHE | FLAG_NOTOUCH, origin });
}

/** Whether `item` can be one of a cache zone. */
export function isCacheItem(item: number): boolean {
  return (item | 0) === item && item !== 0;
}

function createUserOrigin(core: Core, zone: string, importItems: ImportItems, release: ReleaseItems): Origin {
  const crates = createCrates(core.floor);

  function fill(frame: number, want: number): Outcome {
    const store: number[] = [];
    let count: number;
    try {
      count = importItems(store, want);
    } catch (cause) {
      throw new UmaError("ERR_UMA_SUPPLIER", `import of zone "${zone}" threw, asked for ${want} items: ${String(cause)}`, {
        zone,
        value: want,
        cause,
      });
    }
    if (!Number.isInteger(count) || count < 0 || count > Math.min(want, BUCKET_MAX_ITEMS)) {
      throw new UmaError("ERR_UMA_SUPPLIER", `import of zone "${zone}" returned ${String(count)}: it may store 0 to ${want} items`, {
        zone,
        value: count,
      });
    }
    for (let n = 0; n < count; n++) {
      const item = store[n] as number;
      if (isCacheItem(item)) continue;
      throw new UmaError("ERR_UMA_SUPPLIER", `import of zone "${zone}" stored ${String(item)}: items are 32-bit integers other than 0`, {
        zone,
        value: item,
      });
    }
    crates.add(frame, store, count);
    return count > 0 ? OK : EMPTY;
  }

  function empty(frame: number, count: number): Outcome {
    const store: number[] = [];
    crates.remove(frame, store, count);
    try {
      release(store, count);
    } catch (cause) {
      throw new UmaError("ERR_UMA_SUPPLIER", `release of zone "${zone}" threw, given ${count} items: ${String(cause)}`, {
        zone,
        value: count,
        cause,
      });
    }
    return OK;
  }

  return { fill, empty };
}
