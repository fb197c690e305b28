// Installs the packed package in an empty project, as a user would, and there
//   1. imports every entry and allocates one item,
//   2. type-checks the same program against the published declarations,
//   3. lets publint read the package.
// The `prepack` script builds first, so what is checked is what would be published.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const PROGRAM = `
import { defineZone, Uma } from "zalloc";

const uma = Uma.create({ bytes: 16 * 1024 * 1024 });
const zone = uma.open(defineZone("x", { size: 64 }));
const item = zone.alloc();
if (!(item > 0)) throw new Error("alloc() gave " + String(item));
zone.free(item);
`;

const COMPILER_OPTIONS = {
  target: "es2022",
  module: "nodenext",
  lib: ["es2023", "es2024.sharedmemory", "esnext.disposable", "dom"],
  types: [],
  strict: true,
  noEmit: true,
  // The point: the published declarations are checked too.
  skipLibCheck: false,
};

const root = resolve(import.meta.dirname, "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { name: string; exports: Record<string, unknown> };
const entries = Object.keys(manifest.exports).filter((entry) => entry !== "./package.json");

function run(command: string, args: string[], directory: string): void {
  console.log(`pack-check: ${command} ${args.join(" ")}`);
  execFileSync(command, args, { cwd: directory, stdio: "inherit" });
}

/** Runs a program of one of the project's own development dependencies. */
function runOwn(program: string, args: string[], directory: string): void {
  run(join(root, "node_modules", ".bin", program), args, directory);
}

const temporary = mkdtempSync(join(tmpdir(), "zalloc-pack-"));
try {
  run("npm", ["pack", "--silent", "--pack-destination", temporary], root);
  const tarball = readdirSync(temporary).find((file) => file.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack left no tarball");

  const project = join(temporary, "project");
  mkdirSync(project);
  const imports = entries.map((entry) => `import "${entry.replace(".", manifest.name)}";`).join("\n");
  writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files: ["program.ts"] }));
  writeFileSync(join(project, "program.js"), imports + PROGRAM);
  writeFileSync(join(project, "program.ts"), imports + PROGRAM);

  // Offline, because a package without dependencies needs nothing else.
  run("npm", ["install", "--silent", "--offline", join(temporary, tarball)], project);
  const installed = readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."));
  if (installed.join() !== manifest.name) throw new Error(`the package brought others along: ${installed.join(", ")}`);

  run("node", ["program.js"], project);
  runOwn("tsc", ["-p", "tsconfig.json"], project);
  runOwn("publint", ["run", join(temporary, tarball), "--strict"], root);
  console.log(`pack-check: ${tarball} works: ${String(entries.length)} entries, one item allocated`);
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
