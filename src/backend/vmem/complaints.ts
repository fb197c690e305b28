/** What can be wrong with a call on an arena, as errors: each names the arena and the number that matters. */
import { UmaCorruptionError, UmaError, optionError } from "../memory/errors.ts";
import type { Arena } from "./arena.ts";
import { FREE_WRONG_KIND, FREE_WRONG_SIZE } from "./engine.ts";

type Named = Pick<Arena, "name">;

/** Why an allocation got nothing, by the arena's `lastFailure`. */
export function failed(arena: Pick<Arena, "name" | "lastFailure" | "identifiers" | "size">, size: number): UmaError {
  const details = { zone: arena.name, value: size };
  if (arena.lastFailure === "BUSY") {
    return new UmaError("ERR_VMEM_BUSY", `arena "${arena.name}": a lock could not be had in time; try again`, details);
  }
  if (arena.lastFailure === "TAGS") {
    return new UmaError("ERR_VMEM_NOTAGS", `arena "${arena.name}": no memory for its tags; raise the option bytes of the memory`, details);
  }
  const why =
    arena.lastFailure === "LIMIT"
      ? "its limit forbids to import more"
      : `${arena.size("free")} are free, the largest stretch has ${arena.size("largest")}`;
  if (arena.identifiers) return new UmaError("ERR_VMEM_NOID", `arena "${arena.name}" has no ${size} identifiers: ${why}`, details);
  return new UmaError("ERR_VMEM_NOSPACE", `arena "${arena.name}" has no ${size} integers in a row: ${why}`, details);
}

/** Why a free was refused, by the engine's answer. */
export function refused(arena: Named, outcome: number, start: number, size: number): UmaCorruptionError {
  const details = { zone: arena.name, value: start };
  if (outcome === FREE_WRONG_SIZE) {
    return new UmaCorruptionError("ERR_VMEM_SIZE", `free of ${start} in arena "${arena.name}" with size ${size}: it has another`, details);
  }
  if (outcome === FREE_WRONG_KIND) {
    return new UmaCorruptionError(
      "ERR_VMEM_KIND",
      `free of ${start} in arena "${arena.name}": what alloc gave goes back by free, what xalloc gave by xfree`,
      details,
    );
  }
  return notAllocated(arena, start);
}

export function notAllocated(arena: Named, start: number, cause?: unknown): UmaCorruptionError {
  return new UmaCorruptionError(
    "ERR_VMEM_UNKNOWN",
    `free of ${start} in arena "${arena.name}": it is not allocated (or was freed before)`,
    cause === undefined ? { zone: arena.name, value: start } : { zone: arena.name, value: start, cause },
  );
}

export function busy(arena: Named, what: string): UmaError {
  return new UmaError(
    "ERR_VMEM_BUSY",
    `${what} in arena "${arena.name}": its lock could not be had in time; nothing has changed, try again`,
    { zone: arena.name },
  );
}

/** An end that was cut short: others find the arena destroyed already. */
export function stillEnding(arena: Named): UmaError {
  return new UmaError("ERR_VMEM_BUSY", `arena "${arena.name}" is ending, but a lock could not be had in time; destroy it again`, {
    zone: arena.name,
  });
}

export function spanError(arena: Named, what: string, value: number): UmaError {
  return new UmaError("ERR_VMEM_SPAN", `arena "${arena.name}": ${what}`, { zone: arena.name, value });
}

export function destroyed(arena: Named): UmaError {
  return new UmaError("ERR_VMEM_DESTROYED", `arena "${arena.name}" was destroyed`, { zone: arena.name });
}

export function checkTimeout(timeout: unknown, arena: string): number {
  if (timeout === undefined) return Number.POSITIVE_INFINITY;
  if (typeof timeout === "number" && timeout >= 0) return timeout;
  throw optionError("timeout", timeout, "milliseconds from 0 on", arena);
}

export function checkCount(option: string, value: unknown, arena: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw optionError(option, value, "an integer from 0 (none) on", arena);
}
