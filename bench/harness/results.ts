/** bench/results.json: what every run writes, whatever it measured. */
import { writeFileSync } from "node:fs";

export interface CaseResult {
  readonly suite: string;
  readonly name: string;
  readonly variant: string;
  /** Nanoseconds for one operation (in most suites an alloc and its free): the median of the slices, the least, the greatest. */
  readonly nsPerOp: number;
  readonly min: number;
  readonly max: number;
}

export interface Results {
  /** `process.version` of the measured processes. */
  readonly node: string;
  readonly cases: readonly CaseResult[];
}

/** Four significant digits: more is noise. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** @returns what is wrong with `value` as results, a line each; nothing when all is well. */
export function faults(value: unknown): string[] {
  if (!isObject(value)) return ["not an object"];
  const found: string[] = [];
  if (Object.keys(value).sort().join() !== "cases,node") found.push("the keys must be node and cases");
  if (typeof value["node"] !== "string" || !/^v\d+\.\d+\.\d+/.test(value["node"])) found.push("node is no version");
  const cases = value["cases"];
  if (!Array.isArray(cases)) return [...found, "cases is no array"];
  const seen = new Set<string>();
  cases.forEach((one: unknown, n) => {
    found.push(...caseFaults(one).map((fault) => `cases[${n}]: ${fault}`));
    if (!isObject(one)) return;
    const key = JSON.stringify([one["suite"], one["name"], one["variant"]]);
    if (seen.has(key)) found.push(`cases[${n}]: ${key} is there twice`);
    seen.add(key);
  });
  return found;
}

function caseFaults(one: unknown): string[] {
  if (!isObject(one)) return ["not an object"];
  const found: string[] = [];
  if (Object.keys(one).sort().join() !== "max,min,name,nsPerOp,suite,variant")
    found.push("the keys must be suite, name, variant, nsPerOp, min, max");
  for (const key of ["suite", "name", "variant"]) if (typeof one[key] !== "string" || one[key] === "") found.push(`${key} is no name`);
  const { nsPerOp, min, max } = one as { nsPerOp: unknown; min: unknown; max: unknown };
  if (!isTime(nsPerOp) || !isTime(min) || !isTime(max)) found.push("nsPerOp, min and max must be finite and above 0");
  else if (nsPerOp < min || nsPerOp > max) found.push("nsPerOp must lie between min and max");
  return found;
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value > 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws Error when the results are not what results.json must be. */
export function writeResults(file: string | URL, results: Results): void {
  const found = faults(results);
  if (found.length > 0) throw new Error(`not written, the results are faulty:\n${found.join("\n")}`);
  const cases = results.cases.map((one) => `    ${JSON.stringify(one)}`).join(",\n");
  writeFileSync(file, `{\n  "node": ${JSON.stringify(results.node)},\n  "cases": [\n${cases}\n  ]\n}\n`);
}
