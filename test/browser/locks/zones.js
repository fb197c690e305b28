/** The definitions that page and workers share. */
import { defineZone } from "/dist/index.js";

/** What a dead worker leaves is kept and reported. */
export const Kept = defineZone("kept", { size: 64 });
/** What it leaves is freed; buckets of four, so that the worker is under a lock all the time. */
export const Freed = defineZone("freed", { size: 48, onDeath: "free", bucket: 4 });
