/**
 * Structs: fields in a row, with the padding and alignment of C.
 *
 * Each field starts at the next multiple of its alignment; the struct is aligned as its most aligned field, and as long as a
 * multiple of that. So a C compiler, a shader (std430 for scalars) or a WebAssembly module that declares the same fields in the
 * same order finds them at the same offsets, which can be read from the value.
 */
import { MAX_MEMORY_BYTES } from "../../backend/memory/buffer.ts";
import { type ArrayType, makeArray } from "./array.ts";
import { type AnyCursor, makeCursorClass, type Part, RESERVED_NAMES } from "./cursor.ts";
import { type Accessors, type Cursor, type FieldMemory, type FieldType, INNER, isFieldType, structError } from "./field.ts";

/** Names and types of a struct's fields, in the order in which they lie. */
export type Fields = Readonly<Record<string, FieldType<unknown>>>;

type Simplify<T> = { [K in keyof T]: T[K] } & {};

type AnyArray = ArrayType<FieldType<unknown>, unknown, unknown, unknown>;

/** What a field is read as. */
export type ReadOf<X> = X extends FieldType<infer T> ? T : never;
/** What a field can be set from: for structs any part of their values, for arrays their first elements. */
export type InputOf<X> =
  X extends Struct<infer F>
    ? InputFields<F>
    : X extends ArrayType<infer E, infer _T, infer _I, infer _P>
      ? readonly InputOf<E>[]
      : ReadOf<X>;
/** The plain copy of a field. */
export type PlainOf<X> =
  X extends Struct<infer F> ? PlainFields<F> : X extends ArrayType<infer E, infer _T, infer _I, infer _P> ? PlainOf<E>[] : ReadOf<X>;

export type InputFields<F extends Fields> = Simplify<{ readonly [K in keyof F]?: InputOf<F[K]> }>;
export type PlainFields<F extends Fields> = Simplify<{ -readonly [K in keyof F]: PlainOf<F[K]> }>;

type ArrayKeys<F extends Fields> = { [K in keyof F]: F[K] extends AnyArray ? K : never }[keyof F];

/** The fields of a struct as properties. */
export type FieldsOf<F extends Fields> = Simplify<
  { -readonly [K in Exclude<keyof F, ArrayKeys<F>>]: ReadOf<F[K]> } & { readonly [K in ArrayKeys<F>]: ReadOf<F[K]> }
>;

/** A struct type: also a field type, for structs in structs. */
export interface Struct<F extends Fields> extends FieldType<FieldsOf<F>> {
  readonly fields: F;
  /** Bytes from the start of the struct. */
  readonly offsets: { readonly [K in keyof F]: number };
  /** Of the layout: names, types, offsets. Equal in every thread that has the same definition; never 0. */
  readonly hash: number;
  /** The fields at their places. @internal */
  readonly parts: readonly Part[];
}

/** Largest item. */
const MAX_BYTES = MAX_MEMORY_BYTES / 2;
const FIELD_NAME = /^[A-Za-z_$][\w$]*$/;

/**
 * A struct of the given fields, laid out in their order by C's rules.
 * @throws UmaError ERR_UMA_STRUCT for a field of unknown type, a name that cannot be one, no fields, or more than 1 GiB.
 */
export function struct<const F extends Fields>(fields: F): Struct<F> {
  if (typeof fields !== "object" || fields === null) throw structError("struct takes an object of field types");
  const parts: Part[] = [];
  const offsets: Record<string, number> = {};
  let size = 0;
  let align = 1;
  for (const [name, type] of Object.entries(fields)) {
    if (!FIELD_NAME.test(name)) throw structError(`${JSON.stringify(name)} cannot name a field: letters, digits, _ and $, no digit first`);
    if (RESERVED_NAMES.includes(name)) throw structError(`no field can be named ${name}: cursors have ${RESERVED_NAMES.join(", ")}`);
    if (!isFieldType(type)) throw structError(`field ${name} is of no known type`);
    const offset = roundUp(size, type.align);
    offsets[name] = offset;
    parts.push(Object.freeze({ name, type, offset }));
    size = offset + type.size;
    align = Math.max(align, type.align);
  }
  if (parts.length === 0) throw structError("a struct has at least one field");
  size = roundUp(size, align);
  if (size > MAX_BYTES) throw structError(`a struct of ${size} bytes is too large; ${MAX_BYTES} at most`, size);
  const signature = `{${parts.map(({ name, type, offset }) => `${name}:${type.signature}@${offset}`).join(";")}}${size}/${align}`;
  return Object.freeze({
    kind: "struct",
    size,
    align,
    signature,
    fields,
    offsets: Object.freeze(offsets) as { readonly [K in keyof F]: number },
    hash: hashOf(signature),
    parts,
    accessors(memory: FieldMemory, offset: number, index: number, where: string): Accessors<FieldsOf<F>> {
      const Nested = makeCursorClass(parts, memory, where, memory.livePart);
      const bound = new Map(parts.map((part) => [part.name, part.type.accessors(memory, part.offset, 0, `${where}.${part.name}`)]));
      return {
        get(this: Cursor): FieldsOf<F> {
          const nested = this[INNER][index] as AnyCursor;
          nested.item = this.item + offset;
          return nested as unknown as FieldsOf<F>;
        },
        set(this: Cursor, values: FieldsOf<F>): void {
          const nested = this[INNER][index] as AnyCursor;
          // The value may be a cursor of the same place that is about to be moved.
          const given = (values as object) === nested ? nested.toObject() : values;
          nested.item = this.item + offset;
          nested.set(given);
        },
        refuses(values: FieldsOf<F>): string | null {
          if (typeof values !== "object" || values === null) return "is set from an object of values";
          for (const [name, value] of Object.entries(values)) {
            const why = INNER in values ? null : (bound.get(name)?.refuses(value) ?? (bound.has(name) ? null : "there is no such field"));
            if (why !== null) return `.${name}: ${why}`;
          }
          return null;
        },
        inner: () => new Nested(),
      };
    },
  });
}

/** `length` fields of one type in a row. @throws UmaError ERR_UMA_STRUCT for a length that is no positive integer. */
export function array<const E extends FieldType<unknown>>(element: E, length: number): ArrayType<E, ReadOf<E>, InputOf<E>, PlainOf<E>> {
  return makeArray(element, length) as unknown as ArrayType<E, ReadOf<E>, InputOf<E>, PlainOf<E>>;
}

/** FNV-1a over UTF-16 units, as a non-zero signed word. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let n = 0; n < text.length; n++) hash = Math.imul(hash ^ text.charCodeAt(n), 0x01000193);
  return hash === 0 ? 1 : hash;
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
