/**
 * Theory: a function that may reach shared memory becomes a generator. At each shared access it *announces* the access
 * in the runtime's registers and yields its site number; whoever drives it performs the access and resumes it with the
 * result: `i32[x]` becomes `(yield $rd(i32, x, site))`. So between two yields lies exactly one access, and the driver may
 * refuse, delay, or never resume (a kill).
 *
 * A call that may return one of our generators becomes `($gen($r = f(a)) ? yield $r : $r)`: the generator itself is handed
 * to the driver, which keeps the stack (a trampoline). So the cost of a yield does not grow with the depth of calls.
 *
 * **Clean frames.** A worker's local state is a function of what it has read. But once a callee has returned, its reads
 * matter only through its result, provided it changed nothing else that lives on: then the driver may forget them, and
 * two workers that came through the same call on different ways are in the same state. Every generator says `$enter()`
 * first (its frame is known to be watched), and every change of the JavaScript heap (an assignment to a property, a
 * mutating method, a call of unknown code) says `$mut()`: its frame is then never forgotten. Variables of an outer function are
 * tracked by value instead (variables.ts): `$var` when changed, `$get` when read.
 *
 * In functions that must stay plain (constructors, accessors, callbacks of built-ins, async functions, module level) the
 * same accesses become `$sync(…)` and the same calls `$plain(…)`: performed at once outside a schedule, an error inside.
 */
import type {
  AnyNode,
  AssignmentExpression,
  BinaryOperator,
  CallExpression,
  ChainExpression,
  Expression,
  MemberExpression,
  Program,
  UpdateExpression,
} from "acorn";
import { atomicCall, bulkCall, hasSpread, isElement, type AtomicCall, type Element } from "./access.ts";
import { asArgument, isFunction, memberName, renderSlices, scopeName, walkShallow, type Fn } from "./ast.ts";
import { MUTATING_STATICS, PURE_METHODS } from "./builtins.ts";
import { takesCallback, type TreeCalls } from "./calls.ts";
import type { Position } from "./lines.ts";
import { isReference, ownNames, trackedVariables } from "./variables.ts";

export interface Site {
  readonly number: number;
  readonly file: string;
  readonly function: string;
  readonly line: number;
  /** The access as it stands in the source. */
  readonly text: string;
}

export interface GeneratorContext {
  readonly file: string;
  readonly source: string;
  readonly firstSite: number;
  readonly calls: TreeCalls;
  readonly position: (node: AnyNode) => Position;
}

export interface GeneratorResult {
  readonly code: string;
  readonly sites: Site[];
  readonly warnings: string[];
  /** The header that the module needs. */
  imports(runtimePath: string): string;
}

/** What the code being rendered stands in. */
interface Frame {
  readonly path: string;
  readonly yields: boolean;
  readonly isConstructor: boolean;
  readonly own: ReadonlySet<string>;
  /** Its tracked variables (variables.ts), and the constant that holds this execution's number. */
  readonly tracked: ReadonlyMap<string, number> | undefined;
  readonly instance: string;
  readonly outer: Frame | null;
  /** Temporaries to declare at the top of the body. */
  readonly temps: string[];
}

const NONE: ReadonlySet<string> = new Set();

export function renderGenerators(program: Program, context: GeneratorContext): GeneratorResult {
  const { source, calls } = context;
  const sites: Site[] = [];
  const warnings: string[] = [];
  const trackedIn = trackedVariables(program);
  let temps = 0;
  let instances = 0;

  function site(node: AnyNode, frame: Frame): string {
    const number = context.firstSite + sites.length;
    const text = source.slice(node.start, node.end).replace(/\s+/g, " ");
    const { file, line } = context.position(node);
    sites.push({ number, file, function: frame.path, line, text: text.length > 60 ? `${text.slice(0, 59)}…` : text });
    return `$b + ${number}`;
  }

  function temp(frame: Frame): string {
    const name = `$${++temps}`;
    frame.temps.push(name);
    return name;
  }

  const access = (announcement: string, frame: Frame): string => (frame.yields ? `(yield ${announcement})` : `$sync(${announcement})`);

  function delegate(call: CallExpression, text: string, frame: Frame): string {
    if (!frame.yields) return `$plain(${text})`;
    return `(${calls.isOpaque(call) && !calls.isBuiltinMethod(call) ? "$unk" : "$gen"}($r = ${text}) ? yield $r : $r)`;
  }

  function render(node: AnyNode, frame: Frame, parent: AnyNode | undefined): string {
    const go = (child: AnyNode): string => render(child, frame, node);
    switch (node.type) {
      case "Identifier":
        return isReference(node, parent) && trackedAs(node.name, frame) !== null ? `$get(${node.name})` : node.name;
      case "ObjectPattern":
      case "ArrayPattern":
      case "AssignmentPattern":
      case "RestElement":
        return renderPattern(node, frame);
      case "MemberExpression":
        if (isElement(node))
          return access(`$rd(${go(node.object)}, ${asArgument(node.property, go(node.property))}, ${site(node, frame)})`, frame);
        return renderClock(node) ?? renderSlices(source, node, go);
      case "AssignmentExpression":
        return isElement(node.left) ? renderStore(node, node.left, frame) : renderMutation(node, [node.left], frame);
      case "UpdateExpression":
        return isElement(node.argument) ? renderUpdate(node, node.argument, frame) : renderMutation(node, [node.argument], frame);
      case "UnaryExpression":
        if (node.operator === "delete") return `($mut(), ${renderSlices(source, node, go)})`;
        return renderSlices(source, node, go);
      case "ForOfStatement":
      case "ForInStatement":
        if (node.left.type !== "VariableDeclaration" && changesOthers(node.left, frame))
          warn(node, "a loop variable that is not the function's own");
        return renderSlices(source, node, go);
      case "CallExpression":
        return renderCall(node, frame);
      case "ChainExpression":
        return renderChain(node, frame);
      default:
    }
    if (isFunction(node)) return renderFunction(node, frame, parent);
    if (node.type === "ClassDeclaration" || node.type === "ClassExpression") {
      const inner = plainFrame(frame, join(frame.path, scopeName(node, parent) ?? "class"));
      return renderSlices(source, node, (child) => render(child, child === node.superClass ? frame : inner, node));
    }
    if (node.type === "MethodDefinition" || node.type === "Property") return renderMember(node, frame);
    return renderSlices(source, node, go);
  }

  function warn(node: AnyNode, what: string): void {
    const { file, line } = context.position(node);
    warnings.push(`${file}:${line}: ${what}`);
  }

  // --- shared accesses -------------------------------------------------------------------------------------------

  function parts(element: Element, frame: Frame): [string, string] {
    return [render(element.object, frame, element), asArgument(element.property, render(element.property, frame, element))];
  }

  function renderStore(node: AssignmentExpression, element: Element, frame: Frame): string {
    const [view, index] = parts(element, frame);
    if (node.operator === "=") {
      const value = asArgument(node.right, render(node.right, frame, node));
      return access(`$wr(${view}, ${index}, ${value}, ${site(node, frame)})`, frame);
    }
    const at = temp(frame);
    const read = access(`$rd(${view}, ${at} = ${index}, ${site(element, frame)})`, frame);
    const value = `(${render(node.right, frame, node)})`;
    const operator = node.operator.slice(0, -1);
    if (operator === "||" || operator === "&&" || operator === "??")
      return `(${read} ${operator} ${access(`$wr(${view}, ${at}, ${value}, ${site(node, frame)})`, frame)})`;
    // The index is evaluated before the read, the read before the right side, and the write comes last.
    const old = temp(frame);
    return `(${old} = ${read}, ${access(`$wr(${view}, ${at}, ${old} ${operator as BinaryOperator} ${value}, ${site(node, frame)})`, frame)})`;
  }

  function renderUpdate(node: UpdateExpression, element: Element, frame: Frame): string {
    const [view, index] = parts(element, frame);
    const at = temp(frame);
    const old = temp(frame);
    const read = access(`$rd(${view}, ${at} = ${index}, ${site(element, frame)})`, frame);
    const write = access(`$wr(${view}, ${at}, ${old} ${node.operator.charAt(0)} 1, ${site(node, frame)})`, frame);
    return node.prefix ? `(${old} = ${read}, ${write})` : `(${old} = ${read}, ${write}, ${old})`;
  }

  function renderAtomic(node: CallExpression, atomic: AtomicCall, frame: Frame): string {
    if (hasSpread(node.arguments)) warn(node, "an Atomics call with spread arguments");
    const args = node.arguments.map((arg) => asArgument(arg, render(arg, frame, node)));
    const where = site(node, frame);
    switch (atomic.class) {
      case "read":
        return access(`$ld(${args.join(", ")}, ${where})`, frame);
      case "write":
        return access(`$st(${args.join(", ")}, ${where})`, frame);
      case "wait":
        return access(`$wait(${args.join(", ")}${args.length < 4 ? ", Infinity" : ""}, ${where})`, frame);
      case "notify":
        return access(`$ntf(${args.join(", ")}${args.length < 3 ? ", Infinity" : ""}, ${where})`, frame);
      default:
        if (atomic.op === "compareExchange") return access(`$cas(${args.join(", ")}, ${where})`, frame);
        return access(`$up("${atomic.op}", ${args.join(", ")}, ${where})`, frame);
    }
  }

  // --- calls -----------------------------------------------------------------------------------------------------

  function renderCall(node: CallExpression, frame: Frame): string {
    const atomic = atomicCall(node);
    if (atomic) return renderAtomic(node, atomic, frame);
    const bulk = bulkCall(node);
    const args = (): string => renderArguments(node, frame);
    if (bulk) return access(`$bulk(${render(bulk.view, frame, node)}, "${bulk.method}", [${args()}], ${site(node, frame)})`, frame);
    const callee = render(node.callee, frame, node);
    return finishCall(node, `${wrapCallee(node, callee)}(${args()})`, frame);
  }

  function wrapCallee(node: CallExpression, callee: string): string {
    return node.callee.type === "Identifier" || node.callee.type === "MemberExpression" || node.callee.type === "Super"
      ? callee
      : `(${callee})`;
  }

  function renderArguments(node: CallExpression, frame: Frame): string {
    const toBuiltin = takesCallback(node);
    const texts = node.arguments.map((arg) => {
      const text = asArgument(arg, render(arg, frame, node));
      const byName = toBuiltin && (arg.type === "Identifier" || arg.type === "MemberExpression") && !isElement(arg);
      return byName ? `$plainFn(${text})` : text;
    });
    return texts.join(", ");
  }

  /** Delegates if the call may yield, and marks the frame if the call may change the heap. */
  function finishCall(node: CallExpression, text: string, frame: Frame): string {
    if (node.callee.type === "Super") return text;
    if (calls.mayYield(node)) return delegate(node, text, frame);
    return changesHeap(node) ? `($mut(), ${text})` : text;
  }

  function changesHeap(node: CallExpression): boolean {
    const { callee } = node;
    if (callee.type !== "MemberExpression") return false;
    const name = memberName(callee);
    if (callee.object.type !== "Super" && calls.isGlobalObject(callee.object)) return name === null || MUTATING_STATICS.has(name);
    return name === null || (calls.isBuiltinMethod(node) && !PURE_METHODS.has(name));
  }

  function renderChain(chain: ChainExpression, frame: Frame): string {
    const guards: string[] = [];
    const guard = (text: string): string => {
      const name = temp(frame);
      guards.push(`(${name} = ${text}) == null`);
      return name;
    };
    const tail = (node: MemberExpression): string => {
      const property = render(node.property, frame, node);
      return node.computed ? `[${property}]` : `.${property}`;
    };
    const link = (node: AnyNode): string => {
      if (node.type === "MemberExpression" && node.object.type !== "Super") {
        if (isElement(node) && !node.optional)
          return access(`$rd(${link(node.object)}, ${render(node.property, frame, node)}, ${site(node, frame)})`, frame);
        const object = link(node.object);
        return `${node.optional ? guard(object) : object}${tail(node)}`;
      }
      if (node.type === "CallExpression" && !atomicCall(node) && !bulkCall(node)) return finishCall(node, linkCall(node), frame);
      return `(${render(node, frame, chain)})`;
    };
    const linkCall = (node: CallExpression): string => {
      const { callee } = node;
      if (!node.optional || callee.type !== "MemberExpression" || callee.object.type === "Super") {
        const target = callee.type === "Super" ? "super" : callee.type === "Identifier" ? render(callee, frame, node) : link(callee);
        return `${node.optional ? guard(target) : target}(${renderArguments(node, frame)})`;
      }
      // `a.m?.(x)` keeps `a` as `this`.
      const object = callee.optional ? guard(link(callee.object)) : temp(frame);
      const start = callee.optional ? object : `(${object} = ${link(callee.object)})`;
      const method = guard(`${start}${tail(callee)}`);
      const rest = renderArguments(node, frame);
      return `${method}.call(${object}${rest === "" ? "" : `, ${rest}`})`;
    };
    const last = link(chain.expression);
    return `(${guards.map((test) => `${test} ? undefined : `).join("")}${last})`;
  }

  // --- changes of the heap ---------------------------------------------------------------------------------------

  /** The arguments that name a tracked variable, or null for any other name. */
  function trackedAs(name: string, frame: Frame): string | null {
    for (let at: Frame | null = frame; at; at = at.outer) {
      if (!at.own.has(name)) continue;
      const number = at.tracked?.get(name);
      return number === undefined ? null : `${at.instance}, ${number}`;
    }
    return null;
  }

  /** In a pattern names are targets; only defaults and computed keys are expressions. */
  function renderPattern(node: AnyNode, frame: Frame): string {
    return renderSlices(source, node, (child) => {
      if (child.type === "Identifier" && !(node.type === "AssignmentPattern" && child === node.right)) return child.name;
      if (child.type === "Property") {
        return renderSlices(source, child, (part) => {
          if (part === child.key) return child.computed ? render(part, frame, child) : source.slice(part.start, part.end);
          return part.type === "Identifier" ? part.name : render(part, frame, child);
        });
      }
      return render(child, frame, node);
    });
  }

  function renderMutation(node: AssignmentExpression | UpdateExpression, targets: AnyNode[], frame: Frame): string {
    const text = renderSlices(source, node, (child) => render(child, frame, node));
    const [target] = targets;
    if (target?.type === "Identifier") {
      const where = trackedAs(target.name, frame);
      if (where !== null && node.type === "UpdateExpression" && !node.prefix) return `($o = ${text}, $var(${where}, ${target.name}), $o)`;
      if (where !== null) return `$var(${where}, ${text})`;
    }
    return targets.some((target) => changesOthers(target, frame)) ? `($mut(), ${text})` : text;
  }

  /** Whether assigning to the target changes something that outlives the frame. */
  function changesOthers(target: AnyNode, frame: Frame): boolean {
    switch (target.type) {
      case "Identifier":
        return !frame.own.has(target.name);
      case "MemberExpression":
        return !(frame.isConstructor && target.object.type === "ThisExpression");
      case "ObjectPattern":
        return target.properties.some((p) => changesOthers(p.type === "RestElement" ? p.argument : p.value, frame));
      case "ArrayPattern":
        return target.elements.some((element) => element !== null && changesOthers(element, frame));
      case "AssignmentPattern":
        return changesOthers(target.left, frame);
      case "RestElement":
        return changesOthers(target.argument, frame);
      default:
        return true;
    }
  }

  function renderClock(node: MemberExpression): string | null {
    if (node.object.type !== "Identifier" || node.computed) return null;
    const name = `${node.object.name}.${memberName(node) ?? ""}`;
    if (name === "Date.now" || name === "performance.now") return `$${name}`;
    return name === "Math.random" ? "$random" : null;
  }

  // --- functions -------------------------------------------------------------------------------------------------

  function renderMember(node: Extract<AnyNode, { type: "MethodDefinition" | "Property" }>, frame: Frame): string {
    const { value } = node;
    if (node.type === "Property" && node.shorthand && value.type === "Identifier") {
      const text = render(value, frame, node);
      return text === value.name ? text : `${value.name}: ${text}`;
    }
    const star = (node.type === "MethodDefinition" || node.method) && isFunction(value) && calls.isYielding(value);
    const isConstructor = node.type === "MethodDefinition" && node.kind === "constructor";
    const text = renderSlices(source, node, (child) => {
      if (child === value && isFunction(child)) return renderFunction(child, frame, node, isConstructor, star);
      const key = render(child, frame, node);
      return child === node.key && star && !node.computed ? `*${key}` : key;
    });
    return star && node.computed ? text.replace("[", "*[") : text;
  }

  function renderFunction(fn: Fn, outer: Frame, parent: AnyNode | undefined, isConstructor = false, isMethod = false): string {
    const yields = calls.isYielding(fn);
    const path = join(outer.path, scopeName(fn, parent) ?? "anonymous");
    const tracked = trackedIn.get(fn);
    const instance = tracked ? `$i${++instances}` : "";
    const frame: Frame = { path, yields, isConstructor, own: ownNames(fn), tracked, instance, outer, temps: [] };
    // Parameters' defaults cannot yield, and their temporaries cannot stand in the body.
    const params: Frame = { ...frame, yields: false, tracked: undefined, temps: moduleFrame.temps };
    const inner = (child: AnyNode): string => render(child, child === fn.body ? frame : params, fn);
    if (!yields || isMethod || fn.type !== "ArrowFunctionExpression") {
      const text = renderSlices(source, fn, (child) => (child === fn.body ? renderBody(fn, frame, yields, inner) : inner(child)));
      return yields && !isMethod ? text.replace(/^function\b/, "function*") : text;
    }
    const list = fn.params.map(inner).join(", ");
    const usesThis = mentionsThis(fn, warn);
    return `(function*(${list}) ${renderBody(fn, frame, yields, inner)}${usesThis ? ".bind(this)" : ""})`;
  }

  function renderBody(fn: Fn, frame: Frame, yields: boolean, inner: (child: AnyNode) => string): string {
    const text = inner(fn.body);
    const declared = frame.temps.length > 0 ? ` let ${frame.temps.join(", ")};` : "";
    const enter = (yields ? " $enter();" : "") + (frame.tracked ? ` const ${frame.instance} = $inst();` : "");
    if (fn.body.type === "BlockStatement") return `{${enter}${declared}${text.slice(1)}`;
    return enter !== "" || declared !== "" ? `{${enter}${declared} return (${text}); }` : text;
  }

  function plainFrame(frame: Frame, path: string): Frame {
    return {
      path,
      yields: false,
      isConstructor: false,
      own: NONE,
      tracked: undefined,
      instance: "",
      outer: frame,
      temps: moduleFrame.temps,
    };
  }

  const moduleFrame: Frame = {
    path: "<module>",
    yields: false,
    isConstructor: false,
    own: NONE,
    tracked: undefined,
    instance: "",
    outer: null,
    temps: [],
  };
  const body = renderSlices(source, program, (child) => render(child, moduleFrame, program));
  const code = source.slice(0, program.start) + body + source.slice(program.end);
  const declared = ["$r", "$o", ...moduleFrame.temps].join(", ");
  const imports = (path: string): string => `import { base as $b, $sync, ${RUNTIME.join(", ")} } from "${path}"; let ${declared};`;
  return { code, sites, warnings, imports };
}

/** What transformed modules call in the runtime, beside `base` and `$sync`. */
export const RUNTIME: readonly string[] = [
  "$rd",
  "$wr",
  "$ld",
  "$st",
  "$up",
  "$cas",
  "$wait",
  "$ntf",
  "$bulk",
  "$gen",
  "$unk",
  "$mut",
  "$var",
  "$get",
  "$inst",
  "$enter",
  "$plain",
  "$plainFn",
  "$Date",
  "$performance",
  "$random",
];

function join(path: string, name: string): string {
  return path === "" || path === "<module>" ? name : `${path}.${name}`;
}

/** Whether an arrow uses its surroundings' `this` (itself or through inner arrows). */
function mentionsThis(fn: Fn, warn: (node: AnyNode, what: string) => void): boolean {
  let found = false;
  const look = (node: Expression | AnyNode): void => {
    walkShallow(node, (inner) => {
      if (inner.type === "ThisExpression") found = true;
      if (inner.type === "Super") warn(inner, "super inside an arrow function that touches shared memory");
      if (inner.type === "Identifier" && inner.name === "arguments")
        warn(inner, "arguments inside an arrow function that touches shared memory");
    });
    innerArrows(node).forEach((arrow) => look(arrow.body));
  };
  look(fn.body);
  return found;
}

function innerArrows(node: AnyNode): Fn[] {
  const found: Fn[] = [];
  walkShallow(node, (inner) => {
    for (const value of Object.values(inner) as unknown[]) {
      for (const entry of Array.isArray(value) ? (value as unknown[]) : [value]) {
        const child = entry as AnyNode | null;
        if (child && typeof child === "object" && child.type === "ArrowFunctionExpression") found.push(child);
      }
    }
  });
  return found;
}
