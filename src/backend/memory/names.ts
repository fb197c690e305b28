/**
 * Names: how a word says which worker it means.
 *
 * A slot is used by one worker after another; the generation tells them apart. A name {generation, slot} is never reused (22
 * bits of generation: four million tenants of one slot), so whoever holds the name of a dead worker can never mistake the
 * slot's next tenant for it. A slot's state word holds {generation, state}.
 */
import { GENERATION_MASK, NAME_SLOT_BITS, NAME_SLOT_MASK, STATE_BITS, STATE_MASK } from "./layout.ts";

/** Name of the tenant of `slot` at `generation`. */
export function nameOf(slot: number, generation: number): number {
  return (generation << NAME_SLOT_BITS) | slot;
}

/** Slot of a name (a lock word's "has waiters" bit is ignored). */
export function slotOf(name: number): number {
  return name & NAME_SLOT_MASK;
}

/** Generation of a name (a lock word's "has waiters" bit is ignored). */
export function generationOf(name: number): number {
  return (name >>> NAME_SLOT_BITS) & GENERATION_MASK;
}

/** A slot's state word. */
export function stateWord(generation: number, state: number): number {
  return (generation << STATE_BITS) | state;
}

export function stateOf(word: number): number {
  return word & STATE_MASK;
}

export function stateGeneration(word: number): number {
  return word >>> STATE_BITS;
}
