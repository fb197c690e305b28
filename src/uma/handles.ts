/** Zones and kegs by their records, as this thread has them open: whoever has the hooks can do what another must leave. */
import { KEG_MOST_ZONES, KEG_TAG, KEG_ZONES, ZONE_ID, ZONE_KEG } from "../backend/memory/layout.ts";
import type { Core } from "./core.ts";
import type { KegHandle } from "./keg.ts";
import type { Zone } from "./zone.ts";

export interface Handles {
  /** A zone of the keg's as this thread has it open, or null. */
  readonly kegHandle: (keg: number) => KegHandle | null;
  /** The zone as this thread has it open, or null. */
  readonly zoneHandle: (zone: number) => Zone | null;
}

export function createHandles(core: Core): Handles {
  const { i32 } = core.floor.cells;

  function kegHandle(keg: number): KegHandle | null {
    if (keg === 0) return null;
    for (let n = 0; n < KEG_MOST_ZONES; n++) {
      const zone = i32[keg + KEG_ZONES + n];
      const z = zone === 0 ? null : zoneHandle(zone);
      if (z !== null && z.tag === i32[keg + KEG_TAG]) return z;
    }
    // Or as this thread had it open: what it is taking apart has its hooks and its pages' supplier.
    for (const { zone, handle } of core.closings) {
      if (handle !== null && i32[zone + ZONE_KEG] === keg && handle.tag === i32[keg + KEG_TAG]) return handle;
    }
    return null;
  }

  function zoneHandle(zone: number): Zone | null {
    const z = core.open[i32[zone + ZONE_ID]];
    return z !== undefined && !z.closed && z.zone === zone ? z : null;
  }

  return { kegHandle, zoneHandle };
}
