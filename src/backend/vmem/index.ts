/**
 * zalloc/vmem: arenas of integers, usable without any zone.
 *
 * `createArena(name, options)` makes a local arena: one thread, no memory needed. `createArena(uma, name, options)` makes or
 * opens one in a shared memory, for all its workers. Both are an {@link Arena}.
 */
import type { Arena, ArenaOptions } from "./arena.ts";
import type { Arenas, SharedArenaOptions } from "./arenas.ts";
import { IdSpace } from "./id-space.ts";
import { createLocalArena } from "./local.ts";

export { type UmaErrorCode, UmaCorruptionError, UmaError } from "../memory/errors.ts";
export type {
  Arena,
  ArenaFailure,
  ArenaLeaks,
  ArenaOptions,
  AsyncOptions,
  ImportFunction,
  ImportOptions,
  ImportRequest,
  ReleaseFunction,
  SizeKind,
  WaitOptions,
} from "./arena.ts";
export type { ArenaFunctions, ArenaLeftover, Arenas, SharedArenaOptions } from "./arenas.ts";
export { IdSpace } from "./id-space.ts";
export type { QuantumCache } from "./quantum-cache.ts";
export type { Constraints, FitOptions, FitPolicy } from "./request.ts";
export type { ArenaStatistics } from "./statistics.ts";
export type { Segment, WalkOptions } from "./walk.ts";

/** A memory, as far as arenas need it: an attached `Uma`. */
export interface WithArenas {
  readonly arenas: Arenas;
}

/**
 * Makes an arena of this thread.
 * @throws UmaError ERR_UMA_OPTION, ERR_VMEM_SPAN, ERR_VMEM_CIRCLE.
 */
export function createArena(name: string, options?: ArenaOptions): Arena;
/** Makes an arena in the memory, or opens the one of that name if it agrees. See {@link Arenas.create}. */
export function createArena(memory: WithArenas, name: string, options?: SharedArenaOptions): Arena;
export function createArena(first: string | WithArenas, second?: string | ArenaOptions, third?: SharedArenaOptions): Arena {
  if (typeof first === "object" && first !== null) return first.arenas.create(second as string, third);
  return createLocalArena(first, second as ArenaOptions | undefined);
}

/**
 * Makes a space of the identifiers [low, high).
 * @param memory - the memory to make it in, for all its workers; absent: of this thread alone.
 */
export function createIdSpace(name: string, low: number, high: number, memory?: WithArenas): IdSpace {
  const options: ArenaOptions = { identifiers: true, span: { start: low, size: high - low } };
  return new IdSpace(memory === undefined ? createArena(name, options) : createArena(memory, name, options));
}
