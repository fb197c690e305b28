/**
 * Theory: some variables of a factory are a worker's private memory: declared in a function, changed by functions inside
 * it (`let wasContended = false; function acquire() { wasContended = true; }`). If such a change made a frame unforgettable,
 * hardly any frame could be forgotten. So these variables are *tracked*: their values are part of the worker's local
 * state, as shared words are of the memory, and reading one is learning something, as reading a shared word is. Each execution of the
 * declaring function makes an instance of its own. Only primitive values can be tracked; anything else makes the frame keep its past.
 */
import type { AnyNode, Program } from "acorn";
import { isFunction, walkShallow, walkWithAncestors, type Fn } from "./ast.ts";

/** For each function the variables of its own that inner functions change, numbered. */
export type Tracked = ReadonlyMap<Fn, ReadonlyMap<string, number>>;

export function trackedVariables(program: Program): Tracked {
  const tracked = new Map<Fn, Map<string, number>>();
  const cache = new Map<Fn, Set<string>>();
  const own = (fn: Fn): Set<string> => {
    let names = cache.get(fn);
    if (!names) cache.set(fn, (names = ownNames(fn)));
    return names;
  };
  walkWithAncestors(program, (node, ancestors) => {
    const target = node.type === "AssignmentExpression" ? node.left : node.type === "UpdateExpression" ? node.argument : null;
    if (target?.type !== "Identifier") return;
    const functions = ancestors.filter(isFunction);
    const owner = functions.findLast((fn) => own(fn).has(target.name));
    if (!owner || owner === functions.at(-1)) return;
    let names = tracked.get(owner);
    if (!names) tracked.set(owner, (names = new Map<string, number>()));
    if (!names.has(target.name)) names.set(target.name, names.size);
  });
  return tracked;
}

/** The names a function declares itself: parameters, variables, classes (not what inner functions declare). */
export function ownNames(fn: Fn): Set<string> {
  const names = new Set<string>();
  const bind = (pattern: AnyNode): void => {
    switch (pattern.type) {
      case "Identifier":
        names.add(pattern.name);
        return;
      case "ObjectPattern":
        for (const property of pattern.properties) bind(property.type === "RestElement" ? property.argument : property.value);
        return;
      case "ArrayPattern":
        for (const element of pattern.elements) if (element) bind(element);
        return;
      case "AssignmentPattern":
        bind(pattern.left);
        return;
      case "RestElement":
        bind(pattern.argument);
        return;
      default:
    }
  };
  fn.params.forEach(bind);
  walkShallow(fn.body, (node) => {
    if (node.type === "VariableDeclarator") bind(node.id);
    if (node.type === "CatchClause" && node.param) bind(node.param);
    if (node.type === "ClassDeclaration" && node.id) names.add(node.id.name);
  });
  return names;
}

/** Whether an identifier below `parent` stands for its variable's value. Patterns are not asked about: they are rendered apart. */
export function isReference(node: AnyNode, parent: AnyNode | undefined): boolean {
  switch (parent?.type) {
    case undefined:
    case "UpdateExpression":
    case "CatchClause":
    case "LabeledStatement":
    case "BreakStatement":
    case "ContinueStatement":
    case "MetaProperty":
    case "ImportSpecifier":
    case "ImportDefaultSpecifier":
    case "ImportNamespaceSpecifier":
    case "ExportSpecifier":
    case "FunctionDeclaration":
    case "FunctionExpression":
      return false;
    case "ArrowFunctionExpression":
      return parent.body === node;
    case "ClassDeclaration":
    case "ClassExpression":
      return parent.superClass === node;
    case "MemberExpression":
      return parent.object === node || parent.computed;
    case "Property":
    case "PropertyDefinition":
    case "MethodDefinition":
      return parent.value === node || parent.computed;
    case "VariableDeclarator":
      return parent.init === node;
    case "AssignmentExpression":
    case "AssignmentPattern":
    case "ForInStatement":
    case "ForOfStatement":
      return parent.left !== node;
    default:
      return true;
  }
}
