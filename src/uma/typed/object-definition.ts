/**
 * Definitions of object zones: what their options are, and whether they can be.
 */
import { optionError } from "../../backend/memory/errors.ts";

/** @typeParam A - what `ctor` takes; `alloc` asks for it. */
export interface ObjectZoneOptions<T extends object, A = unknown> {
  /** Makes an object; it must be extensible. */
  readonly create: () => T;
  /** Once for each object, after create. @returns false to refuse. */
  readonly init?: (object: T) => boolean | void;
  /** On every allocation. @returns false to refuse: alloc fails, and the object stays free. */
  readonly ctor?: (object: T, arg: A) => boolean | void;
  /** Another name for ctor. */
  readonly reset?: (object: T, arg: A) => boolean | void;
  /** On every free. */
  readonly dtor?: (object: T) => void;
  /** Once for each object when the zone lets it go. */
  readonly fini?: (object: T) => void;
  /** Objects that may exist at a time; 0 = no limit. */
  readonly limit?: number;
  /** Free objects that are kept at most; further ones are let go. Default: all. A bound makes each free count what is free. */
  readonly maxFree?: number;
  /** Objects to make at once. */
  readonly prealloc?: number;
  /** Remember where each object was allocated, for the leak report. Slow. */
  readonly track?: boolean;
}

/** A checked definition; make one with {@link defineObjectZone}. */
export interface ObjectZoneDefinition<T extends object, A = unknown> {
  readonly name: string;
  readonly create: () => T;
  readonly init: ((object: T) => boolean | void) | null;
  readonly ctor: ((object: T, arg: A) => boolean | void) | null;
  readonly dtor: ((object: T) => void) | null;
  readonly fini: ((object: T) => void) | null;
  readonly limit: number;
  readonly maxFree: number;
  readonly prealloc: number;
  readonly track: boolean;
}

/** The most objects that a zone can count. */
export const MOST = 0x7fffffff;

/**
 * Defines a zone of objects.
 * @throws UmaError ERR_UMA_OPTION naming the option and what is allowed.
 */
export function defineObjectZone<T extends object, A = unknown>(
  name: string,
  options: ObjectZoneOptions<T, A>,
): ObjectZoneDefinition<T, A> {
  if (typeof name !== "string" || name === "") throw optionError("name", name, "a string");
  if (typeof options !== "object" || options === null) throw optionError("options", options, "an object with at least { create }", name);
  if (typeof options.create !== "function") throw optionError("create", options.create, "a function that makes an object", name);
  for (const hook of ["init", "ctor", "reset", "dtor", "fini"] as const) {
    if (options[hook] !== undefined && typeof options[hook] !== "function") throw optionError(hook, options[hook], "a function", name);
  }
  if (options.ctor !== undefined && options.reset !== undefined) throw optionError("reset", options.reset, "left out, with ctor", name);
  for (const count of ["limit", "maxFree", "prealloc"] as const) {
    const given = options[count];
    if (given !== undefined && (!Number.isInteger(given) || given < 0 || given > MOST))
      throw optionError(count, given, `an integer from 0 to ${MOST}`, name);
  }
  if (options.track !== undefined && typeof options.track !== "boolean") throw optionError("track", options.track, "true or false", name);
  const { limit = 0, maxFree = MOST, prealloc = 0 } = options;
  if (limit > 0 && prealloc > limit) throw optionError("prealloc", prealloc, `at most the limit, ${limit}`, name);
  return Object.freeze({
    name,
    create: options.create,
    init: options.init ?? null,
    ctor: options.ctor ?? options.reset ?? null,
    dtor: options.dtor ?? null,
    fini: options.fini ?? null,
    limit,
    maxFree,
    prealloc,
    track: options.track ?? false,
  });
}
