/** All scenarios, by theme. */
import type { Scenario } from "../../tools/explore/index.ts";
import { scenarios as arenas } from "./arenas.ts";
import { scenarios as buckets } from "./buckets.ts";
import { scenarios as closing } from "./closing.ts";
import { scenarios as heap } from "./heap.ts";
import { scenarios as hooks } from "./hooks.ts";
import { scenarios as handles } from "./handles.ts";
import { scenarios as limits } from "./limits.ts";
import { scenarios as locks } from "./locks.ts";
import { scenarios as malloc } from "./malloc.ts";
import { scenarios as many } from "./many.ts";
import { scenarios as maps } from "./maps.ts";
import { scenarios as own } from "./own.ts";
import { scenarios as quantumCaches } from "./quantum-caches.ts";
import { scenarios as recovery } from "./recovery.ts";
import { scenarios as remote } from "./remote.ts";
import { scenarios as slabs } from "./slabs.ts";
import { scenarios as smr } from "./smr.ts";
import { scenarios as zones } from "./zones.ts";

export const scenarios: readonly Scenario[] = [
  ...locks,
  ...own,
  ...remote,
  ...buckets,
  ...hooks,
  ...slabs,
  ...heap,
  ...recovery,
  ...closing,
  ...limits,
  ...smr,
  ...arenas,
  ...quantumCaches,
  ...many,
  ...handles,
  ...malloc,
  ...zones,
  ...maps,
];
