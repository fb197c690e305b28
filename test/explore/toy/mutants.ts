/** Theory: the protocol mistakes that the toy's design rules out, one edit each. */
import type { Mutant, MutantSuite } from "../../../tools/mutants/index.ts";
import { toyDist } from "./build.ts";

const by = { expectCaughtBy: "explorer" } as const;
const COUNT_STORE = "i32[base + JOURNAL_COUNT] = count + 1;\n        i32[word] = value;";

const mutants: readonly Mutant[] = [
  {
    name: "store before its journal entry counts",
    file: "src/journal.ts",
    find: COUNT_STORE,
    replace: "i32[word] = value;\n        i32[base + JOURNAL_COUNT] = count + 1;",
    ...by,
  },
  { name: "no journal", file: "src/journal.ts", find: "i32[base + JOURNAL_COUNT] = count + 1;", replace: "", ...by },
  {
    name: "count cleared after unlock",
    file: "src/worker.ts",
    find: "journal.commit(slot);\n        lock.release(slot);",
    replace: "lock.release(slot);\n        journal.commit(slot);",
    ...by,
  },
  {
    name: "undo forwards",
    file: "src/journal.ts",
    find: "const entry = base + JOURNAL + 2 * (i32[base + JOURNAL_COUNT] - 1);",
    replace: "const entry = base + JOURNAL;",
    ...by,
  },
  {
    name: "count lowered before the word is restored",
    file: "src/journal.ts",
    find: "i32[i32[entry]] = i32[entry + 1];\n            i32[base + JOURNAL_COUNT]--;",
    replace: "i32[base + JOURNAL_COUNT]--;\n            i32[i32[entry]] = i32[entry + 1];",
    ...by,
  },
  {
    name: "pending noted after the compare-exchange",
    file: "src/lock.ts",
    find: "i32[slotBase(slot) + PENDING] = LOCK;\n        for (;;) {\n            const owner = Atomics.compareExchange(i32, LOCK, 0, me);",
    replace:
      "for (;;) {\n            const owner = Atomics.compareExchange(i32, LOCK, 0, me);\n            if (owner === 0) i32[slotBase(slot) + PENDING] = LOCK;",
    ...by,
  },
  {
    name: "recoverer frees whoever's lock",
    file: "src/worker.ts",
    find: "Atomics.compareExchange(i32, LOCK, dead, 0);\n            }",
    replace: "}\n            Atomics.store(i32, LOCK, 0);",
    ...by,
  },
  {
    name: "unlock before undo",
    file: "src/worker.ts",
    find: "journal.undo(slot);\n                Atomics.compareExchange(i32, LOCK, dead, 0);",
    replace: "Atomics.compareExchange(i32, LOCK, dead, 0);\n                journal.undo(slot);",
    ...by,
  },
  {
    name: "recoverer not replaceable",
    file: "src/worker.ts",
    find: "=== FREE)\n            return false;",
    replace: "!== 1)\n            return false;",
    ...by,
  },
];

export const suite: MutantSuite = {
  dist: toyDist,
  cwd: new URL("../../..", import.meta.url).pathname,
  detectors: [
    {
      name: "explorer",
      command: ["node_modules/.bin/tsx", "tools/explore/cli.ts", "test/explore/toy/scenarios.ts", "--only", "2x1-"],
      timeoutMs: 240_000,
    },
  ],
  mutants,
};
