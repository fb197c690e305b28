/** One end of a ring: a producer that allocates, or a consumer that frees what the other allocated. */
import { type Ticket, Uma } from "../../src/index.ts";
import type { Slice } from "../harness/suite.ts";
import { crewData, serve } from "./crew.ts";
import { openLockedList } from "./locked-list.ts";
import type { Peer } from "./loops.ts";
import { type Consumer, createConsumer, createProducer, type Producer } from "./ring.ts";
import { SharedItem } from "./shared-item.ts";

export interface RingEnd {
  readonly end: "producer" | "consumer";
  readonly ring: SharedArrayBuffer;
  /** Where items come from: a zone, by ticket, or a locked list. */
  readonly from: Ticket | SharedArrayBuffer;
  /** How many items the producer sends a second at the most; 0 = as many as it can. */
  readonly pace: number;
}

/** Items between two looks at the clock. */
const AT_A_TIME = 256;
/** What the producer sends last. */
const END = -1;

function producing(of: Peer<number>, into: Producer, pace: number): (ms: number) => Slice {
  const peer = of;
  const ring = into;
  const some = (): void => {
    for (let n = 0; n < AT_A_TIME; n++) ring.put(peer.alloc());
  };
  return (ms) => {
    const start = performance.now();
    let ops = 0;
    let now = start;
    for (; now - start < ms; now = performance.now()) {
      some();
      ops += AT_A_TIME;
      if (pace > 0) while (performance.now() - start < (ops / pace) * 1000);
    }
    ring.put(END);
    ring.flush();
    return { ops, ns: (now - start) * 1e6 };
  };
}

/** The consumer's time is the run's: it ends when the last item has been freed. */
function consuming(of: Peer<number>, from: Consumer): (ms: number) => Slice {
  const peer = of;
  const ring = from;
  /** @returns items freed; short of {@link AT_A_TIME} at the end. */
  const some = (): number => {
    for (let n = 0; n < AT_A_TIME; n++) {
      const item = ring.take();
      if (item === END) return n;
      peer.free(item);
    }
    return AT_A_TIME;
  };
  return () => {
    const start = performance.now();
    let ops = 0;
    for (;;) {
      const done = some();
      ops += done;
      if (done < AT_A_TIME) return { ops, ns: (performance.now() - start) * 1e6 };
    }
  };
}

const { end, ring, from, pace } = crewData<RingEnd>();
const peer = from instanceof SharedArrayBuffer ? openLockedList(from) : Uma.attach(from).open(SharedItem);
serve(end === "producer" ? producing(peer, createProducer(ring), pace) : consuming(peer, createConsumer(ring)));
