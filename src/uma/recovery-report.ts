/** What a recovery says of the worker that has died. */
import type { ArenaLeftover } from "../backend/vmem/arenas.ts";
import { generationOf, slotOf } from "../backend/memory/names.ts";
import type { AreaLeftover } from "./vmalloc/areas.ts";

/** What a dead worker left of one zone. */
export interface Leftovers {
  readonly zone: string;
  /** Items kept: outstanding, now without a live owner. The addresses of the first of them. */
  kept: number;
  readonly items: number[];
  /** Items freed through dtor. */
  freed: number;
  /** Half-built or half-destroyed items that were initialised anew. */
  remade: number;
  /** Items left for a worker that has the zone open. */
  orphaned: number;
}

/** The end of a worker. */
export interface RecoveryReport {
  readonly slot: number;
  readonly generation: number;
  /** False when a lock was out of reach: call again. */
  done: boolean;
  readonly zones: Leftovers[];
  /** Blocks straight from the arena: byte address and bytes. */
  readonly blocks: { readonly address: number; readonly bytes: number }[];
  /** Areas that it had mapped: kept, and nobody's now. */
  readonly areas: AreaLeftover[];
  /** What it had allocated in arenas: kept, and nobody's now. */
  readonly arenas: ArenaLeftover[];
  /** Workers that this one had started: dead, too. */
  readonly children: RecoveryReport[];
}

/** @param name - of the worker. */
export function emptyReport(name: number): RecoveryReport {
  return { slot: slotOf(name), generation: generationOf(name), done: false, zones: [], blocks: [], areas: [], arenas: [], children: [] };
}

/** What is said of a zone, from the first time on that there is something to say. */
export function leftoversOf(report: RecoveryReport, zone: string): Leftovers {
  let left = report.zones.find((z) => z.zone === zone);
  if (left === undefined) {
    left = { zone, kept: 0, items: [], freed: 0, remade: 0, orphaned: 0 };
    report.zones.push(left);
  }
  return left;
}
