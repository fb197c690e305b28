/**
 * A theme: one part of the library, as histories that use it and as what must hold after a kill in the middle of one.
 *
 * The same steps are made by a victim (instrumented tree, ledger in shared memory), by a peer that is at work beside it, and by the
 * workers of a storm. The parent's side compares and clears up afterwards; what concerns all zones alike (who owns which item, all of it
 * given back, no page kept) is done for every theme by the campaign.
 */
import type * as Library from "../../src/index.ts";
import type { Ledger } from "./ledger.ts";

export type Tree = typeof Library;

/** A thread's hands: what a step works with. */
export interface Actor {
  readonly tree: Tree;
  readonly uma: Library.Uma;
  readonly definitions: readonly Library.ZoneDefinition[];
  /** The definitions' zones as this thread has them open. */
  readonly zones: Library.Zone[];
  readonly ledger: Ledger;
  /** An integer from 0 to below the bound, from the history's seed. */
  readonly random: (below: number) => number;
  /** 0 is the victim, 1 its peer; workers of a storm count on. The parent is −1. */
  readonly who: number;
  /** The parent: who the others are that may have left something. */
  readonly crowd: readonly number[];
  /** Whether nobody else but victim and parent is at work in the memory. */
  readonly alone: boolean;
  /** Anything that the steps of one thread want to remember. */
  readonly memo: Map<string, unknown>;
}

/** What definitions are made with. */
export interface Makers {
  readonly tree: Tree;
  /** [0] counts hooks that ran out of order. */
  readonly violations: Int32Array;
  /** Called inside the hooks: a place to be killed at. */
  readonly point: (name: string) => void;
}

export type Say = (problem: string) => void;

export interface Theme {
  readonly name: string;
  /** The zones whose items stand in the ledger. */
  definitions(makers: Makers): readonly Library.ZoneDefinition[];
  /** Steps of a victim's history. */
  readonly steps: number;
  step(actor: Actor): void | Promise<void>;
  /** A peer's step, where it is another one. */
  peerStep?(actor: Actor): void | Promise<void>;
  /** Gives back what `step` holds beside the items of the ledger. */
  end?(actor: Actor): void;
  /** The parent: before each victim. */
  prepare?(parent: Actor): void;
  /** The parent: after a recovery, before it looks. */
  recovered?(parent: Actor): void;
  /** The parent: after a recovery, before anything is given back. */
  account?(parent: Actor, say: Say): void;
  /** The parent: gives back what is no item of the ledger's zones. */
  settle?(parent: Actor, say: Say): void;
  /** Whether a zone may keep items and pages when all else was given back. */
  keeps?(zone: string): boolean;
}

/** FLAG_UNCHECKED, FLAG_FREE_ON_DEATH, FLAG_SMR and FLAG_CACHE of a zone's definition. */
export const UNCHECKED = 0x4;
export const FREE_ON_DEATH = 0x10;
export const SMR = 0x200;
export const CACHE = 0x800;

export function isOf(definition: Library.ZoneDefinition | undefined, flag: number): boolean {
  return definition !== undefined && (definition.flags & flag) !== 0;
}

/** Allocates the way a zone wants it; 0 when there is none. */
export function allocFrom(zone: Library.Zone): number {
  return isOf(zone.definition, SMR) ? zone.allocSmr() : zone.tryAlloc();
}

/** The same by the call that throws where there is none. */
export function allocOrThrow(zone: Library.Zone): number {
  if (isOf(zone.definition, SMR)) return zone.allocSmr();
  return allowing(["ERR_UMA_LIMIT", "ERR_UMA_EMPTY"], () => zone.alloc()) ?? 0;
}

export function freeTo(zone: Library.Zone, item: number): void {
  if (isOf(zone.definition, SMR)) zone.freeSmr(item);
  else zone.free(item);
}

/** Does something that may be refused for one of these reasons. @returns undefined when it was. */
export function allowing<T>(codes: readonly string[], work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefined || !codes.includes(code)) throw error;
    return undefined;
  }
}

/** V8 computes a power anew each time. */
const STATES = 2 ** 32;

/** A small generator: the same numbers for the same seed. */
export function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / STATES) * below);
  };
}
