/**
 * Limits: how many items of a zone may be out of its keg at a time, and what happens when there are no more.
 *
 * What counts is what is out of the slabs: allocated, or cached anywhere (as in FreeBSD). An item that a ctor refused is cached
 * again, so the count stays right. Items cached by others are asked back when the limit is met, and near the limit buckets are
 * not filled whole, so that a small limit does not end up in one worker's bucket.
 *
 * FreeBSD cannot clear a limit, and admits more for a moment while it is changed; here it is one word under the keg's lock.
 */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import {
  KEG_LOCK,
  ZONE_BUCKET_CAP,
  ZONE_BUCKET_MAX,
  ZONE_DEPOT_CAP,
  ZONE_ID,
  ZONE_ITEMS,
  ZONE_LIMIT,
  ZONE_OVER,
  ZONE_SLEEPERS,
  ZONE_WARNED,
} from "../backend/memory/layout.ts";
import type { Core } from "./core.ts";
import { bucketRange, depotBound } from "./definition.ts";
import type { Queue } from "./queue.ts";
import type { Registry } from "./registry.ts";
import type { Zone } from "./zone.ts";

export interface WarningOptions {
  /** Least time between two warnings of the zone, over all threads: milliseconds. Default 300 000, FreeBSD's. */
  readonly every?: number;
  /** Where it goes; default console.warn. */
  readonly to?: (message: string) => void;
}

export interface Limits {
  setMax(z: Zone, items: number): void;
  getMax(z: Zone): number;
  exhausted(z: Zone): boolean;
  setMaxCache(z: Zone, items: number): void;
  setWarning(z: Zone, message: string, options: WarningOptions): void;
  setMaxAction(z: Zone, action: ((zone: Zone) => void) | null): void;
  /** An allocation has met the limit: warns, acts. No lock is held. */
  met(z: Zone): void;
}

/** What limits need of the parts around them. */
export interface LimitServices {
  /** Gives what is cached of the zone back, here at once, by others as they look. */
  shrinkCaches(z: Zone): void;
}

const WARN_EVERY_MS = 300_000;
/** 2024-01-01, seconds: so that the word lasts until 2092. */
const EPOCH = 1_704_067_200;

export function createLimits(core: Core, queue: Queue, registry: Registry, services: LimitServices): Limits {
  const { floor } = core;
  const { i32 } = floor.cells;
  const { locks, slots, patienceMs } = floor;
  const { set, commit } = floor.journal;
  const warnings = new WeakMap<Zone, { message: string; every: number; to: (message: string) => void }>();
  const actions = new WeakMap<Zone, (zone: Zone) => void>();
  const acting = new Set<Zone>();

  function locked(z: Zone, what: string, change: () => void): void {
    if (!locks.acquire(z.keg + KEG_LOCK, patienceMs)) {
      throw new UmaError("ERR_UMA_BUSY", `${what} of zone "${z.name}": a lock could not be had in time; try again`, { zone: z.name });
    }
    try {
      change();
    } finally {
      locks.release();
    }
  }

  function setMax(z: Zone, items: number): void {
    if (!Number.isInteger(items) || items < 0 || items > 0x7fffffff) {
      throw optionError("items of setMax", items, "an integer from 0 (no limit) to 2147483647", z.name);
    }
    locked(z, "setMax", () => {
      set(z.zone + ZONE_LIMIT, items);
      set(z.zone + ZONE_OVER, i32[z.zone + ZONE_ITEMS]);
      commit();
    });
    if (items > 0 && i32[z.zone + ZONE_ITEMS] > items) services.shrinkCaches(z);
    queue.wakeAll(z.zone);
  }

  function setMaxCache(z: Zone, items: number): void {
    if (items !== Infinity && (!Number.isInteger(items) || items < 0 || items > 0x7fffffff)) {
      throw optionError("items of setMaxCache", items, "an integer from 0 (no caching) to 2147483647, or Infinity", z.name);
    }
    const range = bucketRange(z.rsize, z.definition.bucketMax);
    const lines = openers(z) * 2;
    // Two buckets a worker; what the division leaves is the depot's.
    const cap = items === Infinity ? range.max : Math.min(range.max, Math.floor(items / lines));
    locked(z, "setMaxCache", () => {
      set(z.zone + ZONE_BUCKET_MAX, cap);
      set(z.zone + ZONE_BUCKET_CAP, Math.min(items === Infinity ? range.start : i32[z.zone + ZONE_BUCKET_CAP], cap));
      set(z.zone + ZONE_DEPOT_CAP, items === Infinity ? depotBound(z.rsize, z.definition.maxCache) : items - lines * cap || -1);
      commit();
    });
    services.shrinkCaches(z);
  }

  /** Workers that have the zone open; the caller is one. */
  function openers(z: Zone): number {
    const id = i32[z.zone + ZONE_ID];
    let count = 0;
    for (let slot = 1; slot <= slots.count; slot++) if (registry.isOpenBy(slots.wordOf(slot), id)) count++;
    return Math.max(1, count);
  }

  function setWarning(z: Zone, message: string, options: WarningOptions): void {
    const { every = WARN_EVERY_MS, to = (text: string): void => console.warn(text) } = options;
    if (typeof message !== "string") throw optionError("message of setWarning", message, "a string", z.name);
    if (typeof every !== "number" || !(every >= 0)) throw optionError("every", every, "0 or more (milliseconds)", z.name);
    if (typeof to !== "function") throw optionError("to", to, "a function", z.name);
    warnings.set(z, { message, every, to });
  }

  function setMaxAction(z: Zone, action: ((zone: Zone) => void) | null): void {
    if (action !== null && typeof action !== "function") throw optionError("action of setMaxAction", action, "a function, or null", z.name);
    if (action === null) actions.delete(z);
    else actions.set(z, action);
  }

  function met(z: Zone): void {
    const warning = warnings.get(z);
    if (warning !== undefined && mayWarn(z, warning.every)) warning.to(`[zone: ${z.name}] ${warning.message}`);
    const action = actions.get(z);
    if (action === undefined || acting.has(z)) return;
    acting.add(z);
    try {
      action(z);
    } finally {
      acting.delete(z);
    }
  }

  /** One thread at a time wins the right to warn. */
  function mayWarn(z: Zone, every: number): boolean {
    const word = z.zone + ZONE_WARNED;
    const now = Math.floor(Date.now() / 1000) - EPOCH;
    const last = Atomics.load(i32, word);
    if (last !== 0 && (now - last) * 1000 < every) return false;
    return Atomics.compareExchange(i32, word, last, now) === last;
  }

  return {
    setMax,
    getMax: (z) => i32[z.zone + ZONE_LIMIT],
    exhausted: (z) => i32[z.zone + ZONE_SLEEPERS] > 0,
    setMaxCache,
    setWarning,
    setMaxAction,
    met,
  };
}
