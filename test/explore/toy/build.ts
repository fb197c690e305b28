/** Emits the toy once for a process and its children. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../../..");
/** The folder of emitted modules. */
export const toyDist: string = join(root, "build/toy");

if (process.env["ZALLOC_TOY_BUILT"] === undefined || !existsSync(toyDist)) {
  execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", join(import.meta.dirname, "tsconfig.json")], { stdio: "inherit" });
  process.env["ZALLOC_TOY_BUILT"] = "1";
}
