/** The map that several workers of suite `smr` use at once. */
import { defineMap } from "../../src/index.ts";

export const KEYS = 100_000;
export const SharedKeys = defineMap("keys", { capacity: KEYS });
