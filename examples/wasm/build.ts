/**
 * Builds the program: SQLite, as published, and program.c, for WebAssembly and for this machine.
 *
 * Two workers run it on one memory at once, so each needs its static data and its stack at a place of its own: the same
 * objects are linked once for every place. The C library is wasi-libc without its allocator, which heap.c stands in for.
 * What has been built is kept in examples/wasm/.build and built anew when its sources or options change.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type WasmTools, findNativeCompiler, findWasmTools } from "../../tools/wasm-compiler.ts";
import { IMAGES, IMAGE_STACK_BYTES, MEMORY_BYTES, imageBase } from "./images.ts";

/** SQLite's sources, in one file, as this package of the npm registry carries them. Only fetched: its install step is not run. */
const SQLITE_PACKAGE = "better-sqlite3@13.2.0";
const SQLITE_INTEGRITY = "sha512-Z8Q/9x/uNyKxA1v4FNodyItRVRw1TeKBrmj32JhxhR0ceNcBY+wMobt/Bv7M7TzwPAXjnZRtNaEsATnUZSKWZQ==";

const HERE = import.meta.dirname;
const BUILD = join(HERE, ".build");

const DEFINES = [
  "SQLITE_OS_OTHER=1",
  "SQLITE_THREADSAFE=0",
  "SQLITE_TEMP_STORE=3",
  "SQLITE_DQS=0",
  "SQLITE_OMIT_LOAD_EXTENSION",
  "SQLITE_OMIT_LOCALTIME",
  "SQLITE_OMIT_WAL",
  "SQLITE_DEFAULT_MEMSTATUS=0",
  "HAVE_MALLOC_USABLE_SIZE=1",
].map((define) => `-D${define}`);

const WASM_OPTIONS = ["--target=wasm32-wasi", "-w", "-matomics", "-mbulk-memory", ...DEFINES];
const NATIVE_OPTIONS = ["-w", ...DEFINES];
const COMMON = ["program.c", "files.c"];
const WASM_ONLY = ["heap.c", "wasm-host.c"];
const NATIVE_ONLY = ["native.c"];

export interface BuildOptions {
  /** Compiles in a tenth of the time what runs at a third of the speed: for small runs. */
  readonly quick?: boolean;
  /** Is told what takes time. */
  readonly say?: (line: string) => void;
}

export interface Built {
  /** A WebAssembly module for each place in the memory. */
  readonly images: readonly string[];
  /** The same program as an executable of this machine. */
  readonly native: string;
}

/** Fetches SQLite's sources, once. @returns the folder of sqlite3.c. */
function fetchSqlite(): string {
  const folder = join(BUILD, "sqlite");
  const sources = join(folder, "package", "deps", "sqlite3");
  if (existsSync(join(sources, "sqlite3.c"))) return sources;
  mkdirSync(folder, { recursive: true });
  // A registry's package, not a repository: `npm pack` fetches it as `npm install` would.
  const output = execFileSync("npm", ["pack", SQLITE_PACKAGE, "--silent", "--pack-destination", folder], { cwd: folder, encoding: "utf8" });
  const tarball = join(folder, output.trim().split("\n").at(-1) as string);
  const integrity = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
  if (integrity !== SQLITE_INTEGRITY) throw new Error(`${SQLITE_PACKAGE} has integrity ${integrity}, not ${SQLITE_INTEGRITY}`);
  execFileSync("tar", ["-xzf", tarball, "-C", folder, "package/deps/sqlite3"]);
  return sources;
}

/** Names what is built from: the sources of this folder, the options, and where the images lie. */
function fingerprint(levels: readonly string[]): string {
  const hash = createHash("sha256").update(levels.join());
  for (const file of [...COMMON, ...WASM_ONLY, ...NATIVE_ONLY, "host.h", "build.ts", "images.ts"])
    hash.update(readFileSync(join(HERE, file)));
  return hash.digest("hex").slice(0, 16);
}

function compileForWasm(tools: WasmTools, level: string, sqlite: string, folder: string): string[] {
  const sources = [join(sqlite, "sqlite3.c"), ...[...COMMON, ...WASM_ONLY].map((file) => join(HERE, file))];
  return sources.map((source, i) => {
    const object = join(folder, `${i}.o`);
    execFileSync(tools.clang, [...WASM_OPTIONS, level, "-isystem", tools.include, `-I${sqlite}`, `-I${HERE}`, "-c", source, "-o", object]);
    return object;
  });
}

function linkImage(tools: WasmTools, objects: string[], image: number, output: string): void {
  execFileSync(tools.linker, [
    ...objects,
    `-L${tools.libraries}`,
    "-lc",
    tools.builtins,
    "--no-entry",
    "--gc-sections",
    "--strip-debug",
    "--export=keep_register",
    "--export=__heap_base",
    "--import-memory",
    "--shared-memory",
    `--max-memory=${MEMORY_BYTES}`,
    // wasi-libc's objects were compiled for one thread. Each image is one: no C data is shared between two of them.
    "--no-check-features",
    `--global-base=${imageBase(image)}`,
    "-z",
    `stack-size=${IMAGE_STACK_BYTES}`,
    "-o",
    output,
  ]);
}

/** @throws NoCompiler where there is none; anything else when fetching or compiling fails. */
export function buildProgram({ quick = false, say = () => {} }: BuildOptions = {}): Built {
  const [wasmLevel, nativeLevel] = quick ? ["-O0", "-O0"] : ["-O2", "-O1"];
  const folder = join(BUILD, fingerprint([wasmLevel, nativeLevel]));
  const images = Array.from({ length: IMAGES }, (_, i) => join(folder, `image-${i}.wasm`));
  const native = join(folder, "native");
  if (existsSync(folder)) return { images, native };
  const tools = findWasmTools();
  const compiler = findNativeCompiler();
  say(`fetching SQLite (${SQLITE_PACKAGE}) …`);
  const sqlite = fetchSqlite();
  say(`compiling it for wasm32 and for this machine (${quick ? "some seconds" : "a minute"}, the first time) …`);
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  const objects = compileForWasm(tools, wasmLevel, sqlite, unfinished);
  for (let i = 0; i < IMAGES; i++) linkImage(tools, objects, i, join(unfinished, `image-${i}.wasm`));
  const sources = [join(sqlite, "sqlite3.c"), ...[...COMMON, ...NATIVE_ONLY].map((file) => join(HERE, file))];
  execFileSync(compiler, [...NATIVE_OPTIONS, nativeLevel, `-I${sqlite}`, `-I${HERE}`, ...sources, "-o", join(unfinished, "native"), "-lm"]);
  writeFileSync(join(unfinished, "built"), "");
  renameSync(unfinished, folder);
  return { images, native };
}

/** The report that the program writes as a process of this machine. */
export function nativeReport(built: Built, seed: number, years: number, people: number): string[] {
  const output = execFileSync(built.native, [String(seed), String(years), String(people)], { encoding: "utf8", maxBuffer: 2 ** 28 });
  return output.trimEnd().split("\n");
}
