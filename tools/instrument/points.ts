/**
 * Theory: a worker can be killed anywhere, but only kills *between changes of shared memory* differ for the survivors.
 * So each statement that changes shared memory gets one numbered point, evaluated after its operands and immediately
 * before the change (`i32[x] = $pv(7, v)`): operands may themselves allocate, free and store, and their points come first.
 * A function with stores also gets `exit` points where it returns after them, so that a kill after the last store is
 * among the kills. Atomics.notify and wait are points too (kinds `notify`, `wait`): between a store and its notify lies
 * a window that loses wake-ups.
 *
 * A point's name, `file:function#ordinal`, changes only when that function gains or loses points; its number is the
 * name's place in the sorted tree and is good for one build only.
 */
import type { AnyNode, CallExpression, Program } from "acorn";
import { atomicCall, bulkCall, hasSpread, isElement } from "./access.ts";
import { asArgument, childrenOf, isFunction, renderSlices, scopeName, walkShallow, type Fn } from "./ast.ts";
import type { Position } from "./lines.ts";

export type PointKind = "store" | "atomic" | "bulk" | "wait" | "notify" | "exit";

export interface Point {
  readonly number: number;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly kind: PointKind;
}

export interface PointsContext {
  readonly file: string;
  readonly source: string;
  readonly firstNumber: number;
  readonly position: (node: AnyNode) => Position;
}

interface Scope {
  readonly path: string;
  /** Where this function's direct stores are; loops that contain one. */
  readonly stores: readonly AnyNode[];
  readonly storeLoops: readonly AnyNode[];
}

export function renderPoints(program: Program, context: PointsContext): { code: string; points: Point[] } {
  const points: Point[] = [];
  const ordinals = new Map<string, number>();

  function point(node: AnyNode, kind: PointKind, scope: Scope): number {
    const base = `${context.file}:${scope.path}`;
    const ordinal = (ordinals.get(base) ?? 0) + 1;
    ordinals.set(base, ordinal);
    const { line } = context.position(node);
    const number = context.firstNumber + points.length;
    points.push({ number, name: `${base}#${ordinal}`, file: context.file, line, kind });
    return number;
  }

  function render(node: AnyNode, scope: Scope, parent: AnyNode | undefined): string {
    const go = (child: AnyNode): string => render(child, scope, node);
    if (node.type === "AssignmentExpression" && isElement(node.left)) {
      const left = go(node.left);
      const right = asArgument(node.right, go(node.right));
      const operator = context.source.slice(node.left.end, node.right.start);
      // Parentheses round the right side belong to the slices; keep the operator's own text with them.
      return `${left}${operator}$pv(${point(node, "store", scope)}, ${right})${context.source.slice(node.right.end, node.end)}`;
    }
    if (node.type === "UpdateExpression" && isElement(node.argument)) {
      const { object, property } = node.argument;
      const index = `$pv(${point(node, "store", scope)}, ${go(property)})`;
      const target = `${go(object)}[${index}]`;
      return node.prefix ? `${node.operator}${target}` : `${target}${node.operator}`;
    }
    if (node.type === "CallExpression") {
      const kind = callKind(node);
      if (kind) return renderCall(node, kind, scope);
    }
    if (node.type === "ReturnStatement" && returnsAfterStore(node, scope)) {
      if (!node.argument) return `{ $point(${point(node, "exit", scope)}); return; }`;
      const argument = asArgument(node.argument, go(node.argument));
      return `return $pv(${point(node, "exit", scope)}, ${argument});`;
    }
    if (isFunction(node)) return renderFunction(node, scope, parent);
    const name = scopeName(node, parent);
    if (name !== null) {
      const inner: Scope = { path: join(scope.path, name), stores: [], storeLoops: [] };
      return renderSlices(context.source, node, (child) => render(child, inner, node));
    }
    return renderSlices(context.source, node, go);
  }

  function renderCall(node: CallExpression, kind: PointKind, scope: Scope): string {
    const last = node.arguments.at(-1);
    const plain = (child: AnyNode): string => render(child, scope, node);
    if (!last || hasSpread(node.arguments)) {
      const number = point(node, kind, scope);
      return `($point(${number}), ${renderSlices(context.source, node, plain)})`;
    }
    return renderSlices(context.source, node, (child) => {
      const text = plain(child);
      return child === last ? `$pv(${point(node, kind, scope)}, ${text})` : text;
    });
  }

  function renderFunction(fn: Fn, outer: Scope, parent: AnyNode | undefined): string {
    const scope = scopeOf(fn, join(outer.path, scopeName(fn, parent) ?? "anonymous"));
    const inner = (child: AnyNode): string => render(child, scope, fn);
    if (fn.body.type !== "BlockStatement") {
      const direct = scope.stores.length > 0;
      return renderSlices(context.source, fn, (child) => {
        const text = inner(child);
        return child === fn.body && direct ? `$pv(${point(child, "exit", scope)}, ${asArgument(child, text)})` : text;
      });
    }
    const { body } = fn;
    const lastStatement = body.body.at(-1);
    const runsOff = scope.stores.length > 0 && (!lastStatement || canComplete(lastStatement));
    return renderSlices(context.source, fn, (child) => {
      const text = inner(child);
      if (child !== body || !runsOff || !lastStatement) return text;
      return `${text.slice(0, -1)} $point(${point(lastStatement, "exit", scope)}); }`;
    });
  }

  const top: Scope = { path: "", stores: [], storeLoops: [] };
  const code = renderSlices(context.source, program, (child) => render(child, { ...top, path: "<module>" }, program));
  return { code: context.source.slice(0, program.start) + code + context.source.slice(program.end), points };
}

function join(path: string, name: string): string {
  return path === "" || path === "<module>" ? name : `${path}.${name}`;
}

function callKind(node: CallExpression): PointKind | null {
  const atomic = atomicCall(node);
  if (atomic) {
    if (atomic.class === "read") return null;
    return atomic.class === "wait" || atomic.class === "notify" ? atomic.class : "atomic";
  }
  return bulkCall(node)?.writes ? "bulk" : null;
}

function storeKind(node: AnyNode): boolean {
  if (node.type === "AssignmentExpression") return isElement(node.left);
  if (node.type === "UpdateExpression") return isElement(node.argument);
  if (node.type !== "CallExpression") return false;
  const kind = callKind(node);
  return kind === "atomic" || kind === "bulk";
}

function isLoop(node: AnyNode): boolean {
  return /^(For|While|DoWhile)/.test(node.type);
}

function scopeOf(fn: Fn, path: string): Scope {
  const stores: AnyNode[] = [];
  const loops: AnyNode[] = [];
  walkShallow(fn.body, (node) => {
    if (storeKind(node)) stores.push(node);
    if (isLoop(node)) loops.push(node);
  });
  const contains = (loop: AnyNode): boolean => stores.some((store) => store.start >= loop.start && store.end <= loop.end);
  return { path, stores, storeLoops: loops.filter(contains) };
}

function returnsAfterStore(node: AnyNode, scope: Scope): boolean {
  return (
    scope.stores.some((store) => store.start < node.end) || scope.storeLoops.some((loop) => loop.start < node.start && node.end <= loop.end)
  );
}

/** Whether control can run off the end of a statement (true when in doubt). */
function canComplete(node: AnyNode): boolean {
  switch (node.type) {
    case "ReturnStatement":
    case "ThrowStatement":
      return false;
    case "BlockStatement":
      return node.body.every(canComplete);
    case "IfStatement":
      return !node.alternate || canComplete(node.consequent) || canComplete(node.alternate);
    case "TryStatement":
      if (node.finalizer && !canComplete(node.finalizer)) return false;
      return canComplete(node.block) || (node.handler !== null && node.handler !== undefined && canComplete(node.handler.body));
    case "ForStatement":
      return node.test !== null && node.test !== undefined ? true : hasBreak(node.body);
    case "WhileStatement":
      return node.test.type !== "Literal" || node.test.value !== true || hasBreak(node.body);
    default:
      return true;
  }
}

/** Whether a loop's body may break out of it (a labelled break counts, to be safe). */
function hasBreak(body: AnyNode): boolean {
  if (body.type === "BreakStatement") return true;
  if (isFunction(body)) return false;
  const inner = childrenOf(body);
  if (isLoop(body) || body.type === "SwitchStatement") return inner.some(hasLabelledBreak);
  return inner.some(hasBreak);
}

function hasLabelledBreak(node: AnyNode): boolean {
  if (node.type === "BreakStatement") return node.label !== null && node.label !== undefined;
  return !isFunction(node) && childrenOf(node).some(hasLabelledBreak);
}
