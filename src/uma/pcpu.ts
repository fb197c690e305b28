/**
 * Per-worker zones: an item is as many copies as the memory has worker slots, so that each worker counts in a copy of its own and
 * whoever wants the total adds them up. A copy takes whole cache lines: no two workers write to the same one.
 *
 * The copies of one item lie side by side in one item of a plain zone; the address of the first is the item's. A copy belongs to
 * the slot, not to the worker: what a dead worker had counted stays counted, and the slot's next tenant goes on from there.
 */
import { optionError } from "../backend/memory/errors.ts";
import { PAGE_BYTES } from "../backend/memory/layout.ts";
import { type ZoneOptions, defineZone } from "./definition.ts";
import type { Uma } from "./uma.ts";
import type { Zone } from "./zone.ts";

export interface PcpuZone {
  /** The zone of the items with all their copies. */
  readonly zone: Zone;
  /** Bytes from a copy to the next. */
  readonly stride: number;
  readonly copies: number;
  /** Takes an item with all copies zeroed; 0 when there is none. @source FreeBSD uma.h uma_zalloc_pcpu with M_ZERO */
  alloc(arg?: unknown): number;
  /** @source FreeBSD uma.h uma_zfree_pcpu_arg */
  free(item: number, arg?: unknown): void;
  /** Address of this worker's copy. @source FreeBSD pcpu.h zpcpu_get */
  mine(item: number): number;
  /** Address of the copy of the worker in `slot`. @source FreeBSD pcpu.h zpcpu_get_cpu */
  copyOf(item: number, slot: number): number;
  /** The sum of a field over all copies: `read` gets the address of each. */
  sum(item: number, read: (copy: number) => number): number;
}

const CACHE_LINE_BYTES = 64;

/**
 * Opens a per-worker zone, making it if there is none of that name.
 * @param options - `size` is that of one copy, bytes: at most a page. Hooks see the item as a whole.
 * @throws UmaError ERR_UMA_OPTION; what `uma.open` throws.
 * @source FreeBSD uma.h UMA_ZONE_PCPU
 */
export function openPcpu(uma: Uma, name: string, options: ZoneOptions): PcpuZone {
  const { size } = options;
  if (!Number.isInteger(size) || size < 1 || size > PAGE_BYTES) throw optionError("size", size, `an integer from 1 to ${PAGE_BYTES}`, name);
  const { slots, slot: mySlot } = uma.core.floor;
  const { u8 } = uma.views;
  const stride = Math.ceil(size / CACHE_LINE_BYTES) * CACHE_LINE_BYTES;
  const copies = slots.count;
  const bytes = stride * copies;
  const zone = uma.open(defineZone(name, { ...options, size: bytes, align: Math.max(options.align ?? 0, CACHE_LINE_BYTES) }));
  const mine = (mySlot - 1) * stride;

  function copyOf(item: number, slot: number): number {
    if (!Number.isInteger(slot) || slot < 1 || slot > copies) throw optionError("slot", slot, `an integer from 1 to ${copies}`, name);
    return item + (slot - 1) * stride;
  }

  function alloc(arg?: unknown): number {
    const item = zone.tryAlloc(arg);
    if (item !== 0) u8.fill(0, item, item + bytes);
    return item;
  }

  function sum(item: number, read: (copy: number) => number): number {
    let total = 0;
    for (let n = 0; n < copies; n++) total += read(item + n * stride);
    return total;
  }

  return { zone, stride, copies, alloc, free: (item, arg) => zone.free(item, arg), mine: (item) => item + mine, copyOf, sum };
}
