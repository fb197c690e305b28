/** Theory: the mutants of the toy are caught by the explorer; a mutant that changes nothing survives; an edit that does not fit is told. */
import { describe, expect, test } from "vitest";
import { runMutants, type Mutant } from "../../tools/mutants/index.ts";
import { suite } from "../explore/toy/mutants.ts";

describe("mutants", () => {
  test("every mutant of the toy is caught by the explorer", async () => {
    const verdicts = await runMutants(suite, { jobs: 2 });
    expect(verdicts.map((v) => [v.mutant, v.outcome, v.by])).toEqual(verdicts.map((v) => [v.mutant, "caught", "explorer"]));
    expect(verdicts.length).toBeGreaterThanOrEqual(9);
  });

  test("survivors and edits that do not apply are told apart", async () => {
    const base = { file: "src/journal.ts", expectCaughtBy: "quick" };
    const mutants: Mutant[] = [
      { ...base, name: "equivalent", find: "count + 1", replace: "1 + count" },
      { ...base, name: "nowhere", find: "no such text", replace: "" },
      { ...base, name: "twice", find: "slotBase(slot)", replace: "" },
    ];
    const detector = { name: "quick", command: ["node", "-e", "process.exit(0)"] as const };
    const verdicts = await runMutants({ ...suite, detectors: [{ ...detector, command: [...detector.command] }], mutants });
    expect(verdicts.map((v) => v.outcome)).toEqual(["survived", "does not apply", "does not apply"]);
  });

  test("a detector that fails without finding anything is no catch", async () => {
    const detectors = [
      {
        name: "broken",
        command: ["node", "-e", "console.log('no such file'); process.exit(1)"] as [string, string, string],
        says: /found:/,
      },
    ];
    await expect(runMutants({ ...suite, detectors })).rejects.toThrow("detector broken broke: no such file");
  });

  test("a detector that fails on the unchanged tree makes the run worthless", async () => {
    const detectors = [{ name: "broken", command: ["node", "-e", "process.exit(1)"] as [string, ...string[]] }];
    await expect(runMutants({ ...suite, detectors })).rejects.toThrow(/fails on the unchanged tree/);
  });
});
