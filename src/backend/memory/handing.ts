/**
 * Handing over: how what one worker has becomes another's, so that neither the other's recovery nor its leaving can miss it.
 *
 * Whoever recovers a tenant, or leaves as one, goes once through what is marked with its slot; what bore the mark later would belong
 * to nobody, and then to the slot's next tenant. So a giver first says in its own slot to whom it is about to give (HANDING), then
 * looks whether that tenant takes part and is not LEAVING, changes the mark, and withdraws what it said. The addressee's recoverer, which
 * has its certificate, and the addressee itself, which has said that it is leaving, look for such givers *before* they go
 * through the marks: whoever said so in time to have found the addressee there is seen; who said so later finds it gone.
 * A giver that has died does nothing more, so nobody waits for it: the mark is what it is, and belongs to one of the two.
 */
import type { Cells } from "./cells.ts";
import { SLOT_HANDING, SLOT_LEAVING } from "./layout.ts";
import { slotOf } from "./names.ts";
import type { Slots } from "./slots.ts";

export interface Handing {
  /** Announces that something will bear this tenant's slot. @returns false when it takes nothing any more: then nothing is announced. */
  begin(to: number): boolean;
  /** What was announced has been done, or will not be. */
  end(): void;
  /** Whether some worker that lives is just giving this tenant something. */
  isUnderWay(to: number): boolean;
  /** Says that this worker is leaving, or that it stays after all. */
  setLeaving(leaves: boolean): void;
}

export function createHanding(cells: Cells, slots: Slots, slotWord: number): Handing {
  const { i32 } = cells;
  const MINE = slotWord + SLOT_HANDING;

  function accepts(to: number): boolean {
    return slots.takesPart(to) && Atomics.load(i32, slots.wordOf(slotOf(to)) + SLOT_LEAVING) === 0;
  }

  function begin(to: number): boolean {
    // Looked at twice, so that nobody's recovery is kept waiting by who gives to the dead.
    if (!accepts(to)) return false;
    Atomics.store(i32, MINE, to);
    if (accepts(to)) return true;
    end();
    return false;
  }

  function end(): void {
    Atomics.store(i32, MINE, 0);
  }

  function isUnderWay(to: number): boolean {
    for (let slot = 1; slot <= slots.count; slot++) {
      if (Atomics.load(i32, slots.wordOf(slot) + SLOT_HANDING) === to && slots.isLive(slots.tenant(slot))) return true;
    }
    return false;
  }

  return { begin, end, isUnderWay, setLeaving: (leaves) => void Atomics.store(i32, slotWord + SLOT_LEAVING, leaves ? 1 : 0) };
}
