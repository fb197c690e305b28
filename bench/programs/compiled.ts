/**
 * What is compared with C: compiled when it is first needed, into build/bench-c; null where there is no compiler, and the rows that
 * need it are left out then.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { NoCompiler, findNativeCompiler, findWasmTools } from "../../tools/wasm-compiler.ts";

// The compiled benchmarks lie elsewhere than their sources; `npm run` starts them at the root of the project.
const SOURCES = join(process.cwd(), "bench", "programs", "c");
const OUT = join(process.cwd(), "build", "bench-c");

/** Builds `name` from `source` unless it is newer. @returns its path; null where there is no compiler. */
function built(name: string, source: string, build: (source: string, output: string) => void): string | null {
  const path = join(OUT, name);
  const from = join(SOURCES, source);
  if (existsSync(path) && statSync(path).mtimeMs > statSync(from).mtimeMs) return path;
  mkdirSync(OUT, { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  try {
    build(from, unfinished);
  } catch (error) {
    if (error instanceof NoCompiler) return null;
    throw error;
  }
  renameSync(unfinished, path);
  return path;
}

/** The replay on this machine's malloc. */
export function nativeReplay(): string | null {
  return built("replay", "replay.c", (source, output) => {
    execFileSync(findNativeCompiler(), ["-O2", "-o", output, source]);
  });
}

/** Doug Lea's malloc as WebAssembly. */
export interface DlMalloc {
  readonly allocate: (size: number) => number;
  readonly release: (p: number) => void;
}

function dlMallocFile(): string | null {
  return built("dlmalloc.wasm", "dlmalloc.c", (source, output) => {
    const { clang, linker, include, libraries, builtins } = findWasmTools();
    const object = `${output}.o`;
    execFileSync(clang, ["--target=wasm32-wasi", "-O2", "-isystem", include, "-c", source, "-o", object]);
    const exported = ["--no-entry", "--export=allocate", "--export=release"];
    execFileSync(linker, [object, `-L${libraries}`, "-lc", builtins, ...exported, "-o", output]);
  });
}

/** Whether there is a {@link dlMalloc}. */
export function hasDlMalloc(): boolean {
  return dlMallocFile() !== null;
}

export function dlMalloc(): DlMalloc {
  const file = dlMallocFile();
  if (file === null) throw new NoCompiler("no compiler for wasm32");
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), {});
  return exports as unknown as DlMalloc;
}
