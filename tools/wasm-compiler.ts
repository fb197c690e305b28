/** Finding what compiles C for wasm32 and for this machine. Nothing is installed: what is missing is told by its Debian package. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** What a compiler needs that is not there, in one line. */
export class NoCompiler extends Error {}

export interface WasmTools {
  readonly clang: string;
  readonly linker: string;
  /** Headers and libraries of wasi-libc. */
  readonly include: string;
  readonly libraries: string;
  /** The compiler's own library. */
  readonly builtins: string;
}

const INCLUDE = "/usr/include/wasm32-wasi";
const LIBRARIES = "/usr/lib/wasm32-wasi";

function firstThatRuns(...programs: string[]): string | null {
  return programs.find((program) => runs(program)) ?? null;
}

function runs(program: string): boolean {
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** @throws NoCompiler saying what is missing and which Debian packages have it. */
export function findWasmTools(): WasmTools {
  const clang = firstThatRuns("clang", "clang-19", "clang-16", "clang-14");
  const linker = firstThatRuns("wasm-ld", "wasm-ld-19", "wasm-ld-16", "wasm-ld-14");
  const builtins = clang === null ? null : builtinsOf(clang);
  const missing = [
    ...(clang === null ? ["clang"] : []),
    ...(linker === null ? ["lld"] : []),
    ...(existsSync(INCLUDE) && existsSync(LIBRARIES) ? [] : ["wasi-libc"]),
    ...(builtins === null ? ["libclang-rt-dev-wasm32"] : []),
  ];
  if (clang === null || linker === null || builtins === null || missing.length > 0) {
    throw new NoCompiler(`no compiler for wasm32; on Debian: apt-get install ${missing.join(" ")}`);
  }
  return { clang, linker, include: INCLUDE, libraries: LIBRARIES, builtins };
}

/** The compiler's own library for wasm32, wherever its release keeps it. */
function builtinsOf(clang: string): string | null {
  const lib = join(execFileSync(clang, ["-print-resource-dir"], { encoding: "utf8" }).trim(), "lib");
  if (!existsSync(lib)) return null;
  const found = readdirSync(lib, { recursive: true, encoding: "utf8" }).find(
    (path) => /wasm32|wasi/.test(path) && path.endsWith(".a") && path.includes("builtins"),
  );
  return found === undefined ? null : join(lib, found);
}

/** The compiler of this machine's own programs. @throws NoCompiler. */
export function findNativeCompiler(): string {
  const found = firstThatRuns("cc", "gcc", "clang");
  if (found === null) throw new NoCompiler("no C compiler; on Debian: apt-get install gcc libc6-dev");
  return found;
}
