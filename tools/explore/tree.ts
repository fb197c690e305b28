/**
 * Theory: scenarios run the production code, not a copy of it: the emitted tree is instrumented into a temporary folder
 * when the first scenario asks for a module (it takes less than a second). ZALLOC_DIST names another emitted tree
 * (mutants use it); what cannot be seen by the instrumenter is an error, not a warning.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { instrument, type Edit } from "../instrument/index.ts";
import "./runtime.ts";

export interface Tree {
  readonly folder: string;
  /** Imports a module of the instrumented tree by its path in the emitted one. */
  load<T>(path: string): Promise<T>;
}

const folders: string[] = [];

export interface TreeOptions {
  /** Constants to change for exploration, e.g. fewer spins. */
  readonly edits?: readonly Edit[];
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
}

export function openTree(dist: string, options: TreeOptions = {}): Tree {
  const from = resolve(process.env["ZALLOC_DIST"] ?? dist);
  const folder = mkdtempSync(join(tmpdir(), "explore-"));
  if (folders.push(folder) === 1) process.once("exit", () => folders.forEach((path) => rmSync(path, { recursive: true, force: true })));
  const { warnings } = instrument({ from, to: folder, mode: "generators", ...options });
  if (warnings.length > 0) throw new Error(`the instrumenter cannot see some accesses:\n${warnings.join("\n")}`);
  // Without it the tree would be loaded as CommonJS, and each imported constant would be a getter.
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
  return { folder, load: async <T>(path: string) => (await import(/* @vite-ignore */ pathToFileURL(join(folder, path)).href)) as T };
}
