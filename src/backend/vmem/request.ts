/**
 * Requests: what is asked of an arena, checked, and where in a free segment it can be met.
 *
 * A constrained request wants a start ≡ phase (mod align), lying with all its size in [min, max), and not across a multiple of
 * nocross. align and nocross are powers of two and align divides nocross, so wherever a boundary is in the way, the next start of
 * the right phase behind it (or the last one before it) is clear of boundaries: two steps decide, exactly.
 *
 * All numbers are exact: integers up to 2⁵³ − 1, divided by powers of two only.
 */
import { UmaError } from "../memory/errors.ts";

/** How a free segment is chosen; see docs/vmem.md for what each costs and which are exact. */
export type FitPolicy = "instant" | "best" | "first" | "next";

export const POLICY_INSTANT = 0;
export const POLICY_BEST = 1;
export const POLICY_FIRST = 2;
export const POLICY_NEXT = 3;
const POLICIES: readonly FitPolicy[] = ["instant", "best", "first", "next"];

/** Greatest end that a span can have: the last integer is 2⁵³ − 1. */
export const MOST_END: number = 2 ** 53;

export interface FitOptions {
  /** Default "instant": constant time at any fragmentation. */
  readonly policy?: FitPolicy;
  /** Prefer high addresses (VM_ENDALLOC): exact with "first", within the chosen segment otherwise; not with "next". */
  readonly end?: boolean;
}

/** Constraints of `xalloc`; 0 or absent = none. */
export interface Constraints extends FitOptions {
  /** Start ≡ phase (mod align): a power of two, a multiple of the quantum. Default the quantum. */
  readonly align?: number;
  /** A multiple of the quantum below align. */
  readonly phase?: number;
  /** No multiple of this lies within the result: a power of two, at least align and phase + size. */
  readonly nocross?: number;
  /** The result lies in [min, max). */
  readonly min?: number;
  readonly max?: number;
}

/** A checked request. `start` is where the last search placed it. */
export interface Request {
  size: number;
  align: number;
  phase: number;
  nocross: number;
  min: number;
  max: number;
  policy: number;
  end: boolean;
  /** Whether any free segment of the size will do. */
  plain: boolean;
  start: number;
  /** Intent frame that the result is held in, as a span on its way to another arena; 0 = none. */
  frame: number;
  /** Byte address of the page that stands for the result, a run of the quantum caches; 0 = none. */
  shadow: number;
}

export function emptyRequest(): Request {
  return {
    size: 0,
    align: 1,
    phase: 0,
    nocross: 0,
    min: 0,
    max: MOST_END,
    policy: POLICY_INSTANT,
    end: false,
    plain: true,
    start: 0.5,
    frame: 0,
    shadow: 0,
  };
}

/** Answer of {@link place}: it does not fit. */
export const NOWHERE = -1;

/** Where in the free segment [from, from + size) the request fits: lowest, or highest if it prefers the end; NOWHERE. */
export function place(r: Request, from: number, size: number): number {
  if (size < r.size) return NOWHERE;
  if (r.plain) return r.end ? from + size - r.size : from;
  const low = Math.max(from, r.min);
  const high = Math.min(from + size, r.max) - r.size;
  if (high < low) return NOWHERE;
  return r.end ? placeHigh(r, low, high) : placeLow(r, low, high);
}

function placeLow(r: Request, low: number, high: number): number {
  let start = upTo(r, low);
  const boundary = boundaryIn(r, start);
  if (boundary > 0) start = upTo(r, boundary);
  return start <= high ? start : NOWHERE;
}

function placeHigh(r: Request, low: number, high: number): number {
  let start = downTo(r, high);
  const boundary = boundaryIn(r, start);
  if (boundary > 0) start = downTo(r, boundary - r.size);
  return start >= low ? start : NOWHERE;
}

/** Least start of the right phase at or above `at`. */
function upTo(r: Request, at: number): number {
  const start = Math.floor((at - r.phase) / r.align) * r.align + r.phase;
  return start < at ? start + r.align : start;
}

function downTo(r: Request, at: number): number {
  return Math.floor((at - r.phase) / r.align) * r.align + r.phase;
}

/** The multiple of nocross that lies strictly within the result if it began at `start`; 0 = none. */
function boundaryIn(r: Request, start: number): number {
  if (r.nocross === 0 || start < 0) return 0;
  const boundary = Math.floor((start + r.size - 1) / r.nocross) * r.nocross;
  return boundary > start ? boundary : 0;
}

export function isPowerOfTwo(value: number): boolean {
  if (!Number.isSafeInteger(value) || value < 1) return false;
  return value < 0x80000000 ? (value & (value - 1)) === 0 : 2 ** Math.round(Math.log2(value)) === value;
}

/** Checks a size and rounds it up to the quantum. */
export function checkSize(size: unknown, quantum: number, arena: string): number {
  if (typeof size === "number" && Number.isSafeInteger(size) && size > 0) {
    const rounded = Math.ceil(size / quantum) * quantum;
    if (rounded < MOST_END) return rounded;
  }
  throw new UmaError("ERR_VMEM_OPTION", `size ${String(size)} for arena "${arena}"; allowed: an integer from 1 to ${MOST_END - quantum}`, {
    zone: arena,
    ...(typeof size === "number" ? { value: size } : {}),
  });
}

/** Fills in an unconstrained request. */
export function fillPlain(r: Request, size: number, quantum: number, options: FitOptions | undefined, arena: string): void {
  r.size = checkSize(size, quantum, arena);
  r.plain = true;
  r.policy = POLICY_INSTANT;
  r.end = false;
  if (options !== undefined) fillPolicy(r, options, arena);
}

function fillPolicy(r: Request, options: FitOptions, arena: string): void {
  if (options === null || typeof options !== "object") throw contradiction(arena, "options must be an object", undefined);
  const { policy = "instant", end = false } = options;
  r.policy = POLICIES.indexOf(policy);
  if (r.policy < 0) throw contradiction(arena, `policy ${String(policy)}; allowed: ${POLICIES.join(", ")}`, undefined);
  if (typeof end !== "boolean") throw contradiction(arena, `end ${String(end)}; allowed: true or false`, undefined);
  if (end && r.policy === POLICY_NEXT) throw contradiction(arena, 'end contradicts policy "next", which goes upwards', undefined);
  r.end = end;
}

/** Fills in a constrained request. */
export function fillConstrained(r: Request, size: number, quantum: number, c: Constraints | undefined, arena: string): void {
  fillPlain(r, size, quantum, c, arena);
  const { align = 0, phase = 0, nocross = 0, min = 0, max = 0 } = c ?? {};
  const fail = (what: string, value: unknown): never => {
    throw contradiction(arena, what, value);
  };
  for (const [name, value] of Object.entries({ align, phase, nocross, min, max })) {
    if (!Number.isSafeInteger(value) || value < 0) fail(`${name} ${String(value)}; allowed: an integer from 0 to 2^53 − 1`, value);
    if (name !== "min" && name !== "max" && value % quantum !== 0) fail(`${name} ${value} is no multiple of the quantum ${quantum}`, value);
  }
  if (r.size !== size) fail(`size ${size} is no multiple of the quantum ${quantum}`, size);
  if (align !== 0 && !isPowerOfTwo(align)) fail(`align ${align} is no power of two`, align);
  if (nocross !== 0 && !isPowerOfTwo(nocross)) fail(`nocross ${nocross} is no power of two`, nocross);
  const unit = Math.max(align, quantum);
  if (phase >= unit) fail(`phase ${phase} is not below align ${unit}`, phase);
  if (nocross !== 0 && nocross < unit) fail(`nocross ${nocross} is below align ${unit}`, nocross);
  if (nocross !== 0 && phase + size > nocross)
    fail(`phase ${phase} + size ${size} cannot fit between multiples of nocross ${nocross}`, size);
  if (max !== 0 && min >= max) fail(`min ${min} is not below max ${max}`, min);
  if (max !== 0 && max - min < size) fail(`size ${size} does not fit in [min ${min}, max ${max})`, size);
  r.align = unit;
  r.phase = phase;
  r.nocross = nocross;
  r.min = min;
  r.max = max === 0 ? MOST_END : max;
  r.plain = unit === quantum && phase === 0 && nocross === 0 && min === 0 && max === 0;
}

function contradiction(arena: string, what: string, value: unknown): UmaError {
  return new UmaError("ERR_VMEM_CONSTRAINT", `arena "${arena}": ${what}`, {
    zone: arena,
    ...(typeof value === "number" ? { value } : {}),
  });
}
