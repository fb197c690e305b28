/**
 * Theory: shared memory is touched in four forms only, and this file is the one place that recognises them:
 *   element   i32[x] read, assigned, compound-assigned, or stepped by ++ and --
 *   atomic    Atomics.op(i32, …)
 *   bulk      i32.fill(…), u8.copyWithin(…), u8.set(…), u8.subarray(…), …
 * A view is known by its *name* (i32, u8, f64; also as the last member of a path: `m.i32`). What looks like a shared
 * access in a form that is not one of these (an alias of a view, a destructuring target, an unknown bulk method) is
 * reported, because an access which is not seen would make every claim of the explorer void.
 */
import type { AnyNode, CallExpression, Expression, MemberExpression, SpreadElement } from "acorn";
import { memberName } from "./ast.ts";

export const VIEW_NAMES: ReadonlySet<string> = new Set(["i32", "u8", "f64"]);

/** Bulk methods that write, and those that only read. */
export const BULK_WRITES: ReadonlySet<string> = new Set(["fill", "copyWithin", "set"]);
export const BULK_READS: ReadonlySet<string> = new Set(["subarray", "slice", "at", "indexOf", "lastIndexOf", "includes"]);

export const ATOMIC_READS: ReadonlySet<string> = new Set(["load"]);
export const ATOMIC_WRITES: ReadonlySet<string> = new Set(["store"]);
export const ATOMIC_UPDATES: readonly string[] = ["add", "sub", "and", "or", "xor", "exchange", "compareExchange"];

export type AtomicClass = "read" | "write" | "update" | "wait" | "notify";

export interface AtomicCall {
  readonly op: string;
  readonly class: AtomicClass;
  readonly view: Expression;
}

export interface BulkCall {
  readonly method: string;
  readonly writes: boolean;
  readonly view: Expression;
}

export type Element = MemberExpression & { object: Expression; property: Expression };

export function isView(node: AnyNode): boolean {
  if (node.type === "Identifier") return VIEW_NAMES.has(node.name);
  return node.type === "MemberExpression" && VIEW_NAMES.has(memberName(node) ?? "");
}

/** `i32[x]`, in whatever role. */
export function isElement(node: AnyNode): node is Element {
  return node.type === "MemberExpression" && node.computed && isView(node.object);
}

/** `Atomics.op(i32|u8, …)`; null for anything else. */
export function atomicCall(node: CallExpression): AtomicCall | null {
  const { callee } = node;
  if (callee.type !== "MemberExpression" || callee.object.type !== "Identifier" || callee.object.name !== "Atomics") return null;
  const op = memberName(callee);
  const view = node.arguments[0];
  if (op === null || !view || view.type === "SpreadElement" || !isView(view)) return null;
  const kind = atomicClass(op);
  return kind && { op, class: kind, view };
}

function atomicClass(op: string): AtomicClass | null {
  if (ATOMIC_READS.has(op)) return "read";
  if (ATOMIC_WRITES.has(op)) return "write";
  if (ATOMIC_UPDATES.includes(op)) return "update";
  if (op === "wait" || op === "notify") return op;
  return null;
}

/** `i32.fill(…)` and its like; null for anything else. */
export function bulkCall(node: CallExpression): BulkCall | null {
  const { callee } = node;
  if (callee.type !== "MemberExpression" || callee.computed || callee.object.type === "Super" || !isView(callee.object)) return null;
  const method = memberName(callee);
  if (method === null || !(BULK_WRITES.has(method) || BULK_READS.has(method))) return null;
  return { method, writes: BULK_WRITES.has(method), view: callee.object };
}

/** Whether the node itself (not its descendants) touches shared memory; element reads excepted when they are a target. */
export function touches(node: AnyNode): boolean {
  if (isElement(node)) return true;
  return node.type === "CallExpression" && (atomicCall(node) !== null || bulkCall(node) !== null);
}

/** Whether the node itself changes shared memory. */
export function stores(node: AnyNode): boolean {
  if (node.type === "AssignmentExpression") return isElement(node.left);
  if (node.type === "UpdateExpression") return isElement(node.argument);
  if (node.type !== "CallExpression") return false;
  const atomic = atomicCall(node);
  if (atomic) return atomic.class === "write" || atomic.class === "update";
  return bulkCall(node)?.writes ?? false;
}

export function hasSpread(args: readonly (Expression | SpreadElement)[]): boolean {
  return args.some((arg) => arg.type === "SpreadElement");
}

/** Forms that look like shared access but that no transformation understands: [node, what is wrong]. */
export function suspicious(node: AnyNode): [AnyNode, string] | null {
  switch (node.type) {
    case "VariableDeclarator":
      if (node.init && isView(node.init) && node.id.type === "Identifier" && !VIEW_NAMES.has(node.id.name))
        return [node, `a view gets another name, ${node.id.name}: its accesses are not seen`];
      return null;
    case "ArrayPattern":
      for (const element of node.elements) if (element && isElement(element)) return [node, "a shared word as destructuring target"];
      return null;
    case "ForOfStatement":
    case "ForInStatement":
      return isElement(node.left) ? [node, "a shared word as loop variable"] : null;
    case "CallExpression":
      return suspiciousCall(node);
    default:
      return null;
  }
}

function suspiciousCall(node: CallExpression): [AnyNode, string] | null {
  const { callee } = node;
  if (callee.type !== "MemberExpression") return null;
  const method = memberName(callee);
  if (callee.object.type === "Identifier" && callee.object.name === "Atomics") {
    if (method === "isLockFree" || method === "pause" || method === "waitAsync") return null;
    // A memory made on the spot is nobody else's (feature tests do that).
    if (node.arguments[0]?.type === "NewExpression") return null;
    return atomicCall(node) ? null : [node, `Atomics.${method ?? "?"} on something that is not named i32, u8 or f64`];
  }
  if (callee.object.type !== "Super" && isView(callee.object) && !callee.computed && !bulkCall(node))
    return [node, `an unknown bulk method, ${method ?? "?"}`];
  return null;
}
