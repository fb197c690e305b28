/**
 * Definitions of typed zones, of zones with handles and of debug zones; plain ones pass through.
 *
 * Beyond what a plain definition is, these bring a face (see definition.ts): when a thread opens the zone, the struct is bound to
 * the memory's views and the hooks get cursors, one for each hook: nobody else's view ever moves because a hook ran.
 */
import { optionError } from "../../backend/memory/errors.ts";
import type { Core } from "../core.ts";
import {
  type BoundFace,
  defineZone as definePlainZone,
  type Face,
  FLAG_SMR,
  FLAG_ZERO,
  type ZoneDefinition,
  type ZoneOptions,
} from "../definition.ts";
import type { Hooks, Views } from "../hooks.ts";
import type { Zone, ZonePlace } from "../zone.ts";
import { type AnyCursor, makeCursorClass } from "./cursor.ts";
import { createDebugging, DEBUG_BYTES, type Debugging } from "./debug.ts";
import type { FieldMemory } from "./field.ts";
import { createGenerations, GENERATION_BYTES, type Handles } from "./handles.ts";
import { createWalks } from "./live.ts";
import { type Fields, hashOf, type Struct } from "./struct.ts";
import { dressTyped, type TypedZone, type View } from "./zone.ts";

/** Options that plain and typed zones share. */
export interface ExtraOptions<H extends boolean> {
  /** Items have generations, and handles that go stale (see handles.ts). Takes 8 bytes an item. */
  readonly handles?: H;
  /** Canaries, poison, and checks at every access through views (see debug.ts). Takes 8 bytes an item, and time. */
  readonly debug?: boolean;
}

/**
 * Options of a typed zone: those of a plain one, with a struct instead of a size, and hooks that get a cursor instead of an address.
 * The cursor is the hook's own; it may not be kept.
 */
export interface TypedOptions<N extends string, F extends Fields, A, D, H extends boolean>
  extends Omit<ZoneOptions, "size" | "ctor" | "dtor" | "init" | "fini">,
    ExtraOptions<H> {
  readonly type: Struct<F>;
  /** On every allocation. Declare the type of `arg`, and `alloc` wants it. @returns false to refuse. */
  readonly ctor?: (p: View<N, F>, arg: A) => boolean | void;
  /** On every free. `arg` is undefined when recovery frees the item of a dead worker. */
  readonly dtor?: (p: View<N, F>, arg: D | undefined) => void;
  /** Once for each item when its slab is born. @returns false to refuse. */
  readonly init?: (p: View<N, F>) => boolean | void;
  /** Once for each item when its slab dies. */
  readonly fini?: (p: View<N, F>) => void;
}

/** What opening a definition gives: the zone, with handles if they were asked for. */
export type WithHandles<Z, N extends string, A, D, H extends boolean> = H extends true ? Z & Handles<N, A, D> : Z;

/** A definition whose name is known to the type system, so that items of its zone are told from others'. */
export type NamedDefinition<N extends string, Z> = ZoneDefinition<Z> & { readonly name: N };

/** A definition of a typed zone. */
export type TypedDefinition<N extends string, F extends Fields, A, D, H extends boolean> = NamedDefinition<
  N,
  WithHandles<TypedZone<N, F, A, D>, N, A, D, H>
> & { readonly type: Struct<F> };

/** The zone that `uma.open` makes of a definition: `ZoneOf<typeof Particle>`. */
export type ZoneOf<D> = D extends ZoneDefinition<infer Z> ? Z : never;
/** The view of its items. */
export type ViewOfZone<D> = ZoneOf<D> extends { at(item: number): infer V } ? V : never;

/**
 * Defines a zone of items of one size.
 * @param name - 1 … 128 bytes of UTF-8; unique in a memory.
 * @returns a frozen value to be exported from a module that every thread imports.
 * @throws UmaError ERR_UMA_OPTION naming the option and what is allowed.
 * @source FreeBSD sys/vm/uma.h uma_zcreate
 */
export function defineZone<const N extends string, H extends boolean = false>(
  name: N,
  options: ZoneOptions & ExtraOptions<H>,
): NamedDefinition<N, WithHandles<Zone, N, unknown, unknown, H>>;
/**
 * Defines a zone of structs.
 * @throws UmaError ERR_UMA_OPTION naming the option and what is allowed.
 */
export function defineZone<const N extends string, F extends Fields, A = unknown, D = unknown, H extends boolean = false>(
  name: N,
  options: TypedOptions<N, F, A, D, H>,
): TypedDefinition<N, F, A, D, H>;
export function defineZone(name: string, options: Options): ZoneDefinition {
  if (options === null || typeof options !== "object") return definePlainZone(name, options as unknown as ZoneOptions);
  const { type = null, handles = false, debug = false } = options;
  if (type === null && !handles && !debug) return definePlainZone(name, options as unknown as ZoneOptions);
  if (type !== null && (typeof type !== "object" || type.kind !== "struct"))
    throw optionError("type", type, "what struct() returned", name);
  if (type !== null && "size" in options) throw optionError("size", options.size, "left out: the struct has a size", name);
  for (const [option, given] of [
    ["handles", handles],
    ["debug", debug],
  ] as const) {
    if (typeof given !== "boolean") throw optionError(option, given, "true or false", name);
    if (given && options.secondaries === true) throw optionError("secondaries", true, `false, with ${option}`, name);
    if (given && options.checks === false) throw optionError("checks", false, `true, with ${option}: they build on the marks`, name);
  }
  const plain = definePlainZone(name, (type === null ? options : { ...options, size: type.size }) as unknown as ZoneOptions);
  const debugAt = (plain.size + 3) & ~3;
  const debugEnd = debug ? debugAt + DEBUG_BYTES : plain.size;
  const generationAt = (debugEnd + 7) & ~7;
  if (handles && plain.sample > 0) throw optionError("sites", plain.sample, "not together with handles", name);
  const form: Form = { type, debug, debugAt, handles, generationAt, hooks: plain as Hooks };
  return Object.freeze({
    ...plain,
    ...(type === null ? {} : { type }),
    // Which hooks there are must be known before the zone is opened; what they do, only then.
    ctor: plain.ctor === null && !debug ? null : unbound,
    dtor: plain.dtor === null && !debug && !handles ? null : unbound,
    init: plain.init === null && !debug && !handles ? null : unbound,
    fini: plain.fini === null && !debug ? null : unbound,
    hidden: (handles ? generationAt + GENERATION_BYTES : debugEnd) - plain.size + plain.hidden,
    face: makeFace(form),
  });
}

type AnyHook = (...given: never[]) => boolean | void;

/** Either form, as it comes in. */
interface Options extends Omit<ZoneOptions, "size" | "ctor" | "dtor" | "init" | "fini">, ExtraOptions<boolean> {
  readonly type?: Struct<Fields>;
  readonly size?: number;
  readonly ctor?: AnyHook;
  readonly dtor?: AnyHook;
  readonly init?: AnyHook;
  readonly fini?: AnyHook;
}

/** What a face is made from. */
interface Form {
  readonly type: Struct<Fields> | null;
  readonly debug: boolean;
  readonly debugAt: number;
  readonly handles: boolean;
  readonly generationAt: number;
  /** As the user gave them: with cursors, if there is a type. */
  readonly hooks: Hooks;
}

function unbound(): never {
  throw new Error("a hook of a definition that was not opened");
}

function makeFace(form: Form): Face<Zone> {
  const { type, debug, handles } = form;
  return {
    hash: hashOf(`${type === null ? "" : type.signature}${debug ? ";debug" : ""}${handles ? ";handles" : ""}`),
    bindTo: (definition, core, place) => bind(form, definition, core, place),
  };
}

function bind(form: Form, definition: ZoneDefinition, core: Core, place: ZonePlace): BoundFace<Zone> {
  const { type } = form;
  const { name, size } = definition;
  const known = { name, size, keg: place.keg, tag: place.tag, shift: place.shift };
  const zero = (definition.flags & FLAG_ZERO) !== 0;
  const debugging = form.debug ? createDebugging(core, known, form.debugAt, zero) : null;
  const memory = fieldMemory(core, name, debugging);
  const generations = form.handles ? createGenerations(core, place, form.generationAt) : null;
  const { ctor, dtor, init, fini } = form.hooks;
  let hooks: Hooks = type === null ? { ctor, dtor, init, fini } : withCursors(type, memory, form.hooks);
  if (debugging !== null) hooks = debugging.wrap(hooks);
  if (generations !== null) hooks = generations.wrap(hooks);
  // Nothing to be done at alloc and free but to count: then the hot path does it, which is faster than a hook.
  const plain = ctor === null && dtor === null && (definition.flags & (FLAG_ZERO | FLAG_SMR)) === 0;
  const counts = generations !== null && debugging === null && plain;
  return {
    definition: {
      ...definition,
      ...hooks,
      // Debug zones zero behind their check, not before it.
      flags: debugging === null ? definition.flags : definition.flags & ~FLAG_ZERO,
      counting: counts ? generations.counting : null,
    },
    dress(zone: Zone): Zone {
      if (type !== null) dressTyped(zone, type, memory, createWalks(core, place));
      if (generations !== null) Object.assign(zone, generations.handles(zone, counts));
      return zone;
    },
  };
}

function fieldMemory(core: Core, zone: string, debugging: Debugging | null): FieldMemory {
  const { views, items } = core;
  const { buffer } = views;
  return {
    views,
    i64: new BigInt64Array(buffer, 0, buffer.byteLength >>> 3),
    u64: new BigUint64Array(buffer, 0, buffer.byteLength >>> 3),
    zone,
    live: debugging === null ? null : debugging.live,
    livePart: debugging === null ? null : debugging.livePart,
    refusesReference: (to, item) => {
      if (debugging === null) return Number.isInteger(item) ? null : `${String(item)} is no address`;
      const target = core.open.find((z) => z !== undefined && !z.closed && z.name === to);
      // A thread that has not opened the zone sees from the address at least whose the item is.
      if (target === undefined) {
        const whose = items.whose(item);
        if (whose === 0) return `${String(item)} is no address of an item`;
        return items.nameIn(whose) === to ? null : `${item} lies in zone "${items.nameIn(whose)}", not in "${to}"`;
      }
      try {
        return core.floor.cells.u8[items.check(target, item)] === 0 ? `the item ${item} of zone "${to}" is free` : null;
      } catch (error) {
        return (error as Error).message;
      }
    },
  };
}

/** The user's hooks take cursors; a nested call of the same hook (a ctor that allocates from its own zone) gives it back where it was. */
function withCursors(type: Struct<Fields>, memory: FieldMemory, hooks: Hooks): Hooks {
  type OnCursor<R> = (p: AnyCursor, arg?: unknown) => R;
  // In init and fini an item is free, and the hook may do with it what it likes.
  const ItemView = makeCursorClass(type.parts, { ...memory, livePart: null }, "", null);

  function onCursor<R>(hook: OnCursor<R>): (item: number, arg: unknown) => R {
    const p = new ItemView();
    return (item, arg) => {
      const before = p.item;
      p.item = item;
      try {
        return hook(p, arg);
      } finally {
        p.item = before;
      }
    };
  }

  function bound<R>(hook: ((...given: never[]) => R) | null): ((item: number, arg: unknown) => R) | null {
    return hook === null ? null : onCursor(hook as unknown as OnCursor<R>);
  }

  const init = bound(hooks.init);
  const fini = bound(hooks.fini);
  return {
    ctor: bound(hooks.ctor),
    dtor: bound(hooks.dtor),
    init: init === null ? null : (item: number, _views: Views) => init(item, undefined),
    fini: fini === null ? null : (item: number, _views: Views) => fini(item, undefined),
  };
}
