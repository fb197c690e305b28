/**
 * Counting: where a zone's items are. Reads only, takes no lock: exact when nobody is at work on the zone, near enough otherwise.
 *
 * An item that a zone has had from its keg (or from its import) is in a bucket of its depot, in a bucket of some worker's cache
 * line, or outstanding; so what is outstanding is what the other two leave.
 */
import type { Floor } from "../backend/memory/floor.ts";
import {
  BUCKET_EMPTY,
  BUCKET_MASK,
  LINE_EXTRA,
  LINE_HIDDEN,
  LINE_PREFILL,
  LINE_SMR,
  LINE_SP,
  LINE_SPARE,
  NO_BUCKET,
  STATE_FREE,
  ZONE_DEPOT_ITEMS,
  ZONE_ID,
  ZONE_ITEMS,
} from "../backend/memory/layout.ts";
import type { Records } from "./records.ts";
import type { Registry } from "./registry.ts";

/** The words of a cache line that name buckets, as positions; NO_BUCKET or 0 = none. */
export const BUCKET_WORDS_OF_LINE: readonly number[] = [LINE_SP, LINE_SPARE, LINE_HIDDEN, LINE_EXTRA, LINE_PREFILL, LINE_SMR];

export interface Census {
  /** Items in the buckets of one cache line. */
  inLine(line: number): number;
  /** Items in the caches of all workers. */
  cached(zone: number): number;
  outstanding(zone: number): number;
}

export function createCensus(floor: Floor, records: Records, registry: Registry): Census {
  const { i32 } = floor.cells;
  const { slots } = floor;

  function inLine(line: number): number {
    let items = 0;
    for (const offset of BUCKET_WORDS_OF_LINE) {
      const position = i32[line + offset];
      if (position > NO_BUCKET) items += (position & BUCKET_MASK) - BUCKET_EMPTY;
    }
    return items;
  }

  function cached(zone: number): number {
    const id = i32[zone + ZONE_ID];
    let items = 0;
    for (let slot = 1; slot <= slots.count; slot++) {
      const at = slots.wordOf(slot);
      if (slots.state(slot) === STATE_FREE || !registry.isOpenBy(at, id)) continue;
      const line = records.lineOf(at, id);
      if (line !== 0) items += inLine(line);
    }
    return items;
  }

  function outstanding(zone: number): number {
    return i32[zone + ZONE_ITEMS] - i32[zone + ZONE_DEPOT_ITEMS] - cached(zone);
  }

  return { inLine, cached, outstanding };
}
