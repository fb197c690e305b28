/** The trees that crash runs need: the library as tsc emits it, the same with a kill point before each shared store, and both as one file. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Instrumented, instrument } from "../instrument/index.ts";
import { type Scripts, bundleLibrary, bundlePart } from "./bundle.ts";

export interface CrashTrees {
  readonly dist: string;
  readonly instrumented: string;
  readonly points: Instrumented["points"];
  readonly warnings: readonly string[];
}

/** What the workers of a campaign load. */
export interface CampaignTrees extends CrashTrees {
  readonly victim: Scripts;
  readonly peer: Scripts;
}

const root = resolve(import.meta.dirname, "../..");

/** Emits and instruments into `build/<name>`; $ZALLOC_DIST names an emitted tree to take instead (a mutant's). */
export function buildCrashTrees(name: string): CrashTrees {
  const folder = join(root, "build", name);
  mkdirSync(folder, { recursive: true });
  const dist = process.env["ZALLOC_DIST"] ?? join(folder, "plain");
  if (process.env["ZALLOC_DIST"] === undefined) {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    execFileSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json"), "--outDir", dist], { stdio: "inherit" });
  }
  const instrumented = join(folder, "points");
  const { points, warnings } = instrument({ from: dist, to: instrumented, mode: "points", include: ["backend/**", "uma/**"] });
  return { dist, instrumented, points, warnings };
}

/** The same, and bundles of them for the workers of a campaign. */
export function buildCampaignTrees(name: string): CampaignTrees {
  const trees = buildCrashTrees(name);
  const folder = join(root, "build", name);
  const part = (source: string): string => bundlePart(join(import.meta.dirname, source), folder);
  return {
    ...trees,
    victim: { library: bundleLibrary(trees.instrumented, join(folder, "instrumented.cjs")), part: part("victim.ts") },
    peer: { library: bundleLibrary(trees.dist, join(folder, "library.cjs")), part: part("peer.ts") },
  };
}
