/** A worker that holds its lock for life, keeps some items, and is busy until it is terminated. */
import { Uma } from "/dist/index.js";
import { Freed, Kept } from "./zones.js";

onmessage = async ({ data: { ticket, keeps } }) => {
  const uma = await Uma.attachAsync(ticket);
  const kept = uma.open(Kept);
  const freed = uma.open(Freed);
  const items = Array.from({ length: keeps }, () => kept.alloc());
  postMessage(items);
  const hands = [];
  // Never back to the event loop: the lock is held, and only termination ends it.
  for (let n = 0; ; n++) {
    if (hands.length < 40 && (n * 7) % 11 < 6) {
      const item = freed.tryAlloc();
      if (item !== 0) hands.push(item);
    } else if (hands.length > 0) freed.free(hands.splice((n * 13) % hands.length, 1)[0]);
  }
};
