/** The traces that come with the project, and how a trace is found by name or path. */
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const DEFAULT_TRACE = "node";

const FOLDER: string = fileURLToPath(new URL("../../examples/traces/", import.meta.url));
const SUFFIX = ".trace.gz";

/** Names of the shipped traces. */
export function shippedTraces(): string[] {
  if (!existsSync(FOLDER)) return [];
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(SUFFIX))
    .map((file) => file.slice(0, -SUFFIX.length))
    .sort();
}

/** Path of the trace `what`: the name of a shipped one, or else a file. */
export function traceFile(what: string, cwd: string): string {
  return shippedTraces().includes(what) ? resolve(FOLDER, what + SUFFIX) : resolve(cwd, what);
}
