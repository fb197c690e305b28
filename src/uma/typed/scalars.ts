/**
 * Numbers, truth values, names and references: the fields that one element of a typed array holds.
 *
 * View and place are parameters of the functions that make accessors, not constants inside them: each use of a captured constant is
 * checked for whether it has been reached, two bytes of bytecode. Without, an accessor has 20 to 25, and V8 inlines it everywhere:
 * up to 27 no budget counts. A setter with 29 was called in long loops, and each number made an object for the call.
 *
 * Setters of numbers store what a typed array stores (an integer too large is cut to its low bits); debug zones refuse what would
 * be changed on the way. The accessors of each kind are written out on purpose: see field.ts.
 */
import type { Accessors, ColumnView, Cursor, FieldMemory, FieldType, Item, Scalar } from "./field.ts";
import { structError, valueError } from "./field.ts";

type Pair<T> = Pick<Accessors<T>, "get" | "set">;

function scalar<T, V extends ColumnView>(
  kind: string,
  shift: number,
  view: (memory: FieldMemory) => V,
  pair: (view: V, at: number, memory: FieldMemory, where: string) => Pair<T>,
  refuses: (value: T, memory: FieldMemory) => string | null,
  signature: string = kind,
): Scalar<T, V> {
  return Object.freeze({
    kind,
    size: 1 << shift,
    align: 1 << shift,
    shift,
    signature,
    view,
    accessors: (memory: FieldMemory, offset: number, _index: number, where: string): Accessors<T> => ({
      ...pair(view(memory), offset >> shift, memory, where),
      refuses: (value: T) => refuses(value, memory),
      inner: null,
    }),
  });
}

function integer(least: number, most: number): (value: number) => string | null {
  return (value) =>
    Number.isInteger(value) && value >= least && value <= most ? null : `${String(value)} is no integer from ${least} to ${most}`;
}

function bigInteger(least: bigint, most: bigint): (value: bigint) => string | null {
  return (value) =>
    typeof value === "bigint" && value >= least && value <= most ? null : `${String(value)} is no bigint from ${least} to ${most}`;
}

function real(value: number): string | null {
  return typeof value === "number" ? null : `${typeof value} is no number`;
}

/** Unsigned integer of 8 bits. */
export const u8: Scalar<number, Uint8Array> = scalar(
  "u8",
  0,
  (m) => m.views.u8,
  (u8, at) => ({
    get(this: Cursor): number {
      return u8[this.item + at];
    },
    set(this: Cursor, value: number): void {
      u8[this.item + at] = value;
    },
  }),
  integer(0, 0xff),
);

/** Signed integer of 8 bits. */
export const i8: Scalar<number, Int8Array> = scalar(
  "i8",
  0,
  (m) => m.views.i8,
  (i8, at) => ({
    get(this: Cursor): number {
      return i8[this.item + at];
    },
    set(this: Cursor, value: number): void {
      i8[this.item + at] = value;
    },
  }),
  integer(-0x80, 0x7f),
);

/** Unsigned integer of 16 bits. */
export const u16: Scalar<number, Uint16Array> = scalar(
  "u16",
  1,
  (m) => m.views.u16,
  (u16, at) => ({
    get(this: Cursor): number {
      return u16[(this.item >> 1) + at];
    },
    set(this: Cursor, value: number): void {
      u16[(this.item >> 1) + at] = value;
    },
  }),
  integer(0, 0xffff),
);

/** Signed integer of 16 bits. */
export const i16: Scalar<number, Int16Array> = scalar(
  "i16",
  1,
  (m) => m.views.i16,
  (i16, at) => ({
    get(this: Cursor): number {
      return i16[(this.item >> 1) + at];
    },
    set(this: Cursor, value: number): void {
      i16[(this.item >> 1) + at] = value;
    },
  }),
  integer(-0x8000, 0x7fff),
);

/** Unsigned integer of 32 bits. */
export const u32: Scalar<number, Uint32Array> = scalar(
  "u32",
  2,
  (m) => m.views.u32,
  (u32, at) => ({
    get(this: Cursor): number {
      return u32[(this.item >> 2) + at];
    },
    set(this: Cursor, value: number): void {
      u32[(this.item >> 2) + at] = value;
    },
  }),
  integer(0, 0xffffffff),
);

/** Signed integer of 32 bits. */
export const i32: Scalar<number, Int32Array> = scalar(
  "i32",
  2,
  (m) => m.views.i32,
  (i32, at) => ({
    get(this: Cursor): number {
      return i32[(this.item >> 2) + at];
    },
    set(this: Cursor, value: number): void {
      i32[(this.item >> 2) + at] = value;
    },
  }),
  integer(-0x80000000, 0x7fffffff),
);

/** Floating point, single precision. */
export const f32: Scalar<number, Float32Array> = scalar(
  "f32",
  2,
  (m) => m.views.f32,
  (f32, at) => ({
    get(this: Cursor): number {
      return f32[(this.item >> 2) + at];
    },
    set(this: Cursor, value: number): void {
      f32[(this.item >> 2) + at] = value;
    },
  }),
  real,
);

/** Floating point, double precision: what a JavaScript number is. */
export const f64: Scalar<number, Float64Array> = scalar(
  "f64",
  3,
  (m) => m.views.f64,
  (f64, at) => ({
    get(this: Cursor): number {
      return f64[(this.item >> 3) + at];
    },
    set(this: Cursor, value: number): void {
      f64[(this.item >> 3) + at] = value;
    },
  }),
  real,
);

/** Unsigned integer of 64 bits, as a bigint: each read makes one, so not for inner loops. */
export const u64: Scalar<bigint, BigUint64Array> = scalar(
  "u64",
  3,
  (m) => m.u64,
  (u64, at) => ({
    get(this: Cursor): bigint {
      return u64[(this.item >> 3) + at];
    },
    set(this: Cursor, value: bigint): void {
      u64[(this.item >> 3) + at] = value;
    },
  }),
  bigInteger(0n, 0xffffffffffffffffn),
);

/** Signed integer of 64 bits, as a bigint. */
export const i64: Scalar<bigint, BigInt64Array> = scalar(
  "i64",
  3,
  (m) => m.i64,
  (i64, at) => ({
    get(this: Cursor): bigint {
      return i64[(this.item >> 3) + at];
    },
    set(this: Cursor, value: bigint): void {
      i64[(this.item >> 3) + at] = value;
    },
  }),
  bigInteger(-0x8000000000000000n, 0x7fffffffffffffffn),
);

/** true or false, a byte. */
export const bool: Scalar<boolean, Uint8Array> = scalar(
  "bool",
  0,
  (m) => m.views.u8,
  (u8, at) => ({
    get(this: Cursor): boolean {
      return u8[this.item + at] !== 0;
    },
    set(this: Cursor, value: boolean): void {
      u8[this.item + at] = value ? 1 : 0;
    },
  }),
  (value) => (typeof value === "boolean" ? null : `${typeof value} is neither true nor false`),
);

/** A field that holds one of several names, as their index in a byte. */
export interface EnumType<T extends string> extends Scalar<T, Uint8Array> {
  /** The names; their places are what is stored. */
  readonly names: readonly T[];
}

const MAX_NAMES = 256;

/**
 * One of several names.
 * @param names - 1 to 256 different strings; the order is part of the layout.
 * @throws UmaError ERR_UMA_STRUCT when there are none, too many, or one twice. Setting any other name: ERR_UMA_VALUE, as is
 *   reading a byte that stands for no name (an item that nothing was ever stored in).
 */
export function enumOf<const T extends readonly string[]>(...names: T): EnumType<T[number]> {
  type Name = T[number];
  if (names.length < 1 || names.length > MAX_NAMES) throw structError(`enumOf takes 1 to ${MAX_NAMES} names`, names.length);
  const places = new Map<string, number>();
  for (const name of names) {
    if (typeof name !== "string") throw structError(`enumOf takes strings, not ${typeof name}`);
    if (places.has(name)) throw structError(`enumOf has the name ${JSON.stringify(name)} twice`);
    places.set(name, places.size);
  }
  const refuses = (value: Name): string | null =>
    places.has(value) ? null : `${JSON.stringify(value)} is none of ${names.map((name) => JSON.stringify(name)).join(", ")}`;
  const base = scalar<Name, Uint8Array>(
    "enum",
    0,
    (m) => m.views.u8,
    (u8, at, m, where) => {
      const count = names.length;
      return {
        get(this: Cursor): Name {
          const place = u8[this.item + at];
          if (place < count) return names[place] as Name;
          throw valueError(m, where, `holds ${place}, which stands for no name`);
        },
        set(this: Cursor, value: Name): void {
          const place = places.get(value);
          if (place === undefined) throw valueError(m, where, refuses(value) as string);
          u8[this.item + at] = place;
        },
      };
    },
    refuses,
    `enum(${names.map((name) => JSON.stringify(name)).join(",")})`,
  );
  return Object.freeze({ ...base, names });
}

/** What names a zone: its definition, or just its name (for zones that refer to themselves or to each other). */
export type ZoneName<N extends string> = N | { readonly name: N };

/** A field that holds the address of an item of a zone. */
export interface ReferenceType<N extends string> extends Scalar<Item<N>, Int32Array> {
  /** Name of that zone. */
  readonly to: N;
}

/**
 * A reference to an item of another zone (or of the same: name it by its string); 0 = none. Nobody counts references: whoever
 * frees the item sees to it that nobody follows them. Debug zones check at every set that it is an allocated item of that zone.
 */
export function ref<const N extends string>(zone: ZoneName<N>): ReferenceType<N> {
  const to = typeof zone === "object" && zone !== null ? zone.name : zone;
  if (typeof to !== "string" || to === "") throw structError("ref takes the definition of a zone, or its name");
  const base = scalar<Item<N>, Int32Array>(
    "ref",
    2,
    (m) => m.views.i32,
    (i32, at) => ({
      get(this: Cursor): Item<N> {
        return i32[(this.item >> 2) + at];
      },
      set(this: Cursor, value: Item<N>): void {
        i32[(this.item >> 2) + at] = value;
      },
    }),
    (value, m) => (value === 0 ? null : m.refusesReference(to, value)),
    `ref(${JSON.stringify(to)})`,
  );
  return Object.freeze({ ...base, to });
}

/** Whether a field type is one element of a typed array. */
export function isScalar(type: FieldType<unknown>): type is Scalar<unknown, ColumnView> {
  return "shift" in type;
}
