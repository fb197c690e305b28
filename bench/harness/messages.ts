/** What the harness and a case's process say to each other. */
import type { Figures, Slice } from "./suite.ts";

/** To the case: work for so long; or tell your figures and go. */
export type Order = { readonly do: "slice"; readonly ms: number } | { readonly do: "finish" };

/** From the case: one answer to each order, and one at the beginning. */
export type Answer =
  | { readonly is: "ready" }
  | { readonly is: "slice"; readonly slice: Slice }
  | { readonly is: "figures"; readonly figures: Figures }
  | { readonly is: "failed"; readonly why: string };
