/**
 * Arrays of a fixed length: n fields of one type in a row, as in C.
 *
 * Read as `Cells`, a view like the cursor it belongs to: it moves along with it, and an element that is a struct is a cursor of the
 * array's own. Indices are checked always, because one read out of range would make every later read of that place slow.
 */
import { type AnyCursor, makeCursorClass } from "./cursor.ts";
import { type Accessors, type Cursor, type FieldMemory, type FieldType, INNER, isFieldType, structError, valueError } from "./field.ts";

/**
 * The elements of an array field.
 * @typeParam T - what an element is read as. @typeParam I - what it can be set from. @typeParam P - its plain copy.
 */
export interface Cells<T, I = T, P = T> extends Iterable<T> {
  readonly length: number;
  /** @throws UmaError ERR_UMA_VALUE for an index outside 0 … length − 1. */
  at(index: number): T;
  put(index: number, value: I): void;
  /** Stores the elements from the first on; fewer than there are leave the rest as it is, more are refused. */
  set(values: readonly I[] | Cells<T, I, P>): void;
  /** A plain copy. */
  toObject(): P[];
}

/** What an element type is read as, set from, and copied to: a struct says it of itself, all others read what they are. */
export interface ArrayType<E extends FieldType<unknown>, T, I, P> extends FieldType<Cells<T, I, P>> {
  readonly element: E;
  readonly length: number;
}

/** Element cursors have one field, of this name. */
const ELEMENT = "value";

interface ElementCursor extends AnyCursor {
  value: unknown;
}

/** Makes the array type; the exported {@link array} in struct.ts gives it its precise type. */
export function makeArray(element: FieldType<unknown>, length: number): ArrayType<FieldType<unknown>, unknown, unknown, unknown> {
  if (!isFieldType(element)) throw structError("array takes a field type and a length");
  if (!Number.isInteger(length) || length < 1 || length > 2 ** 28) {
    throw structError(`the length of an array is an integer from 1 to ${2 ** 28}, not ${String(length)}`, length);
  }
  const stride = element.size;
  return Object.freeze({
    kind: "array",
    size: stride * length,
    align: element.align,
    signature: `${element.signature}[${length}]`,
    element,
    length,
    accessors(memory: FieldMemory, offset: number, index: number, where: string): Accessors<Cells<unknown>> {
      const ArrayCells = makeCellsClass(element, length, memory, where);
      return {
        get(this: Cursor): Cells<unknown> {
          const cells = this[INNER][index] as InstanceType<typeof ArrayCells>;
          cells.item = this.item + offset;
          return cells;
        },
        set(this: Cursor, values: Cells<unknown>): void {
          const cells = this[INNER][index] as InstanceType<typeof ArrayCells>;
          cells.item = this.item + offset;
          cells.set(values);
        },
        refuses: (values) => new ArrayCells().refuses(values),
        inner: () => new ArrayCells(),
      };
    },
  });
}

function makeCellsClass(
  element: FieldType<unknown>,
  length: number,
  memory: FieldMemory,
  where: string,
): new () => Cells<unknown> & { item: number; refuses(values: unknown): string | null } {
  const stride = element.size;
  const label = `${where}[]`;
  const ElementClass = makeCursorClass([{ name: ELEMENT, type: element, offset: 0 }], memory, label, memory.livePart);
  const bound = element.accessors(memory, 0, 0, label);

  return class ArrayCells {
    item = 0;
    readonly length = length;
    readonly #element = new ElementClass() as ElementCursor;

    at(index: number): unknown {
      this.#moveTo(index);
      return this.#element.value;
    }

    put(index: number, value: unknown): void {
      this.#moveTo(index);
      const why = memory.live === null ? null : bound.refuses(value);
      if (why !== null) throw valueError(memory, `${where}[${index}]`, why);
      this.#element.value = value;
    }

    set(values: readonly unknown[] | Cells<unknown>): void {
      const why = this.refuses(values);
      if (why !== null) throw valueError(memory, where, why);
      let index = 0;
      for (const value of values) this.put(index++, value);
    }

    refuses(values: unknown): string | null {
      if (typeof values !== "object" || values === null || !(Symbol.iterator in values)) return "is set from an array of values";
      let index = 0;
      for (const value of values as Iterable<unknown>) {
        if (index === length) return `more than ${length} values`;
        const why = bound.refuses(value);
        if (why !== null) return `[${index}]: ${why}`;
        index++;
      }
      return null;
    }

    toObject(): unknown[] {
      const copy: unknown[] = [];
      for (const value of this) copy.push(typeof value === "object" ? (value as { toObject(): unknown }).toObject() : value);
      return copy;
    }

    *[Symbol.iterator](): Generator<unknown, void, void> {
      const { item } = this;
      for (let index = 0; index < length; index++) {
        this.item = item;
        yield this.at(index);
      }
    }

    #moveTo(index: number): void {
      if (!Number.isInteger(index) || index < 0 || index >= length) {
        throw valueError(memory, where, `${String(index)} is no index from 0 to ${length - 1}`);
      }
      this.#element.item = this.item + index * stride;
    }
  };
}
