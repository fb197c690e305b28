/**
 * One file for a worker to load. Sixty modules cost a worker that lives for a tenth of a second most of its life; as one script with
 * V8's code cache they cost it some milliseconds.
 *
 * A *library* is an emitted tree (plain, or with kill points) as one script that returns its exports; a *part* is a script of ours that
 * gets them, as `main(tree, points, message)`.
 */
import { buildSync } from "esbuild";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** What a worker of the crash runs loads. */
export interface Scripts {
  readonly library: string;
  readonly part: string;
}

const COMMON = {
  bundle: true,
  write: true,
  platform: "node",
  format: "cjs",
  target: "es2022",
  minifyWhitespace: true,
  logLevel: "error",
} as const;

/** Bundles the tree in `folder` into the script `outfile`, with its kill points' runtime if it has one. @returns its path. */
export function bundleLibrary(folder: string, outfile: string): string {
  const points = existsSync(join(folder, "$points.js")) ? 'export * as points from "./$points.js";' : "";
  buildSync({
    ...COMMON,
    stdin: { contents: `export * from "./index.js"; ${points}`, resolveDir: folder },
    outfile,
    // Where the library thinks it lies: it tells its own lines of a stack from its user's by that.
    define: { "import.meta.url": JSON.stringify(pathToFileURL(join(folder, "uma/sites.js")).href) },
  });
  return outfile;
}

/** Bundles a part (TypeScript, importing what it likes but the library) into `folder`. @returns its path. */
export function bundlePart(source: string, folder: string): string {
  const outfile = join(folder, `${source.slice(source.lastIndexOf("/") + 1).replace(/\.ts$/, "")}.cjs`);
  buildSync({ ...COMMON, entryPoints: [source], outfile });
  return outfile;
}
