/** A worker that allocates and frees on its own: each pair comes out of its own bucket. */
import { createMeasure } from "../harness/measure.ts";
import { Uma, type Ticket } from "../../src/index.ts";
import { crewData, serve } from "./crew.ts";
import { SharedItem } from "./shared-item.ts";
import { inOrder } from "./loops.ts";
import { permutation } from "./orders.ts";

const LIVE = 64;

const uma = Uma.attach(crewData<Ticket>());
const zone = uma.open(SharedItem);
serve(createMeasure({ batch: inOrder(zone, new Int32Array(LIVE), permutation(LIVE, 1)) }));
