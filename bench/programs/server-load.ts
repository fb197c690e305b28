/** The process that asks: autocannon, so that the server's process has only its own work. A load in, its outcome out. */
import { type Load, load } from "../../examples/server/load.ts";

process.on("message", (order: Load) => {
  load(order).then(
    (outcome) => process.send?.(outcome),
    (cause: unknown) => process.send?.({ failed: String(cause) }),
  );
});
