/** The trees that crash runs need: the library as tsc emits it, and the same with a kill point before each shared store. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Instrumented, instrument } from "../instrument/index.ts";

export interface CrashTrees {
  readonly dist: string;
  readonly instrumented: string;
  readonly points: Instrumented["points"];
  readonly warnings: readonly string[];
}

const root = resolve(import.meta.dirname, "../..");

/** Emits and instruments into `build/<name>`; $ZALLOC_DIST names an emitted tree to take instead (a mutant's). */
export function buildCrashTrees(name: string): CrashTrees {
  const folder = join(root, "build", name);
  mkdirSync(folder, { recursive: true });
  const dist = process.env["ZALLOC_DIST"] ?? join(folder, "plain");
  if (process.env["ZALLOC_DIST"] === undefined) {
    execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", join(root, "tsconfig.build.json"), "--outDir", dist], { stdio: "inherit" });
  }
  const instrumented = join(folder, "points");
  const { points, warnings } = instrument({ from: dist, to: instrumented, mode: "points", include: ["backend/**", "uma/**"] });
  return { dist, instrumented, points, warnings };
}
