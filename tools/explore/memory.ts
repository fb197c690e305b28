/**
 * Theory: the one shared memory of a scenario, with two services the explorer lives on: an incremental hash (Zobrist
 * style: each word contributes independently, so a store costs two contributions) and an undo log, so that backtracking
 * restores the memory without running anything again. The hash is relative to the start of the exploration.
 */
import { BULK, CAS, LOAD, READ, STORE, UPDATE, wordRange, WRITE, type Access, type IntView, type View } from "./access.ts";
import { wordA, wordB } from "./hash.ts";

const range = { first: 0, last: 0 };

export class OutOfRange extends Error {
  override name = "OutOfRange";
}

export class Memory {
  readonly words: Int32Array;
  hashA = 0;
  hashB = 0;
  private undo = new Int32Array(1 << 12);
  private top = 0;
  private readonly before: number[] = [];

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
  }

  mark(): number {
    return this.top;
  }

  rollback(mark: number): void {
    const { words, undo } = this;
    while (this.top > mark) {
      this.top -= 2;
      const word = undo[this.top] as number;
      const old = undo[this.top + 1] as number;
      const now = words[word] as number;
      this.hashA ^= wordA(word, now) ^ wordA(word, old);
      this.hashB ^= wordB(word, now) ^ wordB(word, old);
      words[word] = old;
    }
  }

  /** Performs an access; answers what the program would have got. */
  perform(access: Access): unknown {
    const { view, kind, index } = access;
    if (kind === READ || kind === LOAD) {
      const value = view[index];
      if (value === undefined) throw new OutOfRange(`reads index ${index} of ${view.length}`);
      return value;
    }
    wordRange(access, range);
    const { first, last } = range;
    if (first > last && !(kind === BULK)) throw new OutOfRange(`touches index ${index} of ${view.length}`);
    if (first === last) {
      const old = this.words[first] as number;
      const result = native(access);
      const now = this.words[first] as number;
      if (old !== now) this.changed(first, old, now);
      return result;
    }
    const { before } = this;
    for (let word = first; word <= last; word++) before[word - first] = this.words[word] as number;
    const result = native(access);
    for (let word = first; word <= last; word++) {
      const old = before[word - first] as number;
      const now = this.words[word] as number;
      if (old !== now) this.changed(word, old, now);
    }
    return result;
  }

  private changed(word: number, old: number, now: number): void {
    if (this.top + 2 > this.undo.length) {
      const larger = new Int32Array(this.undo.length * 2);
      larger.set(this.undo);
      this.undo = larger;
    }
    this.undo[this.top] = word;
    this.undo[this.top + 1] = old;
    this.top += 2;
    this.hashA ^= wordA(word, old) ^ wordA(word, now);
    this.hashB ^= wordB(word, old) ^ wordB(word, now);
  }
}

/** Performs an access with the language's own operation. Waits are not accesses to memory alone and are not done here. */
export function native(access: Access): unknown {
  const { view, index, a } = access;
  switch (access.kind) {
    case READ:
      return view[index];
    case WRITE:
      view[index] = a;
      return a;
    case LOAD:
      return Atomics.load(view as IntView, index);
    case STORE:
      return Atomics.store(view as IntView, index, a);
    case UPDATE:
      return update(access.op, view as IntView, index, a);
    case CAS:
      return Atomics.compareExchange(view as IntView, index, a, access.b);
    case BULK:
      return bulk(view, access.op, access.args);
    default:
      throw new Error(`not a plain access: ${access.kind}`);
  }
}

function update(op: string, view: IntView, index: number, a: number): number {
  switch (op) {
    case "add":
      return Atomics.add(view, index, a);
    case "sub":
      return Atomics.sub(view, index, a);
    case "and":
      return Atomics.and(view, index, a);
    case "or":
      return Atomics.or(view, index, a);
    case "xor":
      return Atomics.xor(view, index, a);
    case "exchange":
      return Atomics.exchange(view, index, a);
    default:
      throw new Error(`unknown operation Atomics.${op}`);
  }
}

/**
 * A bulk access. `subarray` answers a copy, because a live view would be read outside the schedule; what only changes answers
 * nothing: the view it would answer is the whole memory, and learning that would be learning everything.
 */
function bulk(view: View, op: string, args: readonly unknown[]): unknown {
  const name = op === "subarray" ? "slice" : op;
  const method = (view as unknown as Record<string, (...values: unknown[]) => unknown>)[name];
  if (!method) throw new Error(`unknown bulk method ${op}`);
  const answer = method.apply(view, [...args]);
  return answer === view ? undefined : answer;
}
