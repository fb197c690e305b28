/**
 * The ground floor as one attachment sees it: cells, geometry, slots, journal, locks and intents of one worker in one memory.
 * Everything above is built from this.
 */
import type { Cells } from "./cells.ts";
import { createHanding, type Handing } from "./handing.ts";
import { createIntents, type Intents } from "./intents.ts";
import { createJournal, type Journal } from "./journal.ts";
import { SLOT_WORDS } from "./layout.ts";
import { createLocks, type RobustLocks } from "./lock.ts";
import { generationOf, slotOf } from "./names.ts";
import { createSlots, type Slots } from "./slots.ts";
import type { Geometry } from "./superblock.ts";

export interface Floor {
  readonly cells: Cells;
  readonly geometry: Geometry;
  readonly slots: Slots;
  readonly journal: Journal;
  readonly locks: RobustLocks;
  readonly intents: Intents;
  readonly handing: Handing;
  /** This worker: its name, its slot number, its generation, the word index of its slot. */
  readonly me: number;
  readonly slot: number;
  readonly generation: number;
  readonly slotWord: number;
  /** How long a slow path of this worker waits for a lock before it answers BUSY, milliseconds. */
  readonly patienceMs: number;
}

/** The floor for the tenant `name`, whose slot is RESERVED or LIVE. */
export function createFloor(cells: Cells, geometry: Geometry, name: number, patienceMs: number): Floor {
  const slotWord = geometry.slots + slotOf(name) * SLOT_WORDS;
  const journal = createJournal(cells, slotWord);
  const slots = createSlots(cells, geometry.slots, geometry.workers);
  return {
    cells,
    geometry,
    slots,
    journal,
    locks: createLocks(cells, geometry.slots, name, journal),
    intents: createIntents(cells, slotWord),
    handing: createHanding(cells, slots, slotWord),
    me: name,
    slot: slotOf(name),
    generation: generationOf(name),
    slotWord,
    patienceMs,
  };
}
