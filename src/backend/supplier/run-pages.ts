/**
 * Pages that stand for runs of an arena's integers: the supplier of the zones that serve quantum caches.
 *
 * A slab's one page is a map of a run: piece k of the run is item k of the page, and the page's first number is the start of the
 * run. The run's tag in the arena names the page. Both are written in the arena's transaction, while the page stands in the intent
 * frame of the slab that is being born; and the run goes back before the page does. So whoever completes a dead worker's frame finds
 * by the page whether there is a run to give back: what an old page says by itself counts for nothing unless the tag agrees.
 */
import type { Floor } from "../memory/floor.ts";
import {
  ARENA_SERIAL,
  INTENT_EXTENT,
  INTENT_FLAGS,
  INTENT_KEG,
  INTENT_PAGES,
  KEG_ARENA,
  KEG_ARENA_SERIAL,
  KEG_PIECE,
  KEG_RSIZE,
  PAGE_BYTES,
} from "../memory/layout.ts";
import type { ArenaLeftover, ArenaSystem } from "../vmem/arenas.ts";
import { giveShadow } from "../vmem/giving.ts";
import type { ArenaHandle } from "../vmem/handle.ts";
import type { Heap } from "../vmem/heap.ts";
import { BUSY, takeRun } from "../vmem/taking.ts";
import { NO_PAGES, PAGES_BUSY, type PageSupplier, SLAB_KMEM, SLAB_RUN } from "./page-supplier.ts";

/** Quanta that a page stands for: 64 (illumos's least slab) where a quantum is large, 256 where pages would outweigh them. */
export function runQuanta(quantum: number): number {
  return quantum >= 1024 ? 64 : 256;
}

export interface RunPages {
  supplierFor(arena: ArenaHandle): PageSupplier;
  /** Gives back the run that the page in the frame stands for, if it does. @returns false when a lock was out of reach. */
  giveRun(frame: number): boolean;
  /** The piece that an item of the keg stands for; null when its arena has ended: the record may be another's. */
  pieceOf(keg: number, item: number): ArenaLeftover | null;
}

export function createRunPages(floor: Floor, heap: Heap, arenas: ArenaSystem, freePages: PageSupplier["free"]): RunPages {
  const { i32, f64 } = floor.cells;
  const { intents, locks } = floor;

  function supplierFor(arena: ArenaHandle): PageSupplier {
    const size = runQuanta(arena.quantum) * arena.quantum;

    function alloc(_zone: string, pages: number, frame: number): number {
      i32[frame + INTENT_PAGES] = pages;
      i32[frame + INTENT_FLAGS] = SLAB_KMEM | SLAB_RUN;
      const page = heap.alloc(pages, 0, frame + INTENT_EXTENT);
      if (page <= 0) return page;
      const start = beside(() => takeRun(arena, size, size, locks.hurry === 0, page));
      if (start >= 0) return page;
      // There is nothing to give back but the page: the arena need not be asked.
      i32[frame + INTENT_FLAGS] = SLAB_KMEM;
      return start === BUSY ? PAGES_BUSY : NO_PAGES;
    }

    // An import function of the user's may run: the zone is kept from it as from a user's supplier.
    return { userSupplied: true, alloc, free: freePages };
  }

  /** Runs what uses arenas while the frame of a slab is open: they must not take it for a forgotten one. */
  function beside<T>(work: () => T): T {
    intents.hooks++;
    try {
      return work();
    } finally {
      intents.hooks--;
    }
  }

  function giveRun(frame: number): boolean {
    const keg = i32[frame + INTENT_KEG];
    const page = i32[frame + INTENT_EXTENT];
    const a = i32[keg + KEG_ARENA];
    // The arena has ended, and with it all its runs.
    if (page === NO_PAGES || i32[a + ARENA_SERIAL] !== i32[keg + KEG_ARENA_SERIAL]) return true;
    const arena = arenas.at(a);
    return beside(() => giveShadow(arena, runQuanta(arena.quantum) * arena.quantum, page));
  }

  function pieceOf(keg: number, item: number): ArenaLeftover | null {
    const arena = arenas.at(i32[keg + KEG_ARENA]);
    if (arena.backing.serial !== i32[keg + KEG_ARENA_SERIAL] || arena.isDestroyed()) return null;
    const size = i32[keg + KEG_PIECE] * arena.quantum;
    const piece = (item % PAGE_BYTES) / i32[keg + KEG_RSIZE];
    return { arena: arena.name, start: f64[(item - (item % PAGE_BYTES)) >> 3] + piece * size, size };
  }

  return { supplierFor, giveRun, pieceOf };
}
