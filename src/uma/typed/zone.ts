/**
 * Typed zones: a plain zone that knows the fields of its items.
 *
 * The typed zone is the plain zone's object with more methods, not a wrapper and not a subclass: `alloc` and `free` are the very
 * same functions at the very same cost, and all typed zones without hooks share one shape, so that code that serves several of
 * them stays fast. The further methods are properties of the object because each captures the views and cursors of its own zone.
 */
import { UmaError } from "../../backend/memory/errors.ts";
import type { Zone } from "../zone.ts";
import type { ArrayType } from "./array.ts";
import { type AnyCursor, makeCursorClass } from "./cursor.ts";
import type { ColumnView, FieldMemory, FieldType, Item, Scalar } from "./field.ts";
import type { Argument } from "./handles.ts";
import type { Walk } from "./live.ts";
import { isScalar } from "./scalars.ts";
import type { Fields, FieldsOf, InputFields, PlainFields, Struct } from "./struct.ts";
import type { TextType } from "./text.ts";

/** What a view has beside the fields. */
export interface ViewOf<N extends string, F extends Fields> {
  /** Address of the item it stands on; assign to move it. */
  item: Item<N>;
  /** Moves the view. @returns itself. */
  at(item: Item<N>): View<N, F>;
  /**
   * Stores several fields: from an object of values, or from another view. All are checked before any is stored.
   * @throws UmaError ERR_UMA_VALUE for a value that its field cannot hold without loss, or an unknown field.
   */
  set(values: InputFields<F> | View<N, F>): void;
  /** A plain copy. */
  toObject(): PlainFields<F>;
}

/** A view of an item: its fields as properties, and the cursor's own. */
export type View<N extends string, F extends Fields> = FieldsOf<F> & ViewOf<N, F>;

/**
 * A field of all items, for inner loops: the field of the item at `p` is `view[(p >> shift) + offset]`.
 */
export interface Column<V extends ColumnView> {
  readonly view: V;
  /** log2 of the element size: what an address is shifted by. */
  readonly shift: number;
  /** Elements from the item's first. */
  readonly offset: number;
  /** Elements from an item to the next in the same slab. */
  readonly stride: number;
}

type ColumnOf<X> =
  X extends Struct<infer F>
    ? ColumnsOf<F>
    : X extends ArrayType<infer E, infer _T, infer _I, infer _P>
      ? ColumnOf<E>
      : X extends Scalar<infer _T, infer V>
        ? Column<V>
        : never;

/** The columns of a struct's fields: nested structs nested, arrays by their first element; texts have none. */
export type ColumnsOf<F extends Fields> = { readonly [K in keyof F as F[K] extends TextType ? never : K]: ColumnOf<F[K]> };

/** Which part of a zone `forEach` visits. */
export interface Part {
  /** Byte address to begin at: what an earlier call returned. Default: the zone's beginning. */
  readonly from?: number;
  /** Items to visit at most. Default: all. */
  readonly items?: number;
}

/** What a typed zone has beside the plain one. */
export interface Typed<N extends string, F extends Fields, A, D> {
  readonly type: Struct<F>;
  readonly columns: ColumnsOf<F>;
  /** Takes an item; `arg` is what ctor declares. @throws UmaError ERR_UMA_EMPTY, ERR_UMA_LIMIT, ERR_UMA_BUSY, ERR_UMA_HOOK. */
  alloc(...arg: Argument<A>): Item<N>;
  /** Takes an item, 0 when there is none (see `uma.lastFailure`). */
  tryAlloc(...arg: Argument<A>): Item<N>;
  /** Frees an item, whoever allocated it; 0 is ignored. */
  free(item: Item<N>, arg?: D): void;
  /**
   * The zone's one view, moved to `item`: good until the next call of `at`. For two items at a time take a view of one's own for
   * one of them; `zone.at(a).x = zone.at(b).x` stores into b.
   */
  at(item: Item<N>): View<N, F>;
  /** A view of one's own; stands on `item`, or nowhere yet. */
  view(item?: Item<N>): View<N, F>;
  /**
   * Visits live items in address order, while others allocate and free (live.ts says what it may miss). The view is of this call.
   * @returns the address at which to go on; 0 when all were visited.
   */
  forEach(visit: (p: View<N, F>, item: Item<N>) => void, part?: Part): number;
  /** Live items in address order, as one view that moves. */
  [Symbol.iterator](): Iterator<View<N, F>, void, void>;
}

export type TypedZone<N extends string, F extends Fields, A = unknown, D = unknown> = Omit<Zone, "alloc" | "tryAlloc" | "free"> &
  Typed<N, F, A, D>;

/** Gives `zone` what makes it a typed zone. */
export function dressTyped<F extends Fields>(
  zone: Zone,
  type: Struct<F>,
  memory: FieldMemory,
  walk: (from: number) => Walk,
): Zone & Omit<Typed<string, F, unknown, unknown>, "alloc" | "tryAlloc" | "free"> {
  const ItemView = makeCursorClass(type.parts, memory, "", memory.live) as new () => AnyCursor & View<string, F>;
  const flyweight = new ItemView();
  const { live } = memory;

  const at =
    live === null
      ? (item: number): View<string, F> => {
          flyweight.item = item;
          return flyweight;
        }
      : (item: number): View<string, F> => {
          live(item);
          flyweight.item = item;
          return flyweight;
        };

  return Object.assign(zone, {
    type,
    columns: columnsOf(type.parts, memory, 0, zone.rsize) as ColumnsOf<F>,
    at,
    view(item: number = 0): View<string, F> {
      const view = new ItemView();
      view.item = item;
      return view;
    },
    forEach(visit: (p: View<string, F>, item: number) => void, part: Part = {}): number {
      mustHaveMarks(zone);
      const { from = 0, items = Number.POSITIVE_INFINITY } = part;
      const view = new ItemView();
      const { next } = walk(from);
      for (let visited = 0; ; visited++) {
        const item = next();
        if (item === 0 || visited >= items) return item;
        view.item = item;
        visit(view, item);
      }
    },
    *[Symbol.iterator](): Generator<View<string, F>, void, void> {
      mustHaveMarks(zone);
      const view = new ItemView();
      const { next } = walk(0);
      for (let item = next(); item !== 0; item = next()) {
        view.item = item;
        yield view;
      }
    },
  });
}

function mustHaveMarks(zone: Zone): void {
  if (zone.checks) return;
  throw new UmaError("ERR_UMA_OPTION", `zone "${zone.name}" has checks off: nobody knows which of its items are live`, { zone: zone.name });
}

interface Located {
  readonly name: string;
  readonly type: FieldType<unknown>;
  readonly offset: number;
}

function columnsOf(parts: readonly Located[], memory: FieldMemory, base: number, rsize: number): Record<string, unknown> {
  const columns: Record<string, unknown> = {};
  for (const { name, type, offset } of parts) {
    const column = columnOf(type, memory, base + offset, rsize);
    if (column !== null) columns[name] = column;
  }
  return Object.freeze(columns);
}

function columnOf(type: FieldType<unknown>, memory: FieldMemory, offset: number, rsize: number): unknown {
  if (isScalar(type)) {
    return Object.freeze({ view: type.view(memory), shift: type.shift, offset: offset >> type.shift, stride: rsize >> type.shift });
  }
  if ("parts" in type) return columnsOf((type as Struct<Fields>).parts, memory, offset, rsize);
  if ("element" in type) return columnOf((type as { element: FieldType<unknown> }).element, memory, offset, rsize);
  return null;
}
