/**
 * The options of a command under tools/. What it has to say about itself is the comment at the head of its file: `--help` prints that,
 * and an option that is not there is one line and exit code 2.
 */
import { readFileSync } from "node:fs";
import { type ParseArgsConfig, parseArgs } from "node:util";

type Parsed<T extends ParseArgsConfig> = ReturnType<typeof parseArgs<T>>;

/**
 * @param file - the command's own, whose first comment is its help.
 * @param config - what `parseArgs` takes.
 */
export function readOptions<T extends ParseArgsConfig>(file: string, config: T): Parsed<T> {
  if (process.argv.includes("--help") || process.argv.includes("-h")) {
    console.log(helpOf(readFileSync(file, "utf8")));
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    console.error(`${(error as Error).message}; --help lists what there is`);
    process.exit(2);
  }
}

/** A number among the options. @param least - the least that makes sense. */
export function numberOf(name: string, text: string, least: number = 0): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= least) return value;
  console.error(`--${name} ${text}: a number from ${least} on is wanted; --help lists what there is`);
  process.exit(2);
}

/** The comment at a file's head, without its stars. */
export function helpOf(text: string): string {
  const comment = /\/\*\*([\s\S]*?)\*\//.exec(text)?.[1] ?? "";
  return comment
    .split("\n")
    .map((line) => line.replace(/^ \*? ?/, "").trimEnd())
    .join("\n")
    .trim();
}
