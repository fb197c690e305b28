/** Emits the toy once for a process and its children. */
import { emitOnce } from "../../fixtures/emitted.ts";

/** The folder of emitted modules. */
export const toyDist: string = emitOnce("ZALLOC_TOY_BUILT", "toy", "test/explore/toy/tsconfig.json");
