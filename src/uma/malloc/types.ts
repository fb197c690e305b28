/**
 * Types of allocations: whose memory is it, in the program's own terms; malloc(9)'s malloc_type, and what `vmstat -m` shows.
 *
 * A type is a name that every thread knows by the same definition. Its record is an item of a zone of their own: name, description,
 * then a line of counters for each worker slot. A line has one writer, so counting takes two plain stores and no lock; whoever
 * reads adds the lines up. Records are linked into a list by one compare-exchange and stay for good; a record whose maker died
 * before that is freed by the next who opens the list.
 *
 * Counters belong to the slot, not to its tenant: a dead worker's stay right, and the next one goes on with them. What a worker was
 * killed in the middle of may be counted or not.
 */
import { UmaError, optionError } from "../../backend/memory/errors.ts";
import { ZONE_ROOT } from "../../backend/memory/layout.ts";
import { defineZone } from "../definition.ts";
import { freeLeftovers } from "../leftovers.ts";
import type { Uma } from "../uma.ts";
import type { Zone } from "../zone.ts";

/** A type as a pure value, for a module that every thread imports. */
export interface MallocType {
  readonly name: string;
  readonly description: string;
}

/** A line of `vmstat -m`. */
export interface TypeStatistics {
  readonly name: string;
  readonly description: string;
  /** Allocations outstanding, and their bytes as laid out. */
  readonly inUse: number;
  readonly memUse: number;
  /** Allocations ever, and those that failed. */
  readonly requests: number;
  readonly fail: number;
  /** Sizes that were asked for, rounded up to powers of two, ascending. */
  readonly sizes: readonly number[];
}

/** The counters of one type, as this thread has them. */
export interface TypeCounters {
  readonly type: MallocType;
  /** An allocation of `bytes` bytes as laid out, for which `size` were asked. */
  allocated(bytes: number, size: number): void;
  freed(bytes: number): void;
  failed(): void;
}

export interface MallocTypes {
  /** The counters of a type. @throws UmaError ERR_UMA_EMPTY, ERR_UMA_BUSY when there is no memory for its record. */
  counters(type: MallocType): TypeCounters;
  /** All types that any thread has used, by name. */
  stats(): TypeStatistics[];
  /** The table of `vmstat -m`, a line at a time. */
  table(): Generator<string, void, void>;
}

/** A record, words: next record (byte address, 0 = last), lengths of name and description; then both, then the lines. */
const TYPE_NEXT = 0;
const TYPE_NAME_LENGTH = 2;
const TYPE_TEXT_LENGTH = 3;
const TYPE_NAME = 4;
const TYPE_NAME_BYTES = 48;
const TYPE_TEXT = 16;
const TYPE_TEXT_BYTES = 64;
const TYPE_LINES = 32;
/** A line, words; the first four are numbers. */
const LINE_WORDS = 16;
const LINE_ALLOCS = 0;
const LINE_FREES = 2;
const LINE_BYTES_IN = 4;
const LINE_BYTES_OUT = 6;
/** Bit k: a size of at most 2ᵏ was asked for. */
const LINE_SIZES = 8;
const LINE_FAILS = 9;

/**
 * Defines a type.
 * @param name - 1 to 48 bytes of UTF-8. @param description - up to 64 bytes.
 * @throws UmaError ERR_UMA_OPTION. @source FreeBSD malloc(9) MALLOC_DEFINE
 */
export function defineMallocType(name: string, description = ""): MallocType {
  const fits = (text: unknown, most: number): boolean => typeof text === "string" && new TextEncoder().encode(text).length <= most;
  if (!fits(name, TYPE_NAME_BYTES) || name === "") throw optionError("name", name, `a string of 1 to ${TYPE_NAME_BYTES} bytes of UTF-8`);
  if (!fits(description, TYPE_TEXT_BYTES)) throw optionError("description", description, `a string of at most ${TYPE_TEXT_BYTES} bytes`);
  return Object.freeze({ name, description });
}

/** The types of a memory. @throws UmaError ERR_UMA_EMPTY, ERR_UMA_BUSY. */
export function openTypes(uma: Uma): MallocTypes {
  const { i32, u8, f64 } = uma.core.floor.cells;
  const { slots, slot } = uma.core.floor;
  const records: Zone = uma.open(
    defineZone("malloc types", { size: (TYPE_LINES + (slots.count + 1) * LINE_WORDS) * 4, align: 64, bucket: 0, nofree: true, zero: true }),
  );
  const ROOT = records.zone + ZONE_ROOT;
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const known = new Map<string, TypeCounters>();
  // Of makers that died before they had linked them.
  freeLeftovers(uma.core, records, isLinked, (record) => records.free(record));

  function isLinked(record: number): boolean {
    let other = Atomics.load(i32, ROOT);
    while (other !== 0 && other !== record) other = i32[(other >>> 2) + TYPE_NEXT];
    return other !== 0;
  }

  function textAt(record: number, word: number, length: number): string {
    const at = record + (word << 2);
    return decoder.decode(u8.slice(at, at + length) as Uint8Array<ArrayBuffer>);
  }

  function nameOf(record: number): string {
    return textAt(record, TYPE_NAME, i32[(record >>> 2) + TYPE_NAME_LENGTH]);
  }

  function find(name: string): number {
    let record = Atomics.load(i32, ROOT);
    while (record !== 0 && nameOf(record) !== name) record = i32[(record >>> 2) + TYPE_NEXT];
    return record;
  }

  /** The record of a type, made and linked if it is new. */
  function recordOf(type: MallocType): number {
    const there = find(type.name);
    if (there !== 0) return there;
    const made = records.alloc();
    const w = made >>> 2;
    const name = encoder.encode(type.name);
    const text = encoder.encode(type.description);
    i32[w + TYPE_NAME_LENGTH] = name.length;
    i32[w + TYPE_TEXT_LENGTH] = text.length;
    u8.set(name, made + (TYPE_NAME << 2));
    u8.set(text, made + (TYPE_TEXT << 2));
    for (;;) {
      const first = Atomics.load(i32, ROOT);
      const other = find(type.name);
      if (other !== 0) {
        records.free(made);
        return other;
      }
      i32[w + TYPE_NEXT] = first;
      if (Atomics.compareExchange(i32, ROOT, first, made) === first) return made;
    }
  }

  function counters(type: MallocType): TypeCounters {
    const before = known.get(type.name);
    if (before !== undefined) return before;
    const line = (recordOf(type) >>> 2) + TYPE_LINES + slot * LINE_WORDS;
    const made: TypeCounters = {
      type,
      allocated(bytes, size) {
        f64[(line + LINE_ALLOCS) >> 1]++;
        f64[(line + LINE_BYTES_IN) >> 1] += bytes;
        i32[line + LINE_SIZES] |= 1 << (32 - Math.clz32(Math.max(size, 1) - 1));
      },
      freed(bytes) {
        f64[(line + LINE_FREES) >> 1]++;
        f64[(line + LINE_BYTES_OUT) >> 1] += bytes;
      },
      failed() {
        i32[line + LINE_FAILS]++;
      },
    };
    known.set(type.name, made);
    return made;
  }

  function statisticsOf(record: number): TypeStatistics {
    let allocs = 0;
    let frees = 0;
    let bytes = 0;
    let fail = 0;
    let mask = 0;
    for (let n = 0; n <= slots.count; n++) {
      const line = (record >>> 2) + TYPE_LINES + n * LINE_WORDS;
      allocs += f64[(line + LINE_ALLOCS) >> 1];
      frees += f64[(line + LINE_FREES) >> 1];
      bytes += f64[(line + LINE_BYTES_IN) >> 1] - f64[(line + LINE_BYTES_OUT) >> 1];
      mask |= i32[line + LINE_SIZES];
      fail += i32[line + LINE_FAILS];
    }
    const sizes: number[] = [];
    for (let bit = 0; bit < 32; bit++) if ((mask & (1 << bit)) !== 0) sizes.push(2 ** bit);
    const description = textAt(record, TYPE_TEXT, i32[(record >>> 2) + TYPE_TEXT_LENGTH]);
    return { name: nameOf(record), description, inUse: allocs - frees, memUse: bytes, requests: allocs, fail, sizes };
  }

  function stats(): TypeStatistics[] {
    const all: TypeStatistics[] = [];
    for (let record = Atomics.load(i32, ROOT); record !== 0; record = i32[(record >>> 2) + TYPE_NEXT]) all.push(statisticsOf(record));
    return all.sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  function* table(): Generator<string, void, void> {
    yield `${"Type".padStart(20)} ${"InUse".padStart(9)} ${"MemUse".padStart(9)} ${"Requests".padStart(10)}  Size(s)`;
    for (const { name, inUse, memUse, requests, sizes } of stats()) {
      const kib = `${Math.ceil(memUse / 1024)}K`;
      yield `${name.padStart(20)} ${String(inUse).padStart(9)} ${kib.padStart(9)} ${String(requests).padStart(10)}  ${sizes.join(",")}`;
    }
  }

  return { counters, stats, table };
}

/** Refuses what is no type. */
export function checkType(type: unknown): void {
  if (typeof type === "object" && type !== null && "name" in type && typeof type.name === "string") return;
  throw new UmaError("ERR_UMA_OPTION", "a type of malloc is made by defineMallocType (MALLOC_DEFINE)");
}
