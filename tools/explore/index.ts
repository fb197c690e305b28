/** The explorer's face; re-exports only. */
export { explore, type Exploration, type ExploreOptions } from "./explorer.ts";
export type { Choice } from "./machine.ts";
export { replay, shrink, type Replay } from "./replay.ts";
export { formatScript, parseScript } from "./script.ts";
export {
  add,
  call,
  forget,
  note,
  pause,
  read,
  sleep,
  slept,
  write,
  type LockRules,
  type Program,
  type Scenario,
  type Victim,
  type WorkerEnd,
  type World,
} from "./scenario.ts";
export { runSync } from "./runtime.ts";
export { openTree, type Tree } from "./tree.ts";
export { report } from "./report.ts";
