/**
 * Theory: which calls may reach shared memory? A call graph by *name* over the whole tree, closed under "a function
 * that makes such a call is such a function". It errs only towards yes: a name bound anywhere to something that is not
 * a function written in this tree (a parameter, a hook, a renamed import) is *opaque*, and calls of it may yield. The
 * price of a wrong yes is a run-time test of the result (is it a generator?); a wrong no cannot happen inside the tree.
 *
 * Functions that JavaScript itself calls cannot become generators and stay plain: constructors, getters, setters, async
 * functions, generators, callbacks given to built-ins, methods with computed names, toString and its like. A plain
 * function may still call a generator function: the result is then run on the spot, and fails loudly if it touches
 * shared memory while the explorer is scheduling.
 */
import type { AnyNode, CallExpression, Program } from "acorn";
import { isFunction, keyName, memberName, scopeName, walkShallow, walkWithAncestors, type Fn } from "./ast.ts";
import { touches } from "./access.ts";
import {
  CALLBACK_FUNCTIONS,
  CALLBACK_METHODS,
  GLOBAL_FUNCTIONS,
  GLOBAL_OBJECTS,
  MUTATING_METHODS,
  PLAIN_NAMES,
  PURE_METHODS,
} from "./builtins.ts";

interface Known {
  readonly fn: Fn;
  readonly name: string;
  readonly calls: readonly CallExpression[];
}

export class TreeCalls {
  private readonly defined = new Set<string>();
  private readonly opaque = new Set<string>();
  private readonly yieldingNames = new Set<string>();
  private readonly yielding = new Set<Fn>();
  private readonly plain = new Set<Fn>();

  constructor(programs: readonly Program[]) {
    const known: Known[] = [];
    for (const program of programs) {
      walkWithAncestors(program, (node, ancestors) => {
        this.bind(node, ancestors.at(-1));
        if (isFunction(node)) known.push(this.define(node, ancestors));
      });
    }
    this.close(known);
  }

  /** Whether this function is to become a generator. */
  isYielding(fn: Fn): boolean {
    return this.yielding.has(fn);
  }

  /** Whether a call may return a generator of ours. */
  mayYield(call: CallExpression): boolean {
    const { callee } = call;
    if (callee.type === "Super") return false;
    if (callee.type === "Identifier") return this.nameMayYield(callee.name, GLOBAL_FUNCTIONS);
    if (callee.type !== "MemberExpression") return true;
    const name = memberName(callee);
    if (name === null || name === "call" || name === "apply") return true;
    if (this.isGlobalObject(callee.object)) return false;
    return this.nameMayYield(name, PURE_METHODS) && this.nameMayYield(name, MUTATING_METHODS) && name !== "bind";
  }

  /** Whether a call's target is not a function of this tree, so that nothing is known of what it does. */
  isOpaque(call: CallExpression): boolean {
    const { callee } = call;
    if (callee.type === "Identifier") return this.opaque.has(callee.name) || !this.defined.has(callee.name);
    if (callee.type !== "MemberExpression") return true;
    const name = memberName(callee);
    return name === null || this.opaque.has(name) || !this.defined.has(name);
  }

  /** Whether the call is of a method of the language's own objects, by all that names can tell. */
  isBuiltinMethod(call: CallExpression): boolean {
    const name = call.callee.type === "MemberExpression" ? memberName(call.callee) : null;
    return name !== null && (PURE_METHODS.has(name) || MUTATING_METHODS.has(name));
  }

  isGlobalObject(node: AnyNode): boolean {
    return node.type === "Identifier" && GLOBAL_OBJECTS.has(node.name) && !this.defined.has(node.name) && !this.opaque.has(node.name);
  }

  private nameMayYield(name: string, builtins: ReadonlySet<string>): boolean {
    if (this.yieldingNames.has(name) || this.opaque.has(name)) return true;
    return !this.defined.has(name) && !builtins.has(name);
  }

  private bind(node: AnyNode, parent: AnyNode | undefined): void {
    switch (node.type) {
      case "VariableDeclarator":
        if (node.id.type !== "Identifier") this.bindPattern(node.id);
        else if (!node.init || !isFunctionOrClass(node.init)) this.opaque.add(node.id.name);
        return;
      case "AssignmentExpression":
        if (node.left.type === "Identifier" && !isFunction(node.right)) this.opaque.add(node.left.name);
        if (node.left.type === "MemberExpression" && !isFunction(node.right)) this.opaque.add(memberName(node.left) ?? "");
        return;
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        for (const param of node.params) this.bindPattern(param);
        return;
      case "CatchClause":
        if (node.param) this.bindPattern(node.param);
        return;
      case "ForOfStatement":
      case "ForInStatement":
        if (node.left.type === "VariableDeclaration") for (const { id } of node.left.declarations) this.bindPattern(id);
        return;
      case "ImportSpecifier": {
        const imported = node.imported.type === "Identifier" ? node.imported.name : String(node.imported.value);
        if (imported !== node.local.name) this.opaque.add(node.local.name);
        return;
      }
      case "ImportDefaultSpecifier":
        this.opaque.add(node.local.name);
        return;
      case "Property":
        if (parent?.type === "ObjectExpression" && !node.shorthand && !isFunctionOrClass(node.value)) this.opaque.add(keyName(node) ?? "");
        return;
      case "PropertyDefinition":
        if (!node.value || !isFunctionOrClass(node.value)) this.opaque.add(keyName(node) ?? "");
        return;
      default:
    }
  }

  /** Names bound by a pattern are opaque, except `{ acquire }`: that is the member of that name. */
  private bindPattern(pattern: AnyNode): void {
    switch (pattern.type) {
      case "Identifier":
        this.opaque.add(pattern.name);
        return;
      case "ObjectPattern":
        for (const property of pattern.properties) {
          if (property.type === "RestElement") this.bindPattern(property.argument);
          else if (!(property.shorthand && property.value.type === "Identifier")) this.bindPattern(property.value);
        }
        return;
      case "ArrayPattern":
        for (const element of pattern.elements) if (element) this.bindPattern(element);
        return;
      case "AssignmentPattern":
        this.bindPattern(pattern.left);
        return;
      case "RestElement":
        this.bindPattern(pattern.argument);
        return;
      default:
    }
  }

  private define(fn: Fn, ancestors: readonly AnyNode[]): Known {
    const parent = ancestors.at(-1);
    const name = scopeName(fn, parent) ?? "anonymous";
    this.defined.add(name);
    if (fn.async || fn.generator || staysPlain(fn, name, parent) || isDescriptor(ancestors)) this.plain.add(fn);
    const calls: CallExpression[] = [];
    let direct = false;
    walkShallow(fn.body, (node) => {
      if (touches(node)) direct = true;
      else if (node.type === "CallExpression") calls.push(node);
    });
    if (direct && !this.plain.has(fn)) this.markYielding(fn, name);
    return { fn, name, calls };
  }

  private markYielding(fn: Fn, name: string): void {
    this.yielding.add(fn);
    this.yieldingNames.add(name);
  }

  private close(known: readonly Known[]): void {
    for (let changed = true; changed; ) {
      changed = false;
      for (const { fn, name, calls } of known) {
        if (this.yielding.has(fn) || this.plain.has(fn)) continue;
        if (!calls.some((call) => this.mayYield(call))) continue;
        this.markYielding(fn, name);
        changed = true;
      }
    }
  }
}

/** `get` and `set` in what is given to Object.defineProperty(ies): accessors by another way. */
function isDescriptor(ancestors: readonly AnyNode[]): boolean {
  const property = ancestors.at(-1);
  if (property?.type !== "Property" || !/^(get|set)$/.test(keyName(property) ?? "")) return false;
  return [-3, -5].some((at) => {
    const call = ancestors.at(at);
    return (
      call?.type === "CallExpression" &&
      call.callee.type === "MemberExpression" &&
      /^definePropert(y|ies)$/.test(memberName(call.callee) ?? "")
    );
  });
}

/** `[Symbol.dispose]() {…}` and its like are called by the language. */
function isSymbolKey(node: { key: AnyNode; computed: boolean }): boolean {
  const { key } = node;
  return node.computed && key.type === "MemberExpression" && key.object.type === "Identifier" && key.object.name === "Symbol";
}

function isFunctionOrClass(node: AnyNode): boolean {
  return isFunction(node) || node.type === "ClassExpression";
}

function staysPlain(fn: Fn, name: string, parent: AnyNode | undefined): boolean {
  if (PLAIN_NAMES.has(name)) return true;
  switch (parent?.type) {
    case "MethodDefinition":
      return parent.kind !== "method" || isSymbolKey(parent);
    case "Property":
      return parent.kind !== "init" || isSymbolKey(parent);
    case "NewExpression":
      return parent.callee.type === "Identifier" && /^(Promise|Proxy|FinalizationRegistry|Worker)$/.test(parent.callee.name);
    case "CallExpression":
      return parent.callee !== fn && takesCallback(parent);
    default:
      return false;
  }
}

/** Whether a call hands its functions to the language's own code. */
export function takesCallback(call: CallExpression): boolean {
  const { callee } = call;
  if (callee.type === "Identifier") return CALLBACK_FUNCTIONS.has(callee.name);
  return callee.type === "MemberExpression" && CALLBACK_METHODS.has(memberName(callee) ?? "");
}
