/** The sessions of a pretend server: an account's number → when it was last seen. Imported by every thread. */
import { type MapDefinition, defineMap } from "../../src/index.ts";

export const sessions: MapDefinition = defineMap("sessions", { capacity: 10_000, key: "u32", value: "f64" });
