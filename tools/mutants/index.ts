/**
 * Theory: a check that has never failed proves nothing. A mutant is the production code with one protocol mistake, made by
 * one exact edit; the detectors (commands that must fail) are run on it until one does. A mutant that survives all of them
 * fails the run, and so does an edit that no longer applies: it would silently test nothing. A detector that has caught
 * something is run on the unchanged tree as well, where it must pass, else "caught" would mean nothing either.
 *
 * Detectors find the tree to test in the environment, as ZALLOC_DIST (tools/explore/tree.ts obeys it).
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Edit {
  /** Path in the emitted tree; a `src/….ts` path is taken to its emitted file. */
  readonly file: string;
  /** Texts to look behind, one after the other; then the first place counts. */
  readonly after?: readonly string[];
  /** Must occur exactly once, where `after` does not say where. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutant extends Edit {
  readonly name: string;
  /** Where one mistake takes more than one edit. */
  readonly also?: readonly Edit[];
  /** Name of the detector that is tried first. */
  readonly expectCaughtBy: string;
}

export interface Detector {
  readonly name: string;
  /** Program and arguments; exit code 0 = all is well. */
  readonly command: readonly [string, ...string[]];
  /** What must pass on the unchanged tree, where that is less than the whole. */
  readonly cleanCommand?: readonly [string, ...string[]];
  readonly timeoutMs?: number;
  /** What its output says when it has found something. A failure without it is the detector's own, and stops the run. */
  readonly says?: RegExp;
}

export interface MutantSuite {
  /** The folder of emitted modules. */
  readonly dist: string;
  readonly mutants: readonly Mutant[];
  readonly detectors: readonly Detector[];
  /** Working directory of the detectors. */
  readonly cwd?: string;
}

export interface Verdict {
  readonly mutant: string;
  readonly outcome: "caught" | "survived" | "does not apply";
  readonly by: string | null;
  readonly expected: boolean;
  readonly seconds: number;
  /** What the detector said, one line. */
  readonly evidence: string;
}

interface Outcome {
  readonly failed: boolean;
  readonly evidence: string;
}

/** Runs a suite; `jobs` mutants at a time. Throws when a detector fails on the unchanged tree. */
export async function runMutants(
  suite: MutantSuite,
  options: { jobs?: number; only?: string; print?: (line: string) => void } = {},
): Promise<Verdict[]> {
  const print = options.print ?? ((): void => undefined);
  const clean = new Map<Detector, Promise<void>>();
  const mustPass = (detector: Detector): Promise<void> => {
    let passed = clean.get(detector);
    if (!passed) {
      passed = detect({ ...detector, command: detector.cleanCommand ?? detector.command }, suite.dist, suite.cwd).then((outcome) => {
        if (outcome.failed) throw new Error(`detector ${detector.name} fails on the unchanged tree: ${outcome.evidence}`);
        print(`${detector.name}: passes on the unchanged tree`);
      });
      clean.set(detector, passed);
    }
    return passed;
  };
  const queue = suite.mutants.filter((mutant) => mutant.name.includes(options.only ?? ""));
  const verdicts: Verdict[] = [];
  const drain = async (): Promise<void> => {
    for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
      const verdict = await judge(mutant, suite);
      const detector = suite.detectors.find(({ name }) => name === verdict.by);
      if (detector) await mustPass(detector);
      verdicts.push(verdict);
      print(row(verdict));
    }
  };
  await Promise.all(Array.from({ length: options.jobs ?? 1 }, drain));
  return verdicts;
}

/** Applies the edits to a tree. @returns the text that is to be replaced and is not there exactly once; null: all is done. */
export function applyMutant(mutant: Mutant, tree: string): string | null {
  for (const edit of [mutant, ...(mutant.also ?? [])])
    if (!applyEdit(edit, tree)) return `${edit.file} does not contain exactly once: ${edit.find}`;
  return null;
}

function applyEdit(mutant: Edit, tree: string): boolean {
  const path = join(tree, mutant.file.replace(/^src\//, "").replace(/\.ts$/, ".js"));
  const text = readFileSync(path, "utf8");
  const { after = [] } = mutant;
  let from = 0;
  for (const marker of after) {
    from = text.indexOf(marker, from) + 1;
    if (from === 0) return false;
  }
  const rest = text.slice(from);
  if (after.length === 0 ? text.split(mutant.find).length !== 2 : !rest.includes(mutant.find)) return false;
  // A function, because `$` in a replacement string has a meaning.
  writeFileSync(path, text.slice(0, from) + rest.replace(mutant.find, () => mutant.replace));
  return true;
}

async function judge(mutant: Mutant, suite: MutantSuite): Promise<Verdict> {
  const started = performance.now();
  const tree = mkdtempSync(join(tmpdir(), "mutant-"));
  const verdict = (outcome: Verdict["outcome"], by: string | null, evidence: string): Verdict => ({
    mutant: mutant.name,
    outcome,
    by,
    evidence,
    expected: by === mutant.expectCaughtBy,
    seconds: (performance.now() - started) / 1000,
  });
  try {
    cpSync(suite.dist, tree, { recursive: true });
    const missing = applyMutant(mutant, tree);
    if (missing !== null) return verdict("does not apply", null, missing);
    const first = (detector: Detector): number => (detector.name === mutant.expectCaughtBy ? 0 : 1);
    for (const detector of [...suite.detectors].sort((a, b) => first(a) - first(b))) {
      const outcome = await detect(detector, tree, suite.cwd);
      if (outcome.failed) return verdict("caught", detector.name, outcome.evidence);
    }
    return verdict("survived", null, "every detector passes");
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function detect(detector: Detector, dist: string, cwd: string | undefined): Promise<Outcome> {
  const [program, ...args] = detector.command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ZALLOC_DIST: dist },
      ...(cwd ? { cwd } : {}),
    });
    let output = "";
    const listen = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, detector.timeoutMs ?? 120_000);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      const failed = late || code !== 0;
      if (failed && !late && detector.says !== undefined && !detector.says.test(output)) {
        reject(new Error(`detector ${detector.name} broke: ${evidenceOf(output)}`));
        return;
      }
      resolve({ failed, evidence: late ? "did not end in time" : evidenceOf(output) });
    });
  });
}

/** The line that says what went wrong. */
function evidenceOf(output: string): string {
  const lines = output
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const telling =
    lines.find((line) => /^(found:|violation:|AssertionError|Error:|FAIL)/.test(line)) ??
    lines.findLast((line) => /error|fail|violat/i.test(line));
  return (telling ?? lines.at(-1) ?? "(no output)").slice(0, 140);
}

function row(verdict: Verdict): string {
  const by = verdict.by === null ? "" : ` by ${verdict.by}${verdict.expected ? "" : " (not the expected one)"}`;
  return `${verdict.outcome.toUpperCase().padEnd(8)} ${verdict.mutant}${by}, ${verdict.seconds.toFixed(1)} s: ${verdict.evidence}`;
}

/** The table of who caught what. */
export function table(verdicts: readonly Verdict[]): string {
  const width = Math.max(...verdicts.map((verdict) => verdict.mutant.length), 6);
  const lines = verdicts.map(
    (v) => `| ${v.mutant.padEnd(width)} | ${v.outcome.padEnd(14)} | ${(v.by ?? "nobody").padEnd(12)} | ${v.evidence} |`,
  );
  return [
    `| ${"mutant".padEnd(width)} | outcome        | by           | evidence |`,
    `|${"-".repeat(width + 2)}|----------------|--------------|---|`,
    ...lines,
  ].join("\n");
}
