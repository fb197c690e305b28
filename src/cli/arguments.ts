/** The command line's own words: what can be asked for, and that nothing else is. */
import { resolve } from "node:path";
import { cac } from "cac";
import { MAX_MEMORY_BYTES } from "../backend/memory/buffer.ts";
import { DEFAULT_TRACE, traceFile } from "./shipped-traces.ts";
import { UsageError } from "./usage-error.ts";

/** What `replay` was asked to do. */
export interface ReplayRequest {
  /** Path of the trace. */
  readonly file: string;
  readonly workers: number;
  /** Terminate a worker in mid-run. */
  readonly kill: boolean;
  /** Length of the memory, bytes; 0 = by the trace. */
  readonly bytes: number;
  /** Where to write a plot of the memory over the trace; "" = nowhere. */
  readonly plot: string;
}

const DEFAULT_WORKERS = 2;
const MOST_WORKERS = 64;
const LEAST_BYTES = 4 * 2 ** 20;
const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

type Options = Readonly<Record<string, unknown>>;

/**
 * Parses the arguments after the script's name.
 * @param cwd - what relative paths are relative to.
 * @returns null when only help was asked for, which has been printed then.
 * @throws UsageError
 */
export function parseArguments(argv: readonly string[], cwd: string): ReplayRequest | null {
  const cli = cac("npm start --");
  let request: ReplayRequest | null = null;
  cli
    .command("replay", "Replays the allocation trace of a real program on worker threads, every byte stamped and checked")
    .alias("!")
    .option("--trace <file>", `The trace: a file, or the name of one that is shipped (default: ${DEFAULT_TRACE})`)
    .option("--workers <n>", `Worker threads (default: ${DEFAULT_WORKERS})`)
    .option("--kill", "Terminate one worker in mid-run, recover it, and let the others finish")
    .option("--bytes <n>", "Length of the memory, bytes; k, m or g may follow (default: by the trace)")
    .option("--plot <file>", "Write a plot of live and held bytes over the trace, by zone, to an SVG file")
    .action((options: Options) => {
      request = readOptions(options, cwd);
    });
  cli.help();
  try {
    cli.parse(["node", "zalloc", ...argv]);
  } catch (error) {
    if (error instanceof Error && error.name === "CACError") throw new UsageError(`${error.message}; --help lists what there is`);
    throw error;
  }
  return request;
}

function readOptions({ trace, workers, kill, bytes, plot }: Options, cwd: string): ReplayRequest {
  if (kill !== undefined && typeof kill !== "boolean") throw new UsageError("--kill is given more than once");
  return {
    file: traceFile(trace === undefined ? DEFAULT_TRACE : single("trace", trace), cwd),
    workers: workers === undefined ? DEFAULT_WORKERS : readWorkers(single("workers", workers)),
    kill: kill === true,
    bytes: bytes === undefined ? 0 : readBytes(single("bytes", bytes)),
    plot: plot === undefined ? "" : readPlot(single("plot", plot), cwd),
  };
}

function single(option: string, value: unknown): string {
  if (Array.isArray(value)) throw new UsageError(`--${option} is given more than once`);
  return String(value);
}

function readWorkers(text: string): number {
  const workers = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (workers >= 1 && workers <= MOST_WORKERS) return workers;
  throw new UsageError(`--workers is ${JSON.stringify(text)}; allowed: 1 to ${MOST_WORKERS}`);
}

function readBytes(text: string): number {
  const [, digits, unit = ""] = /^(\d+)([kmg]?)$/i.exec(text) ?? [];
  const bytes = digits === undefined ? Number.NaN : Number(digits) * (UNITS[unit.toLowerCase()] as number);
  if (bytes >= LEAST_BYTES && bytes <= MAX_MEMORY_BYTES) return bytes;
  throw new UsageError(`--bytes is ${JSON.stringify(text)}; allowed: ${LEAST_BYTES} (4m) to ${MAX_MEMORY_BYTES} (2g)`);
}

function readPlot(text: string, cwd: string): string {
  if (text.endsWith(".svg")) return resolve(cwd, text);
  throw new UsageError(`--plot is ${JSON.stringify(text)}; it must be the name of an .svg file`);
}

/** Where the user typed the command: npm runs scripts in the package's own directory. */
export function startedIn(): string {
  return resolve(process.env["INIT_CWD"] ?? process.cwd());
}
