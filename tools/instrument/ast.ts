/**
 * Theory: the emitted modules are rewritten by *slice and substitute*: the text of a node is its own source text
 * in which each child's range is replaced by the child's rendering. Nothing is pretty-printed, so line numbers of the
 * transformed module equal those of the emitted one, and whatever a transformation does not know it copies unchanged.
 * Parentheses lie outside acorn's node ranges and so survive by themselves.
 */
import type { AnyNode, ArrowFunctionExpression, FunctionDeclaration, FunctionExpression } from "acorn";

export type Fn = FunctionDeclaration | FunctionExpression | ArrowFunctionExpression;

export type Render = (node: AnyNode) => string;

function isNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string";
}

/** The node's children in source order; a shorthand property counts once. */
export function childrenOf(node: AnyNode): AnyNode[] {
  const children: AnyNode[] = [];
  if (node.type === "Property" && node.shorthand) return [node.value];
  for (const [key, value] of Object.entries(node)) {
    if (key === "type" || key === "start" || key === "end" || key === "loc" || key === "regex") continue;
    if (Array.isArray(value)) {
      for (const entry of value as unknown[]) if (isNode(entry)) children.push(entry);
    } else if (isNode(value)) {
      children.push(value);
    }
  }
  children.sort((a, b) => a.start - b.start || a.end - b.end);
  // `export { a }` and `import { a }` hold the same range twice.
  return children.filter((child, i) => i === 0 || child.start >= (children[i - 1] as AnyNode).end);
}

/** A node's text with each child rendered by `render`. */
export function renderSlices(source: string, node: AnyNode, render: Render): string {
  let out = "";
  let at = node.start;
  for (const child of childrenOf(node)) {
    out += source.slice(at, child.start) + render(child);
    at = child.end;
  }
  return out + source.slice(at, node.end);
}

export function isFunction(node: AnyNode): node is Fn {
  return node.type === "FunctionDeclaration" || node.type === "FunctionExpression" || node.type === "ArrowFunctionExpression";
}

/** Visits the node and its descendants, but not the insides of nested functions. */
export function walkShallow(node: AnyNode, visit: (node: AnyNode) => void): void {
  visit(node);
  for (const child of childrenOf(node)) if (!isFunction(child)) walkShallow(child, visit);
}

/** Visits every descendant with its ancestors, nearest last. */
export function walkWithAncestors(node: AnyNode, visit: (node: AnyNode, ancestors: readonly AnyNode[]) => void): void {
  const ancestors: AnyNode[] = [];
  const go = (current: AnyNode): void => {
    visit(current, ancestors);
    ancestors.push(current);
    for (const child of childrenOf(current)) go(child);
    ancestors.pop();
  };
  go(node);
}

/** The name under which a node's own scope is known (`acquire`, `Zone`), or null when it opens none. */
export function scopeName(node: AnyNode, parent: AnyNode | undefined): string | null {
  if (node.type === "ClassDeclaration" || node.type === "ClassExpression" || isFunction(node)) {
    if (node.type !== "ArrowFunctionExpression" && node.id) return node.id.name;
    return (parent && nameGivenBy(parent)) ?? "anonymous";
  }
  return null;
}

function nameGivenBy(parent: AnyNode): string | null {
  switch (parent.type) {
    case "VariableDeclarator":
      return parent.id.type === "Identifier" ? parent.id.name : null;
    case "Property":
    case "MethodDefinition":
    case "PropertyDefinition":
      return keyName(parent);
    case "AssignmentExpression":
      if (parent.left.type === "Identifier") return parent.left.name;
      return parent.left.type === "MemberExpression" ? memberName(parent.left) : null;
    case "AssignmentPattern":
      return parent.left.type === "Identifier" ? parent.left.name : null;
    default:
      return null;
  }
}

/** The name of a property key; null when it is computed. */
export function keyName(node: { key: AnyNode; computed: boolean }): string | null {
  if (node.key.type === "PrivateIdentifier") return `#${node.key.name}`;
  if (node.computed) return null;
  if (node.key.type === "Identifier") return node.key.name;
  return node.key.type === "Literal" ? String(node.key.value) : null;
}

/** The name after the dot; null when the member is computed. */
export function memberName(node: { property: AnyNode; computed: boolean }): string | null {
  if (node.property.type === "PrivateIdentifier") return `#${node.property.name}`;
  return !node.computed && node.property.type === "Identifier" ? node.property.name : null;
}

/** An expression's text as one argument of a call: `a, b` needs parentheses of its own. */
export function asArgument(node: AnyNode, text: string): string {
  return node.type === "SequenceExpression" ? `(${text})` : text;
}
