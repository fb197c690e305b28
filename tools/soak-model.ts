/**
 * `npm run soak:model`: zones of all kinds against a plain model, for as many operations as one likes.
 *
 *   npm run soak:model                           10^7 operations on two processes
 *   npm run soak:model -- --ops 1e8 --seed 7     10^8; the seed makes a run repeatable
 *   npm run soak:model -- --jobs 1
 *
 * It runs the emitted code (ZALLOC_DIST: another emitted tree), of which each worker of a world has a copy of its own.
 */
import { execFileSync, fork } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { numberOf, readOptions } from "./options.ts";

const { values } = readOptions(import.meta.filename, {
  options: {
    ops: { type: "string", default: "1e7" },
    seed: { type: "string" },
    jobs: { type: "string", default: "2" },
  },
});
const operations = numberOf("ops", values.ops, 1);
const seed = values.seed === undefined ? (Date.now() % 1_000_000) * 1000 : numberOf("seed", values.seed);
const WORLD = 500_000;
const COPIES = 3;
/** The model is emitted as it is: it has been checked with everything else. */
const EMIT =
  "--ignoreConfig --noCheck --module nodenext --target es2023 --rewriteRelativeImportExtensions --types node --skipLibCheck".split(" ");
const root = resolve(import.meta.dirname, "..");

/** What a child tells now and then. */
interface Told {
  readonly operations: number;
  readonly allocations: number;
  readonly remoteFrees: number;
  readonly refusals: number;
}

async function main(): Promise<void> {
  const jobs = numberOf("jobs", values.jobs, 1);
  const folder = mkdtempSync(join(tmpdir(), "soak-model-"));
  const tsc = join(root, "node_modules/.bin/tsc");
  const given = process.env["ZALLOC_DIST"];
  const dist = given ?? join(root, "build/soak");
  if (given === undefined || !existsSync(dist)) {
    execFileSync(tsc, ["-p", join(root, "tsconfig.build.json"), "--outDir", dist], { stdio: "inherit" });
  }
  execFileSync(tsc, [...EMIT, "--rootDir", root, "--outDir", join(folder, "model"), join(root, "test/model/soak-child.ts")], {
    stdio: "inherit",
    cwd: root,
  });
  for (let n = 0; n < COPIES; n++) cpSync(dist, join(folder, `${n}`), { recursive: true });
  console.log(`soak:model: ${operations.toExponential()} operations, seed ${seed}, ${jobs} processes`);
  const began = performance.now();
  const sum = { operations: 0, allocations: 0, remoteFrees: 0, refusals: 0, worlds: 0 };
  let shown = 0;
  const codes = await Promise.all(
    Array.from({ length: jobs }, (_, n) => {
      const args = [folder, String(Math.ceil(operations / jobs)), String(seed + n), String(WORLD)];
      const worker = fork(join(folder, "model/test/model/soak-child.js"), args, {
        execArgv: [],
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      });
      worker.on("message", (message) => {
        const told = message as Told;
        for (const key of ["operations", "allocations", "remoteFrees", "refusals"] as const) sum[key] += told[key];
        sum.worlds++;
        if (sum.operations - shown < operations / 10) return;
        shown = sum.operations;
        const seconds = (performance.now() - began) / 1000;
        console.log(`soak:model: ${sum.operations.toLocaleString("en-US")} operations agree, ${seconds.toFixed(0)} s`);
      });
      return new Promise<number>((done) => worker.once("close", (code) => done(code ?? 1)));
    }),
  );
  rmSync(folder, { recursive: true, force: true });
  const seconds = (performance.now() - began) / 1000;
  const rate = Math.round(sum.operations / seconds).toLocaleString("en-US");
  const n = (value: number): string => value.toLocaleString("en-US");
  console.log(
    `soak:model: ${n(sum.operations)} operations in ${sum.worlds} worlds (${n(sum.allocations)} allocations, ${n(sum.remoteFrees)} frees by others, ` +
      `${n(sum.refusals)} refusals), ${seconds.toFixed(0)} s, ${rate} a second, ${codes.every((code) => code === 0) ? "no difference" : "DIFFERENCES"}`,
  );
  process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
}

await main();
