/** `mutants <suite module> [--jobs 2] [--only text]`: the module exports `suite`. Exit code 1 unless every mutant is caught. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { numberOf, readOptions } from "../options.ts";
import { runMutants, table, type MutantSuite } from "./index.ts";

const { positionals, values } = readOptions(import.meta.filename, {
  allowPositionals: true,
  options: { jobs: { type: "string", default: "1" }, only: { type: "string" } },
});
const [module] = positionals;
if (!module) {
  console.error("usage: mutants <suite module> [--jobs n] [--only text]");
  process.exit(2);
}
const { suite } = (await import(pathToFileURL(resolve(module)).href)) as { suite: MutantSuite };
const began = performance.now();
const verdicts = await runMutants(suite, {
  jobs: numberOf("jobs", values.jobs, 1),
  print: console.log,
  ...(values.only ? { only: values.only } : {}),
});
console.log(table(verdicts));
const caught = verdicts.filter((verdict) => verdict.outcome === "caught").length;
console.log(`${caught} of ${verdicts.length} mutants caught in ${((performance.now() - began) / 1000).toFixed(0)} s`);
process.exitCode = caught === verdicts.length && caught > 0 ? 0 : 1;
