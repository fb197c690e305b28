/** The zone of suite `workers`. */
import { defineZone } from "../../src/index.ts";
import { ITEM_BYTES } from "./peers.ts";

export const SharedItem = defineZone("item", { size: ITEM_BYTES });
