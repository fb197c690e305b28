/** What a command under tools/ says of itself, and to what it does not know. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { helpOf } from "../../tools/options.ts";

const TOOLS = ["crash/cli.ts", "mutants/cli.ts", "soak-vmem.ts"];

function run(
  tool: string,
  ...args: readonly string[]
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const file = new URL(`../../tools/${tool}`, import.meta.url).pathname;
  return spawnSync(process.execPath, ["--import", "tsx", file, ...args], { encoding: "utf8" });
}

test("a file's first comment is its help, without the stars", () => {
  expect(helpOf("/**\n * One.\n *\n *   two 3\n */\nlet x;\n/** no */")).toBe("One.\n\n  two 3");
  expect(helpOf("/** One line. */")).toBe("One line.");
});

test.each([
  ["crash/cli.ts", "--kills"],
  ["soak-vmem.ts", "--operations"],
])("%s: what is no number for %s is one line and exit code 2", (tool, option) => {
  const refused = run(tool, option, "many");
  expect([refused.status, refused.stdout]).toEqual([2, ""]);
  expect(refused.stderr).toContain(`${option} many: a number from 1 on is wanted`);
});

test.each(TOOLS)("%s: --help says what can be asked for, and an unknown option is one line and exit code 2", (tool) => {
  const help = run(tool, "--help");
  expect([help.status, help.stderr]).toEqual([0, ""]);
  expect(help.stdout).toMatch(/`|npm run /);
  const unknown = run(tool, "--no-such-thing");
  expect([unknown.status, unknown.stdout]).toEqual([2, ""]);
  expect(unknown.stderr.trim().split("\n")).toHaveLength(1);
});
