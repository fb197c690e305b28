/**
 * Cursors: small objects that stand on an item and show its fields as properties.
 *
 * A cursor is moved, not made: `cursor.item = address` and every property reads and writes that item. One class is made for each
 * struct, memory and place, with accessors on its prototype (an object literal with accessors is a hundred times slower, and a
 * Proxy, too). Nested structs and arrays have cursors of their own inside, moved along when they are asked for.
 */
import { type Accessors, type Cursor, type FieldMemory, type FieldType, INNER, valueError } from "./field.ts";

/** A field at its place. */
export interface Part {
  readonly name: string;
  readonly type: FieldType<unknown>;
  /** Bytes from the start of the struct. */
  readonly offset: number;
}

/** Every cursor, whatever its fields. */
export interface AnyCursor extends Cursor {
  at(item: number): this;
  set(values: object): void;
  toObject(): Record<string, unknown>;
}

/** Names that cursors have themselves, so that no field can. */
export const RESERVED_NAMES: readonly string[] = ["item", "at", "set", "toObject", "constructor", "__proto__"];

/** What has a form of its own to be copied out in. */
interface Copied {
  toObject(): unknown;
}

/**
 * Makes the class of cursors over `parts`.
 * @param where - name of the struct, for errors; "" for an item itself.
 * @param live - debug zones: what each access asks first, whether the item is alive; null: it does not.
 */
export function makeCursorClass(
  parts: readonly Part[],
  memory: FieldMemory,
  where: string,
  live: ((address: number) => void) | null,
): new () => AnyCursor {
  const makers: (() => object)[] = [];
  const accessors = new Map<string, Accessors<unknown>>();

  class ItemCursor implements AnyCursor {
    item = 0;
    readonly [INNER]: readonly object[];

    constructor() {
      this[INNER] = makers.map((make) => make());
    }

    at(item: number): this {
      this.item = item;
      return this;
    }

    set(values: object): void {
      const given = pick(values);
      for (const [name, value] of given) {
        const why = (accessors.get(name) as Accessors<unknown>).refuses(value);
        if (why !== null) throw valueError(memory, join(where, name), why);
      }
      for (const [name, value] of given) (this as unknown as Record<string, unknown>)[name] = value;
    }

    toObject(): Record<string, unknown> {
      const copy: Record<string, unknown> = {};
      for (const { name } of parts) copy[name] = copied((this as unknown as Record<string, unknown>)[name]);
      return copy;
    }
  }

  /** The fields that `values` (a plain object, or a cursor) has; throws at a name that is no field. */
  function pick(values: object): [string, unknown][] {
    if (typeof values !== "object" || values === null) throw valueError(memory, where === "" ? "set" : where, "takes an object of values");
    if (!(INNER in values)) {
      for (const name of Object.keys(values)) {
        if (!accessors.has(name)) throw valueError(memory, join(where, name), "there is no such field");
      }
    }
    const given: [string, unknown][] = [];
    for (const { name } of parts) {
      const value = (values as Record<string, unknown>)[name];
      if (value !== undefined) given.push([name, value]);
    }
    return given;
  }

  for (const { name, type, offset } of parts) {
    const plain = type.accessors(memory, offset, makers.length, join(where, name));
    if (plain.inner !== null) makers.push(plain.inner);
    const { get, set } = live === null ? plain : guarded(plain, memory, join(where, name), live);
    accessors.set(name, plain);
    Object.defineProperty(ItemCursor.prototype, name, { get, set, enumerable: true, configurable: false });
  }
  return ItemCursor;
}

/** Accessors of debug zones: the item must be alive, and what is stored must survive the storing. */
function guarded(
  plain: Accessors<unknown>,
  memory: FieldMemory,
  where: string,
  live: (address: number) => void,
): Pick<Accessors<unknown>, "get" | "set"> {
  return {
    get(this: Cursor): unknown {
      live(this.item);
      return plain.get.call(this);
    },
    set(this: Cursor, value: unknown): void {
      live(this.item);
      const why = plain.refuses(value);
      if (why !== null) throw valueError(memory, where, why);
      plain.set.call(this, value);
    },
  };
}

function copied(value: unknown): unknown {
  return typeof value === "object" && value !== null ? (value as Copied).toObject() : value;
}

function join(where: string, name: string): string {
  return where === "" ? name : `${where}.${name}`;
}
