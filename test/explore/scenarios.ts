/** All scenarios, by theme. */
import type { Scenario } from "../../tools/explore/index.ts";
import { scenarios as buckets } from "./buckets.ts";
import { scenarios as hooks } from "./hooks.ts";
import { scenarios as own } from "./own.ts";
import { scenarios as remote } from "./remote.ts";

export const scenarios: readonly Scenario[] = [...own, ...remote, ...buckets, ...hooks];
