/**
 * Theory: one call turns a folder of emitted modules into another folder that is complete in itself: transformed
 * modules, untouched copies of the rest, the mode's runtime at its root, and a list of what was numbered.
 * Modules are taken in sorted order, so the same tree gives the same numbers.
 */
import { parse, type AnyNode, type Program } from "acorn";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { suspicious } from "./access.ts";
import { walkWithAncestors } from "./ast.ts";
import { renderGenerators, RUNTIME, type Site } from "./generators.ts";
import { positions, type Position } from "./lines.ts";
import { renderPoints, type Point } from "./points.ts";
import { TreeCalls } from "./calls.ts";

export type { Point, PointKind } from "./points.ts";
export type { Site } from "./generators.ts";

export interface InstrumentOptions {
  /** The folder of emitted modules. */
  readonly from: string;
  /** The folder to write; emptied first. */
  readonly to: string;
  readonly mode: "points" | "generators";
  /** Globs of module paths relative to `from`; default: all. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** Changes of constants for the test build (fewer spins, smaller buckets); each `find` must occur exactly once. */
  readonly edits?: readonly Edit[];
}

export interface Edit {
  /** Module path relative to `from`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Instrumented {
  readonly points: readonly Point[];
  readonly sites: readonly Site[];
  /** Accesses in a form that is not understood, `file:line: what`. A test should insist on none. */
  readonly warnings: readonly string[];
  readonly modules: number;
  readonly milliseconds: number;
}

interface Module {
  readonly path: string;
  readonly source: string;
  readonly program: Program;
  readonly position: (node: AnyNode) => Position;
}

export function instrument(options: InstrumentOptions): Instrumented {
  const started = performance.now();
  rmSync(options.to, { recursive: true, force: true });
  const included = matcher(options.include ?? ["**/*.js"]);
  const excluded = matcher(options.exclude ?? []);
  const modules: Module[] = [];
  for (const path of filesUnder(options.from)) {
    if (path.endsWith(".js") && included(path) && !excluded(path)) modules.push(readModule(options.from, path, options.edits ?? []));
    else if (!path.endsWith(".d.ts") && !path.endsWith(".map")) copy(join(options.from, path), join(options.to, path));
  }
  const warnings = modules.flatMap(findSuspicious);
  const points: Point[] = [];
  const sites: Site[] = [];
  if (options.mode === "points") {
    for (const module of modules) {
      const result = renderPoints(module.program, { ...module, file: module.path, firstNumber: points.length });
      points.push(...result.points);
      write(options.to, module.path, withImport(`import { $point, $pv } from "${toRoot(module.path)}$points.js";`, result.code));
    }
    writePointLists(options.to, points);
  } else {
    const calls = new TreeCalls(modules.map((module) => module.program));
    for (const module of modules) {
      const result = renderGenerators(module.program, { ...module, file: module.path, firstSite: sites.length + 1, calls });
      sites.push(...result.sites);
      warnings.push(...result.warnings);
      write(options.to, module.path, withImport(result.imports(`${toRoot(module.path)}$runtime.js`), result.code));
    }
    writeRuntime(options.to, sites);
  }
  return { points, sites, warnings, modules: modules.length, milliseconds: performance.now() - started };
}

function readModule(from: string, path: string, edits: readonly Edit[]): Module {
  let source = readFileSync(join(from, path), "utf8");
  for (const edit of edits) {
    if (edit.file !== path) continue;
    if (source.split(edit.find).length !== 2) throw new Error(`${path} does not contain exactly once: ${edit.find}`);
    source = source.replace(edit.find, () => edit.replace);
  }
  const program = parse(source, { ecmaVersion: "latest", sourceType: "module", locations: true, allowHashBang: true });
  const at = positions(join(from, path), path);
  return { path, source, program, position: (node) => at(node.loc?.start.line ?? 0, node.loc?.start.column ?? 0) };
}

function findSuspicious(module: Module): string[] {
  const found: string[] = [];
  walkWithAncestors(module.program, (node) => {
    const problem = suspicious(node);
    if (problem) {
      const { file, line } = module.position(problem[0]);
      found.push(`${file}:${line}: ${problem[1]}`);
    }
  });
  return found;
}

function writePointLists(to: string, points: readonly Point[]): void {
  copy(fileURLToPath(new URL("./points-runtime.js", import.meta.url)), join(to, "$points.js"));
  write(to, "points.json", `${JSON.stringify(points, null, 1)}\n`);
  const rows = points.map((p) => `${String(p.number).padStart(5)}  ${p.kind.padEnd(6)}  ${p.name}  (${p.file}:${p.line})`);
  write(to, "points.txt", `${rows.join("\n")}\n`);
}

/** The generator tree reaches the explorer's runtime through a global, so that one process has exactly one of it. */
function writeRuntime(to: string, sites: readonly Site[]): void {
  write(to, "sites.json", `${JSON.stringify(sites, null, 1)}\n`);
  const table = JSON.stringify(sites.map((s) => [s.function, s.file, s.line, s.text]));
  const code = `const runtime = globalThis[Symbol.for("zalloc.explore.runtime")];
if (!runtime) throw new Error("this tree runs under the explorer only: import tools/explore first");
export const base = runtime.registerSites(${table});
export const { $sync, ${RUNTIME.join(", ")} } = runtime;
`;
  write(to, "$runtime.js", code);
}

/** On the first line of code, so that line numbers stay. */
function withImport(statement: string, code: string): string {
  const hashbang = /^#!.*\n/.exec(code)?.[0] ?? "";
  // The map is of the emitted module; lines still agree, columns do not.
  const body = code.slice(hashbang.length).replace(/^\/\/# sourceMappingURL=.*$/m, "");
  return `${hashbang}${statement} ${body}`;
}

function toRoot(path: string): string {
  const depth = path.split("/").length - 1;
  return depth === 0 ? "./" : "../".repeat(depth);
}

function write(to: string, path: string, text: string): void {
  const target = join(to, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}

function filesUnder(folder: string): string[] {
  const found: string[] = [];
  const go = (at: string): void => {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      const path = join(at, entry.name);
      if (entry.isDirectory()) go(path);
      else found.push(relative(folder, path).split(sep).join(posix.sep));
    }
  };
  go(folder);
  return found.sort();
}

/** Globs with `**`, `*` and `?`. */
function matcher(globs: readonly string[]): (path: string) => boolean {
  const patterns = globs.map((glob) => {
    const escaped = glob.replace(/[.+^${}()|[\]\\]/g, "\\$&");
    const text = escaped.replace(/\*\*\/|\*\*|\*|\?/g, (part) =>
      part === "**/" ? "(?:.*/)?" : part === "**" ? ".*" : part === "*" ? "[^/]*" : "[^/]",
    );
    return new RegExp(`^${text}$`);
  });
  return (path) => patterns.some((pattern) => pattern.test(path));
}
