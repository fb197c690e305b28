/**
 * Mistakes in transactions whose entries are noted several at a time: they count by one store, which must come after all of them and
 * before the first of the changes.
 */
import type { Mutant } from "../../tools/mutants/index.ts";

const JOURNAL = "src/backend/memory/journal.ts";
const SEGMENTS = "src/backend/vmem/segments.ts";
const EXCHANGE = "src/uma/exchange.ts";
const ARENA = "explorer, arena: take and give, two kills";
const TWICE = "explorer, arena: take and give twice, one kill";
const NEIGHBOURS = "explorer, arena: neighbours given back by two, one kill";
const EXCHANGES = "explorer, bucket: exchanged with the depot at once, two kills";
const SWAP = "explorer, bucket: swap with the spare, two kills";

/** The detectors' scenarios that other mutants have not. */
export const TRANSACTION_SCENARIOS: readonly string[] = [TWICE, NEIGHBOURS, SWAP, EXCHANGES].map((name) => name.slice("explorer, ".length));

/** The entries of `note<count>` as they are emitted, and its store of the count. */
function entriesOf(count: number): string {
  const at = (n: number): string => (n === 0 ? "ENTRIES + 2 * n" : `ENTRIES + 2 * n + ${2 * n}`);
  return Array.from({ length: count }, (_, n) => `entry(${at(n)}, w${n});\n        `).join("");
}

const early: readonly Mutant[] = [2, 3, 4, 5].map((count) => ({
  name: `${count} entries count before they are noted`,
  file: JOURNAL,
  find: `${entriesOf(count)}i32[COUNT] = n + ${count};`,
  replace: `i32[COUNT] = n + ${count};\n        ${entriesOf(count).trimEnd()}`,
  expectCaughtBy: count === 2 ? ARENA : TWICE,
}));

const few: readonly Mutant[] = [2, 3, 4, 5].map((count) => ({
  name: `the last of ${count} entries does not count`,
  file: JOURNAL,
  find: `i32[COUNT] = n + ${count};`,
  replace: `i32[COUNT] = n + ${count - 1};`,
  expectCaughtBy: ARENA,
}));

export const transactions: readonly Mutant[] = [
  ...early,
  ...few,
  {
    name: "a segment is cut before that is noted",
    file: SEGMENTS,
    find: "note4(tag + TAG_SIZE, tag + TAG_SIZE + 1, tag + TAG_START, tag + TAG_START + 1);\n        f64[(tag + TAG_SIZE) >> 1] = rest;",
    replace: "f64[(tag + TAG_SIZE) >> 1] = rest;\n        note4(tag + TAG_SIZE, tag + TAG_SIZE + 1, tag + TAG_START, tag + TAG_START + 1);",
    expectCaughtBy: ARENA,
  },
  {
    name: "how a free segment grows is not noted",
    file: SEGMENTS,
    find: "note4(tag + TAG_START, tag + TAG_START + 1, tag + TAG_SIZE, tag + TAG_SIZE + 1);",
    replace: "",
    expectCaughtBy: ARENA,
  },
  {
    name: "a segment leaves the allocated ones before that is noted",
    file: SEGMENTS,
    find: "note4(tag + TAG_KIND, link, a + ARENA_IN_USE, a + ARENA_IN_USE + 1);\n        i32[tag + TAG_KIND] = kind;\n        i32[link] = i32[tag + TAG_LINK_NEXT];",
    replace:
      "i32[tag + TAG_KIND] = kind;\n        i32[link] = i32[tag + TAG_LINK_NEXT];\n        note4(tag + TAG_KIND, link, a + ARENA_IN_USE, a + ARENA_IN_USE + 1);",
    expectCaughtBy: ARENA,
  },
  {
    name: "the neighbour of a segment that is linked is not noted",
    file: SEGMENTS,
    after: ["function linkAfter"],
    find: "note3(ahead, behind, a + ARENA_SEGMENTS);",
    replace: "note2(ahead, a + ARENA_SEGMENTS);",
    expectCaughtBy: ARENA,
  },
  {
    name: "the neighbour of a segment that is unlinked is not noted",
    file: SEGMENTS,
    after: ["function unlink"],
    find: "note3(ahead, behind, a + ARENA_SEGMENTS);",
    replace: "note2(ahead, a + ARENA_SEGMENTS);",
    expectCaughtBy: NEIGHBOURS,
  },
  {
    name: "the entries of an exchange with the depot count before they are noted",
    file: EXCHANGE,
    after: ["function takeFull"],
    find: "note(0, line + LINE_SP);",
    replace: "i32[COUNT] = 10;\n        note(0, line + LINE_SP);",
    expectCaughtBy: EXCHANGES,
  },
  {
    name: "an exchange with the depot does not note whose the bucket was",
    file: EXCHANGE,
    after: ["function takeFull"],
    find: "note(1, bucket + BUCKET_OWNER);",
    replace: "note(1, line + LINE_SP);",
    expectCaughtBy: EXCHANGES,
  },
  {
    name: "the spare becomes the bucket before that is noted",
    file: EXCHANGE,
    after: ["function giveToSpare"],
    find: "i32[COUNT] = 2;\n        i32[line + LINE_SP] = spare + 1;\n        i32[line + LINE_SPARE] = sp;",
    replace: "i32[line + LINE_SP] = spare + 1;\n        i32[COUNT] = 2;\n        i32[line + LINE_SPARE] = sp;",
    expectCaughtBy: SWAP,
  },
];
