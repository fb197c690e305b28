/** Small traces, written by hand or at random, for the tests of the command line. */
import { gzipSync } from "node:zlib";

export type Op =
  | { readonly kind: "alloc"; readonly size: number; readonly thread?: number }
  | { readonly kind: "free"; readonly id: number; readonly thread?: number }
  | { readonly kind: "realloc"; readonly id: number; readonly size: number; readonly thread?: number };

/** The body of a trace: LEB128 numbers. */
export function body(ops: readonly Op[]): number[] {
  const bytes: number[] = [];
  const number = (value: number): void => {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
    bytes.push(rest);
  };
  let next = 0;
  let current = 0;
  for (const op of ops) {
    const thread = op.thread ?? 0;
    if (thread !== current) number(thread * 4 + 3);
    current = thread;
    if (op.kind === "alloc") number(op.size * 4);
    else number((next - op.id) * 4 + (op.kind === "free" ? 1 : 2));
    if (op.kind === "realloc") number(op.size);
    if (op.kind !== "free") next++;
  }
  return bytes;
}

/** What the header must say of `ops`. */
export function headerOf(ops: readonly Op[]): Record<string, number | string> {
  const sizes: number[] = [];
  let live = 0;
  let peak = 0;
  const counts = { alloc: 0, free: 0, realloc: 0 };
  for (const op of ops) {
    counts[op.kind]++;
    if (op.kind !== "alloc") live -= sizes[op.id] as number;
    if (op.kind === "free") continue;
    sizes.push(op.size);
    live += op.size;
    peak = Math.max(peak, live);
  }
  const threads = 1 + Math.max(0, ...ops.map((op) => op.thread ?? 0));
  return { ...counts, threads, peak, ops: ops.length, leftover: counts.alloc - counts.free, name: "test" };
}

/** A whole trace file. */
export function traceOf(ops: readonly Op[], header: Record<string, unknown> = headerOf(ops)): Buffer {
  return gzipSync(Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), Buffer.from(body(ops))]));
}

/** A random valid trace of `threads` threads. @param random - 0 ≤ random() < 1. */
export function randomOps(count: number, threads: number, random: () => number): Op[] {
  const ops: Op[] = [];
  const alive: number[] = [];
  let next = 0;
  const below = (n: number): number => Math.floor(random() * n);
  for (let n = 0; n < count; n++) {
    const thread = below(threads);
    const size = random() < 0.9 ? below(600) : below(40_000);
    const what = random();
    if (alive.length === 0 || what < 0.5) {
      ops.push({ kind: "alloc", size, thread });
      alive.push(next++);
      continue;
    }
    const [id] = alive.splice(below(alive.length), 1) as [number];
    if (what < 0.9) {
      ops.push({ kind: "free", id, thread });
    } else {
      ops.push({ kind: "realloc", id, size, thread });
      alive.push(next++);
    }
  }
  return ops;
}

/** A small generator of numbers in [0, 1) from a seed. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
