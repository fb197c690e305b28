/**
 * The page's part: starts workers, terminates them, and learns of their deaths by their Web Locks. While it waits it goes on
 * allocating and freeing, and notes how long any single call took: the main thread may not block.
 */
import { Uma } from "/dist/index.js";
import { Freed, Kept } from "./zones.js";

const PATIENCE_MS = 20;

/** @returns what came of `rounds` times so many workers at once, each of which kept `keeps` items. */
globalThis.terminateWorkers = async (rounds, workers, keeps) => {
  const uma = Uma.create({ bytes: 8 << 20, workers: 8, patience: PATIENCE_MS });
  const kept = uma.open(Kept);
  const freed = uma.open(Freed);
  const told = {
    rounds: 0,
    lost: 0,
    reports: 0,
    keptByReports: 0,
    longestCallMs: 0,
    calls: 0,
    failures: [],
    certificateMs: [],
    problems: [],
  };
  let over = false;
  const timed = (what) => {
    const began = performance.now();
    const answer = what();
    told.longestCallMs = Math.max(told.longestCallMs, performance.now() - began);
    told.calls++;
    return answer;
  };
  const busy = (async () => {
    const hands = [];
    while (!over) {
      for (let n = 0; n < 20; n++) {
        if (hands.length < 30) {
          const item = timed(() => freed.tryAlloc());
          if (item !== 0) hands.push(item);
          else if (!told.failures.includes(uma.lastFailure)) told.failures.push(uma.lastFailure);
        } else timed(() => freed.free(hands.pop()));
      }
      await new Promise((done) => setTimeout(done, 0));
    }
    for (const item of hands) freed.free(item);
  })();
  const one = async (round, place) => {
    const ticket = uma.ticket();
    const worker = new Worker("/locks/worker.js", { type: "module" });
    const watched = uma.watchLock(ticket, { interval: 10 });
    worker.postMessage({ ticket, keeps });
    const items = await new Promise((done, failed) => {
      worker.onmessage = ({ data }) => done(data);
      worker.onerror = (event) => failed(new Error(event.message));
    });
    await new Promise((done) => setTimeout(done, 5 + round * 3 + place * 7));
    const began = performance.now();
    worker.terminate();
    const report = await watched;
    told.certificateMs.push(performance.now() - began);
    if (report?.done === true) told.reports++;
    told.keptByReports += report?.zones.find((zone) => zone.zone === "kept")?.kept ?? 0;
    return items;
  };
  for (let round = 0; round < rounds; round++) {
    const left = await Promise.all(Array.from({ length: workers }, (_, place) => one(round, place)));
    told.lost += workers * keeps - kept.getCur();
    for (const items of left) for (const item of items) kept.free(item);
    told.rounds++;
  }
  over = true;
  await busy;
  freed.reclaim("drain");
  kept.reclaim("drain");
  const { problems } = uma.verify();
  told.problems = problems;
  told.used = [kept.stats().used, freed.stats().used];
  told.isolated = globalThis.crossOriginIsolated;
  uma.detach();
  return told;
};
document.body.dataset.ready = "yes";
