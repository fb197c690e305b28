/**
 * Deno gives no death certificate: its event `exit` comes, and a terminated worker's Web Locks are let go, while the thread may
 * still be storing (seen in Deno 2.9; `npm run test:engines` shows what yours does). To recover a worker that is not dead is the one
 * mistake that nothing here survives, so both ways to watch are refused there. What remains is `reap`, by whoever knows better.
 */
import { UmaError } from "../../backend/memory/errors.ts";

/** @throws UmaError ERR_UMA_NO_CERTIFICATE in Deno. */
export function refuseDeno(): void {
  if ((globalThis as { readonly Deno?: unknown }).Deno === undefined) return;
  throw new UmaError(
    "ERR_UMA_NO_CERTIFICATE",
    "Deno reports the end of a worker before its thread has stopped: reap it by hand once it can store no more",
  );
}
