/** Excess: items that become a zone's otherwise than by an allocation, and may be more than its limit. */
import type { Floor } from "../backend/memory/floor.ts";
import { ZONE_ITEMS, ZONE_LIMIT, ZONE_OVER } from "../backend/memory/layout.ts";

/**
 * Notes, in the open transaction that adds them, that so many may be out, as if they had been when the limit was set. No more come out
 * of the keg before so many are back.
 */
export function noteExcess({ cells: { i32 }, journal: { set } }: Floor, zone: number): void {
  const items = i32[zone + ZONE_ITEMS];
  const limit = i32[zone + ZONE_LIMIT];
  if (limit !== 0 && items > Math.max(limit, i32[zone + ZONE_OVER])) set(zone + ZONE_OVER, items);
}
