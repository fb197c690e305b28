/**
 * Fields: what a struct is made of, and what any kind of field must be able to say of itself.
 *
 * A field type is a pure value: size, alignment, and a text that says how it is laid out (all openers of a zone compare the hash
 * of these texts). Once a zone is opened in a thread it is bound to the memory's views: {@link FieldType.accessors} makes the
 * getter and setter of one field at one offset. They work on a cursor, whose `item` is the byte address of the struct, and capture
 * the view and the offset as constants; each kind has accessors written out, so that each sees one kind of typed array only.
 */
import { UmaError } from "../../backend/memory/errors.ts";
import type { Views } from "../hooks.ts";

/** A typed array that a column of fields can be read through. */
export type ColumnView =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

declare const FLAVOUR: unique symbol;

/**
 * Address of an item of the zone named N, bytes; 0 = NULL. A plain number at run time, and any plain number passes for one; what
 * TypeScript refuses is an item of one zone where another's is wanted, or a handle where an item is.
 */
export type Item<N extends string = string> = number & { readonly [FLAVOUR]?: readonly ["item", N] };

/** Handle of an item of the zone named N: a positive, finite double, to be kept as it is (see handles.ts); 0 = none. */
export type Handle<N extends string = string> = number & { readonly [FLAVOUR]?: readonly ["handle", N] };

/** Where a cursor keeps the cursors of its nested parts: a symbol, so that it is nobody's field name. */
export const INNER: unique symbol = Symbol("inner");

/** What accessors work on: an address, and the cursors of nested parts, which move with it. */
export interface Cursor {
  /** Byte address of the item or nested part. */
  item: number;
  readonly [INNER]: readonly object[];
}

/** The memory that fields are bound to. */
export interface FieldMemory {
  readonly views: Views;
  readonly i64: BigInt64Array;
  readonly u64: BigUint64Array;
  /** Name of the zone, for errors. */
  readonly zone: string;
  /** Debug zones: throws when the item at this address is free. null elsewhere. */
  readonly live: ((item: number) => void) | null;
  /** Debug zones: throws when the item around this address is free. null elsewhere, and in hooks. */
  readonly livePart: ((address: number) => void) | null;
  /** Debug zones: why `item` is no allocated item of the zone of that name; null when it is one. */
  readonly refusesReference: (zone: string, item: number) => string | null;
}

/** Getter and setter of one field; the functions take the cursor as `this`. */
export interface Accessors<T> {
  get(this: Cursor): T;
  set(this: Cursor, value: T): void;
  /** Why a value cannot be stored without loss; null when it can. Setters of numbers store what typed arrays store. */
  refuses(value: T): string | null;
  /** Makes what a cursor keeps for this field and moves along; null for fields without parts. */
  readonly inner: (() => object) | null;
}

/** @typeParam T - what reading the field gives. */
export interface FieldType<T> {
  readonly kind: string;
  /** Bytes. */
  readonly size: number;
  readonly align: number;
  /** The layout in words; equal texts mean equal layouts. */
  readonly signature: string;
  /**
   * @param offset - from the cursor's `item`, bytes.
   * @param index - place in the cursor's INNER for fields with parts.
   * @param where - name of the field, for errors.
   */
  accessors(memory: FieldMemory, offset: number, index: number, where: string): Accessors<T>;
}

/** A field that one typed array shows. */
export interface Scalar<T, V extends ColumnView> extends FieldType<T> {
  /** log2 of the size. */
  readonly shift: number;
  view(memory: FieldMemory): V;
}

/** An error in the definition of a struct. */
export function structError(message: string, value?: number): UmaError {
  return new UmaError("ERR_UMA_STRUCT", message, value === undefined ? {} : { value });
}

/** A value that a field cannot hold. */
export function valueError(memory: FieldMemory, where: string, why: string): UmaError {
  return new UmaError("ERR_UMA_VALUE", `field ${where} of zone "${memory.zone}": ${why}`, { zone: memory.zone });
}

export function isFieldType(given: unknown): given is FieldType<unknown> {
  return typeof given === "object" && given !== null && "accessors" in given && typeof given.accessors === "function";
}
