/**
 * Theory: an access is announced before it happens. The runtime fills one set of registers per announcement (nothing is
 * allocated); the explorer copies them into a node of the worker's local graph, from which the access can be performed
 * any number of times, in any state of the memory.
 */

export type View = Int32Array | Uint8Array | Float64Array;
export type IntView = Int32Array | Uint8Array;

export const READ = 1;
export const WRITE = 2;
export const LOAD = 3;
export const STORE = 4;
export const UPDATE = 5;
export const CAS = 6;
export const WAIT = 7;
export const NOTIFY = 8;
export const BULK = 9;
/** Not accesses: the ways in which a program ends. */
export const DONE = 10;
export const THROWN = 11;

export const KIND_NAMES = ["?", "read", "write", "load", "store", "update", "cas", "wait", "notify", "bulk", "done", "throws"] as const;

/** What Atomics.wait answers, by code. */
export const WAIT_ANSWERS = ["ok", "not-equal", "timed-out"] as const;
export const OK = 0;
export const NOT_EQUAL = 1;
export const TIMED_OUT = 2;

export interface Access {
  kind: number;
  view: View;
  index: number;
  /** Value to write, operand, expected value, or count. */
  a: number;
  /** Replacement of a compare-exchange, or time-out of a wait. */
  b: number;
  /** Operation of an update, or method of a bulk access. */
  op: string;
  args: readonly unknown[];
  site: number;
}

const NO_VIEW = new Int32Array(0);
const NO_ARGS: readonly unknown[] = [];

/** The registers. */
export const announced: Access = { kind: 0, view: NO_VIEW, index: 0, a: 0, b: 0, op: "", args: NO_ARGS, site: 0 };

export function announce(kind: number, view: View, index: number, a: number, b: number, site: number): number {
  announced.kind = kind;
  announced.view = view;
  announced.index = index;
  announced.a = a;
  announced.b = b;
  announced.site = site;
  return site;
}

export function writes(access: Access): boolean {
  switch (access.kind) {
    case READ:
    case LOAD:
      return false;
    case BULK:
      return access.op === "fill" || access.op === "copyWithin" || access.op === "set";
    default:
      // Waiting and notifying change the queue of sleepers.
      return true;
  }
}

/** Whether a kind's result is something the worker learns; a plain write teaches it nothing. */
export const teaches = (kind: number): boolean => kind !== WRITE && kind !== STORE;

/** The words [first, last] that an access may touch; first > last when it lies outside the view. */
export function wordRange(access: Access, into: { first: number; last: number }): void {
  const { view } = access;
  const size = view.BYTES_PER_ELEMENT;
  let from = access.index;
  let to = access.index + 1;
  if (access.kind === BULK) [from, to] = bulkRange(access);
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to > view.length) {
    into.first = 1;
    into.last = 0;
    return;
  }
  into.first = (view.byteOffset + from * size) >> 2;
  into.last = (view.byteOffset + to * size - 1) >> 2;
}

/** The elements [from, to) of a bulk access, both read and written ones together. */
function bulkRange(access: Access): [number, number] {
  const { length } = access.view;
  const at = (position: number, otherwise: number): number => {
    const value = access.args[position];
    if (value === undefined) return otherwise;
    const n = Math.trunc(Number(value)) || 0;
    return n < 0 ? Math.max(0, length + n) : Math.min(n, length);
  };
  switch (access.op) {
    case "fill":
      return [at(1, 0), Math.max(at(1, 0), at(2, length))];
    case "copyWithin": {
      const count = Math.max(0, Math.min(at(2, length) - at(1, 0), length - at(0, 0)));
      return [Math.min(at(0, 0), at(1, 0)), Math.max(at(0, 0), at(1, 0)) + count];
    }
    case "set": {
      const from = Number(access.args[1] ?? 0);
      return [from, from + ((access.args[0] as ArrayLike<number>).length || 0)];
    }
    case "subarray":
    case "slice":
      return [at(0, 0), Math.max(at(0, 0), at(1, length))];
    case "at":
      return [at(0, 0), at(0, 0) + 1];
    default:
      return [0, length];
  }
}
