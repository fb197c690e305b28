/** What zones ask of the parts above them: attention, prealloc, reclaim, destruction, ownership, statistics. */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import {
  KEG_FLAGS,
  KEG_FREE,
  KEG_MOST_ZONES,
  KEG_REFS,
  KEG_ZONES,
  LINE_REASONS,
  MARK_BUSY,
  REASON_DRAIN,
  REASON_DYING,
  REASON_ORPHANS,
  REASON_RECLAIM,
  REASON_TRIM,
  ZONE_ID,
  ZONE_PRIMARY,
  ZONE_STATE,
  ZONE_STATE_DYING,
} from "../backend/memory/layout.ts";
import type { Census } from "./census.ts";
import { type Closing, hasSecondaries } from "./closing.ts";
import type { Limbo } from "./limbo.ts";
import type { Limits } from "./limits.ts";
import type { Waiting } from "./waiting.ts";
import type { Core } from "./core.ts";
import { FLAG_CACHE } from "./definition.ts";
import { createMarkScan } from "./marks.ts";
import { EMPTY, OK, REFUSED } from "./outcome.ts";
import type { Reclaim } from "./reclaim.ts";
import type { Orphans } from "./orphans.ts";
import type { Recovery } from "./recovery.ts";
import type { Reserves } from "./reserves.ts";
import type { Setters } from "./setters.ts";
import type { Statistics } from "./statistics.ts";
import type { DestroyOptions, LeakReport, Zone, ZoneServices } from "./zone.ts";

/** Items that a leak report lists. */
const LISTED_ITEMS = 1000;

export interface ServiceParts {
  readonly census: Census;
  readonly closing: Closing;
  readonly orphans: Orphans;
  readonly recovery: Recovery;
  readonly statistics: Statistics;
  readonly limits: Limits;
  readonly waiting: Waiting;
  readonly reclaims: Reclaim;
  readonly reserves: Reserves;
  readonly limbo: Limbo;
  readonly setters: Setters;
}

/** What zones ask for, and what waiting and limits do. */
export interface Services extends ZoneServices {
  askBack(z: Zone): void;
  askSiblings(z: Zone): void;
  shrinkCaches(z: Zone): void;
}

/** @param parts - filled in by the composition once it has made them. */
export function createServices(core: Core, parts: ServiceParts): Services {
  const { floor, caches, kegs, slabs } = core;
  const { i32 } = floor.cells;
  const { heapStart, heapEnd } = floor.geometry;
  const scan = createMarkScan(floor, slabs);

  function attend(z: Zone): void {
    // The reasons first, then TOP, which looks at them again: a call that comes in between is seen at the next free.
    const reasons = Atomics.exchange(i32, z.line + LINE_REASONS, 0);
    let left = reasons;
    try {
      caches.resetTop(z);
      if ((reasons & REASON_DRAIN) !== 0) caches.drainLine(z.zone, z.keg, z.line, true);
      left &= ~REASON_DRAIN;
      // What needs frames waits until those that locks out of reach have left are finished.
      if (!floor.intents.crowded()) {
        if ((reasons & REASON_RECLAIM) !== 0) parts.reclaims.attend(z, "drain");
        else if ((reasons & REASON_TRIM) !== 0) parts.reclaims.attend(z, "trim");
        left &= ~(REASON_RECLAIM | REASON_TRIM);
      }
      if (reasons !== 0) core.queue.pass(z.zone);
      if ((reasons & REASON_ORPHANS) !== 0) parts.orphans.finish(z);
      left &= ~REASON_ORPHANS;
      // The caller may have slept, and its zone be gone and this one have got its id and line. If a lock is out of reach the call stands.
      const isDying = (reasons & REASON_DYING) !== 0 && i32[z.zone + ZONE_STATE] === ZONE_STATE_DYING;
      // Not while a ctor or dtor of it runs, whose item would be taken apart with the rest.
      if (!isDying || (!parts.waiting.isInHook(z) && parts.closing.close(z))) left &= ~REASON_DYING;
    } finally {
      // What an exception of a hook's has kept from being done is done by the next slow path.
      if (left !== 0 && !z.closed) Atomics.or(i32, z.line + LINE_REASONS, left);
    }
  }

  function shrinkCaches(z: Zone): void {
    parts.reclaims.attend(z, "drain");
    parts.closing.call(z.zone, REASON_RECLAIM);
  }

  function askBack(z: Zone): void {
    caches.resetTop(z);
    parts.closing.askBack(z.zone);
  }

  /** The keg may be empty because other zones on it cache what they do not need. */
  function askSiblings(z: Zone): void {
    if (z.zoneAt === 0 || i32[z.keg + KEG_REFS] < 2) return;
    for (let n = 0; n < KEG_MOST_ZONES; n++) {
      const sibling = i32[z.keg + KEG_ZONES + n];
      if (sibling === 0 || sibling === z.zone) continue;
      parts.closing.call(sibling, REASON_RECLAIM);
      const here = core.open[i32[sibling + ZONE_ID]];
      if (here !== undefined && !here.closed && here.zone === sibling) parts.reclaims.attend(here, "drain");
    }
  }

  function relieve(): void {
    parts.reclaims.relieve();
  }

  function limitMet(z: Zone): void {
    askBack(z);
    parts.limits.met(z);
  }

  function finishCut(): void {
    parts.recovery.finishOwnFrames();
    parts.closing.finish();
    parts.waiting.leaveStale();
  }

  /** Throws what a fini or freef of the user's has thrown meanwhile. */
  function throwFailure(): void {
    const failure = kegs.takeFailure();
    if (failure !== null) throw failure;
  }

  function refuseCache(z: Zone, what: string): void {
    if ((i32[z.keg + KEG_FLAGS] & FLAG_CACHE) === 0) return;
    throw new UmaError("ERR_UMA_OPTION", `${what} of the cache zone "${z.name}": it has no slabs`, { zone: z.name });
  }

  function prealloc(z: Zone, count: number): void {
    refuseCache(z, "prealloc");
    if (!Number.isInteger(count) || count < 0 || count > 0x7fffffff)
      throw optionError("count of prealloc", count, "an integer from 0 to 2147483647", z.name);
    while (i32[z.keg + KEG_FREE] < count) {
      const outcome = kegs.grow(z, true);
      if (outcome === OK) continue;
      const missing = count - i32[z.keg + KEG_FREE];
      if (outcome === EMPTY) {
        throw new UmaError("ERR_UMA_EMPTY", `prealloc of zone "${z.name}": no memory for ${missing} more items of ${z.rsize} bytes`, {
          zone: z.name,
          value: missing,
        });
      }
      if (outcome === REFUSED)
        throw new UmaError("ERR_UMA_HOOK", `prealloc of zone "${z.name}": init refused an item`, { zone: z.name, value: missing });
      throw new UmaError("ERR_UMA_BUSY", `prealloc of zone "${z.name}": a lock could not be had in time; try again`, {
        zone: z.name,
        value: missing,
      });
    }
  }

  function destroy(z: Zone, options: DestroyOptions): LeakReport {
    const { name } = z;
    refuseSecondaries(z);
    const outstanding = parts.census.outstanding(z.zone);
    const items: { item: number; owner: number }[] = [];
    if (outstanding > 0) {
      if (options.force !== true) {
        throw new UmaError(
          "ERR_UMA_OUTSTANDING",
          `zone "${name}" has ${outstanding} items outstanding; free them, or destroy with force: true`,
          {
            zone: name,
            value: outstanding,
          },
        );
      }
      listOutstanding(z, items);
    }
    kegs.takeFailure();
    if (!parts.closing.destroy(z)) {
      throw new UmaError("ERR_UMA_BUSY", `zone "${name}" is dying, but a lock could not be had in time; destroy it again`, { zone: name });
    }
    throwFailure();
    return { zone: name, outstanding, items };
  }

  /** Before anything else is found fault with; looked at again under the lock. */
  function refuseSecondaries(z: Zone): void {
    const living = i32[z.zone + ZONE_PRIMARY] === 0 ? i32[z.keg + KEG_REFS] - 1 : 0;
    if (living > 0) throw hasSecondaries(z.name, living);
  }

  function listOutstanding(z: Zone, into: { item: number; owner: number }[]): void {
    for (let owner = 1; owner < MARK_BUSY && into.length < LISTED_ITEMS; owner++) {
      let from = heapStart;
      while (into.length < LISTED_ITEMS && scan.next(owner, from, heapEnd, z.keg)) {
        from = scan.found.item + 1;
        if (core.items.zoneOf(z.keg, scan.found.mark) === z.zone) into.push({ item: scan.found.item, owner });
      }
    }
  }

  function close(z: Zone): void {
    if (parts.closing.close(z)) return;
    throw new UmaError("ERR_UMA_BUSY", `zone "${z.name}" could not be closed: a lock could not be had in time; try again`, {
      zone: z.name,
    });
  }

  function* ownedBy(z: Zone, owner: number): Generator<number, void, void> {
    const own = createMarkScan(floor, slabs);
    let from = heapStart;
    while (own.next(owner, from, heapEnd, z.keg)) {
      from = own.found.item + 1;
      if (own.found.value === owner && core.items.zoneOf(z.keg, own.found.mark) === z.zone) yield own.found.item;
    }
  }

  return {
    features: parts,
    attend,
    askBack,
    askSiblings,
    shrinkCaches,
    limitMet,
    relieve,
    finishCut,
    refuseCache,
    prealloc,
    destroy,
    close,
    ownedBy,
    statistics: (z) => {
      const found = parts.statistics.ofZone(z.id);
      if (found !== null && !z.closed) return found;
      throw new UmaError("ERR_UMA_ZONE_CLOSED", `zone "${z.name}" is closed in this thread, or was destroyed`, { zone: z.name });
    },
  };
}
