/** The mistakes that are found within seconds are found, each by the scenario that is there for it. */
import { expect, test } from "vitest";
import { runMutants } from "../../tools/mutants/index.ts";
import { quickSuite } from "./suite.ts";

test("the explorer catches every one of the quick mutants", { timeout: 300_000 }, async () => {
  const verdicts = await runMutants(quickSuite, { jobs: 2 });
  expect(verdicts.map((v) => [v.mutant, v.outcome, v.expected])).toEqual(verdicts.map((v) => [v.mutant, "caught", true]));
  expect(verdicts.length).toBe(quickSuite.mutants.length);
});
