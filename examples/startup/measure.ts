/** A process of its own for one way, so that none is measured in what another has warmed up or left behind. */
import { summarise } from "./histogram.ts";
import { type Way, take } from "./ways.ts";

const [way = "", count = ""] = process.argv.slice(2);
const { preparedMs, latencies } = take(way as Way, Number(count));
process.send?.({ preparedMs, summary: summarise(latencies) });
process.disconnect?.();
