/**
 * Leftovers: items of a zone whose owners died before they had linked them anywhere, or after they had unlinked them.
 *
 * Whoever finds one makes it its own first, by compare-exchange, so that of several who look at once one has it. Then it asks once
 * more whether the item is linked: since the first look it may have been freed, allocated, linked, and its new owner have died. What is
 * linked stays as it is, whoever it belongs to. What is not linked and still this worker's is nobody else's to free: who unlinks a
 * linked item makes it its own before.
 */
import type { Floor } from "../backend/memory/floor.ts";
import { MARK_ORPHAN } from "../backend/memory/layout.ts";
import { createMarkScan } from "./marks.ts";
import type { Slabs } from "./slab.ts";
import type { Zone } from "./zone.ts";

/**
 * Frees the leftovers of a zone.
 * @param isLinked - whether an item is reachable for others; a dead worker changes nothing any more.
 * @returns how many there were.
 */
export function freeLeftovers(
  { floor, slabs }: { readonly floor: Floor; readonly slabs: Slabs },
  zone: Zone,
  isLinked: (item: number) => boolean,
  free: (item: number) => void,
): number {
  const { u8 } = floor.cells;
  const { heapStart, heapEnd } = floor.geometry;
  const scan = createMarkScan(floor, slabs);
  let freed = 0;
  for (let from = heapStart; scan.next(MARK_ORPHAN, from, heapEnd, zone.keg); ) {
    const { item, value, mark } = scan.found;
    from = item + 1;
    if (value !== MARK_ORPHAN || isLinked(item) || Atomics.compareExchange(u8, mark, MARK_ORPHAN, floor.slot) !== MARK_ORPHAN) continue;
    if (isLinked(item) || Atomics.load(u8, mark) !== floor.slot) continue;
    free(item);
    freed++;
  }
  return freed;
}
