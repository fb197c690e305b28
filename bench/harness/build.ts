/** Compiling what is measured, and finding the suites. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Suite } from "./suite.ts";

const ROOT = new URL("../../", import.meta.url);
const OUT = new URL("build/bench-dist/", ROOT);
const SUITES = new URL("bench/suites/", ROOT);

/**
 * Compiles library and suites into build/bench-dist, with the options of the published build (its own `dist` is left alone).
 * @returns the script of a case's process.
 */
export function buildBench(): URL {
  rmSync(OUT, { recursive: true, force: true });
  const tsc = fileURLToPath(new URL("node_modules/typescript/bin/tsc", ROOT));
  try {
    execFileSync(process.execPath, [tsc, "-p", fileURLToPath(new URL("bench/tsconfig.json", ROOT))], {
      stdio: ["ignore", "pipe", "inherit"],
    });
  } catch (cause) {
    throw new Error(`the benchmarks do not compile:\n${String((cause as { stdout?: Buffer }).stdout ?? cause)}`, { cause });
  }
  return new URL("bench/harness/case.js", OUT);
}

/** The suites there are, by file name. */
export function suiteNames(): string[] {
  return readdirSync(SUITES)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -3))
    .sort();
}

/** Loads the compiled suite. */
export async function loadSuite(name: string): Promise<Suite> {
  const file = new URL(`bench/suites/${name}.js`, OUT);
  if (!existsSync(file)) throw new Error(`there is no suite ${name}; there are ${suiteNames().join(", ")}`);
  const { suite } = (await import(pathToFileURL(fileURLToPath(file)).href)) as { suite: Suite };
  if (suite.name !== name) throw new Error(`bench/suites/${name}.ts calls its suite ${suite.name}`);
  return suite;
}
