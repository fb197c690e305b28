/**
 * Allocation traces: reading and checking one.
 *
 * A `.trace.gz` is gzip of one line of JSON (counts), then unsigned LEB128 numbers. In each number the low two bits say what it is
 * and the rest is v: 0 = an object of v bytes is allocated and gets the next id; 1 = the object (next id − v) is freed; 2 = that
 * object is reallocated to as many bytes as the following number says, and goes on under the next id; 3 = what follows is done by
 * thread v. Everything is checked here (every free of something alive, every count of the header), so that what replays it need not.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { UsageError } from "./usage-error.ts";

export const ALLOC = 0;
export const FREE = 1;
export const REALLOC = 2;
const THREAD = 3;

export interface Trace {
  /** Name of the program. */
  readonly name: string;
  readonly threads: number;
  /** Operations, in the order in which they happened: ALLOC, FREE or REALLOC; whose; and the object made, or freed. */
  readonly kinds: Uint8Array;
  readonly threadOf: Uint16Array;
  readonly objectOf: Int32Array;
  /** By object: its bytes, and the object it was reallocated from (−1 = it was allocated). */
  readonly sizes: Int32Array;
  readonly madeFrom: Int32Array;
  readonly allocs: number;
  readonly frees: number;
  readonly reallocs: number;
  /** Bytes alive at the most, and objects alive at the end. */
  readonly peakBytes: number;
  readonly leftover: number;
}

/** No trace that is replayed here needs more than this, unpacked. */
const MOST_UNPACKED_BYTES = 2 ** 30;
/** So that an id and four bits fit a word. */
const MOST_OBJECTS = 2 ** 27;
const MOST_THREADS = 65_536;
const MOST_SIZE_BYTES = 2 ** 31 - 1;

const COUNTS = ["alloc", "free", "realloc", "threads", "peak", "ops", "leftover"] as const;
type Header = { readonly name: string } & Readonly<Record<(typeof COUNTS)[number], number>>;

/** Reads the trace at `path`. @throws UsageError in one line: what the file is, or what it lacks. */
export function readTrace(path: string): Trace {
  const bytes = unpack(path);
  const lineEnd = bytes.indexOf(0x0a);
  const header = readHeader(path, bytes.subarray(0, Math.max(lineEnd, 0)));
  return decode(path, header, bytes, lineEnd + 1);
}

function unpack(path: string): Buffer {
  let packed: Buffer;
  try {
    packed = readFileSync(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  try {
    return gunzipSync(packed, { maxOutputLength: MOST_UNPACKED_BYTES });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "Z_BUF_ERROR") throw new UsageError(`${path} is truncated: its gzip stream ends early`);
    if (code === "ERR_BUFFER_TOO_LARGE") throw new UsageError(`${path} unpacks to more than ${MOST_UNPACKED_BYTES} bytes`);
    throw new UsageError(`${path} is no allocation trace: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readHeader(path: string, line: Buffer): Header {
  let header: Partial<Header> | null = null;
  try {
    header = JSON.parse(line.toString("utf8")) as Partial<Header> | null;
  } catch {
    // Told below, like a header of another kind.
  }
  if (header === null || typeof header !== "object" || typeof header.name !== "string") {
    throw new UsageError(`${path} is no allocation trace: it does not begin with a header line`);
  }
  for (const count of COUNTS) {
    if (Number.isSafeInteger(header[count]) && (header[count] as number) >= 0) continue;
    throw new UsageError(`${path} is no allocation trace: its header has no count "${count}"`);
  }
  const whole = header as Header;
  if (whole.ops !== whole.alloc + whole.free + whole.realloc) throw new UsageError(`${path} is damaged: the counts of its header disagree`);
  if (whole.alloc + whole.realloc > MOST_OBJECTS) throw new UsageError(`${path} has more than ${MOST_OBJECTS} objects`);
  if (whole.threads < 1 || whole.threads > MOST_THREADS) throw new UsageError(`${path} is damaged: it has ${whole.threads} threads`);
  return whole;
}

function decode(path: string, header: Header, bytes: Buffer, start: number): Trace {
  // Every operation is at least a byte long: a header that promises more than there is gets no memory.
  if (header.ops > bytes.length - start) throw new UsageError(`${path} is truncated: it ends before its ${header.ops} operations`);
  const objects = header.alloc + header.realloc;
  const kinds = new Uint8Array(header.ops);
  const threadOf = new Uint16Array(header.ops);
  const objectOf = new Int32Array(header.ops);
  const sizes = new Int32Array(objects);
  const madeFrom = new Int32Array(objects).fill(-1);
  const alive = new Uint8Array(objects);
  const seen: [number, number, number] = [0, 0, 0];
  let at = start;
  let next = 0;
  let thread = 0;
  let live = 0;
  let peak = 0;
  let ops = 0;

  const damaged = (what: string): UsageError => new UsageError(`${path} is damaged: operation ${ops} ${what}`);

  const number = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new UsageError(`${path} is truncated: it ends within operation ${ops} of ${header.ops}`);
      if (factor > 2 ** 42) throw damaged("has a number without end");
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };

  const make = (size: number): number => {
    if (next >= objects) throw damaged(`makes more than the ${objects} objects of the header`);
    if (size > MOST_SIZE_BYTES) throw damaged(`asks for ${size} bytes`);
    sizes[next] = size;
    alive[next] = 1;
    live += size;
    if (live > peak) peak = live;
    return next++;
  };

  const end = (back: number): number => {
    const id = next - back;
    if (back < 1 || id < 0 || alive[id] !== 1) throw damaged(`frees object ${id}, which is not alive`);
    alive[id] = 0;
    live -= sizes[id] as number;
    return id;
  };

  while (at < bytes.length) {
    const word = number();
    const kind = word % 4;
    const value = (word - kind) / 4;
    if (kind === THREAD) {
      if (value >= header.threads) throw damaged(`is of thread ${value}; there are ${header.threads}`);
      thread = value;
      continue;
    }
    if (ops >= header.ops) throw new UsageError(`${path} is damaged: it has more than the ${header.ops} operations of its header`);
    if (kind === ALLOC) {
      objectOf[ops] = make(value);
    } else if (kind === FREE) {
      objectOf[ops] = end(value);
    } else {
      const old = end(value);
      const id = make(number());
      madeFrom[id] = old;
      objectOf[ops] = id;
    }
    kinds[ops] = kind;
    threadOf[ops] = thread;
    seen[kind as 0 | 1 | 2]++;
    ops++;
  }
  if (ops < header.ops) throw new UsageError(`${path} is truncated: it ends after ${ops} of ${header.ops} operations`);
  const [allocs, frees, reallocs] = seen;
  if (allocs !== header.alloc || frees !== header.free || reallocs !== header.realloc || peak !== header.peak) {
    throw new UsageError(`${path} is damaged: its operations are not those that its header counts`);
  }
  return {
    name: header.name,
    threads: header.threads,
    kinds,
    threadOf,
    objectOf,
    sizes,
    madeFrom,
    allocs,
    frees,
    reallocs,
    peakBytes: peak,
    leftover: allocs - frees,
  };
}
