// Imports in src/ only ever point down the house:
//
//   backend/memory ← backend/vmem ← backend/supplier ← uma ← uma/typed ← face (src/*.ts) ← kpi ← cli
//
// Only host files (node*.ts) and cli may name a Node module. Only cli, which is not published, may name a package.
// Type-only imports count: they bind as firmly as the others.
//
//   tsx tools/check-imports.ts [directory]     prints each violation; exits 1 if there is one

import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { posix, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { parseAst } from "vite";

/** Lowest first. */
const FLOORS = ["backend/memory", "backend/vmem", "backend/supplier", "uma", "uma/typed", "face", "kpi", "cli"];

/** @returns The floor on which a file stands, as an index into FLOORS; -1 for none. */
function floorOf(file: string): number {
  let folder = posix.dirname(file);
  if (folder === ".") return FLOORS.indexOf("face");
  while (folder !== "." && !FLOORS.includes(folder)) folder = posix.dirname(folder);
  return FLOORS.indexOf(folder);
}

/** @returns Every module named by an import, export, import() or import type below an AST node. */
function importsOf(node: unknown): string[] {
  if (typeof node !== "object" || node === null) return [];
  const inner = Object.values(node).flatMap(importsOf);
  if (!("source" in node)) return inner;
  const source = node.source;
  if (typeof source !== "object" || source === null || !("value" in source) || typeof source.value !== "string") return inner;
  return [source.value, ...inner];
}

/**
 * @param file - Path relative to src, with forward slashes.
 * @returns What is wrong with the file's imports, one line each.
 */
export function violations(file: string, source: string): string[] {
  const floor = floorOf(file);
  if (floor < 0) return [`${file}: stands on no floor of ${FLOORS.join(", ")}`];
  const inCli = FLOORS[floor] === "cli";
  const isHostFile = /^node.*\.ts$/.test(posix.basename(file));

  const found: string[] = [];
  for (const name of importsOf(parseAst(source, { lang: "ts" }))) {
    if (name.startsWith(".")) {
      const target = posix.join(posix.dirname(file), name);
      if (target.startsWith("..")) found.push(`${file}: imports "${name}", which lies outside src`);
      else if (floorOf(target) > floor) found.push(`${file}: imports "${name}", which points up from ${FLOORS[floor]}`);
    } else if (isBuiltin(name)) {
      if (!inCli && !isHostFile) found.push(`${file}: imports "${name}"; only cli and node*.ts may name a Node module`);
    } else if (!inCli) found.push(`${file}: imports "${name}"; what is published has no dependencies`);
  }
  return found;
}

/** @returns The violations of every TypeScript file below a directory. */
export function checkDirectory(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .sort()
    .flatMap((file) => violations(file.split(sep).join("/"), readFileSync(resolve(directory, file), "utf8")));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const found = checkDirectory(process.argv[2] ?? "src");
  for (const line of found) console.error(line);
  if (found.length > 0) process.exitCode = 1;
}
