/** Tells the server of the example how the zones stand, when it is about to end and asks (see report-server.ts). */
import { REPORT_PATH } from "./report-path.ts";

/** @param report - the lines to be printed where the server was started. */
export function reportWhenAsked(report: () => Promise<readonly string[]>): void {
  const events = new EventSource(REPORT_PATH);
  events.addEventListener("asked", () => {
    void report().then((lines) => fetch(REPORT_PATH, { method: "POST", body: lines.join("\n") }));
  });
  // Where the page is served by something else, or the server has ended, there is nobody to report to.
  events.addEventListener("error", () => events.close());
}
