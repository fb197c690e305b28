/**
 * A worker of the page: attaches with a Web Lock, by which the page learns of its death, and plays until the game is over.
 *
 * It goes back to its event loop after each frame. A worker that does not (a loop with `Atomics.wait`) plays on for two seconds after
 * `terminate()` in Chromium, which first asks and then forces; it would be recovered all the same, but only then.
 */
import { Uma } from "../../../src/index.ts";
import { type Orders, Shift } from "../sim/worker-loop.ts";

/** What a worker tells the page. */
export type News = "plays" | "left";

function tell(news: News): void {
  postMessage(news);
}

addEventListener("message", (event: MessageEvent<Orders>) => {
  void play(event.data);
});

async function play(orders: Orders): Promise<void> {
  const uma = await Uma.attachAsync(orders.ticket);
  tell("plays");
  const shift = new Shift(uma, orders);
  noticeCollections(() => shift.countCollection());
  while (!shift.isOver) if (!shift.doFrame()) await shift.waitAwake();
  shift.leave();
  uma[Symbol.dispose]();
  tell("left");
}

/**
 * Pages are not told of collections; but an object that nobody has any more is reported by a FinalizationRegistry once a major one
 * has found it (minor ones pass it over, at least in V8).
 */
function noticeCollections(noticed: () => void): void {
  const registry = new FinalizationRegistry<null>(() => {
    noticed();
    registry.register({}, null);
  });
  registry.register({}, null);
}
