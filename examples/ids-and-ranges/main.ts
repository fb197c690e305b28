/**
 * Ranges of integers that are no memory: the ports of a test runner, and the rows of a texture atlas.
 *
 *   npm run example:ids
 *
 * Ports are identifiers of this thread. The atlas lies in a shared memory, so that every worker could hand out rows of it; sprites
 * import strips of 64 rows from it, and a strip goes back as soon as the last sprite in it is gone. Session numbers are shared as well,
 * and cached by each worker.
 */
import { Uma } from "../../src/index.ts";
import { type Arena, UmaError, createArena, createIdSpace } from "../../src/backend/vmem/index.ts";

function print(title: string, arena: Arena): void {
  console.log(`\n${title}`);
  for (const line of arena.dump()) console.log(line);
}

// Ports 8000 … 8009; later, when those are all taken, 9000 … 9009 as well.
const ports = createIdSpace("ports", 8000, 8010);
const servers = Array.from({ length: 10 }, () => ports.alloc());
console.log(`servers listen on ${servers.join(", ")}`);
try {
  ports.alloc();
} catch (error) {
  if (!(error instanceof UmaError)) throw error;
  console.log(`one more: ${error.code}`);
}
ports.extend(9000, 9010);
console.log(`with more ports: ${ports.alloc()}; exactly 9005: ${ports.tryAllocSpecific(9005)}; once more: ${ports.tryAllocSpecific(9005)}`);
ports.free(servers[3] as number);
console.log(`8003 was freed: next ${ports.alloc()} (upwards), lowest ${ports.allocFirst()}`);
print("The ports:", ports.arena);

// An atlas of 2048 rows. Sprites start at multiples of 8 rows; a cursor of 16 rows must not cross a boundary of 32.
using uma = Uma.create({ bytes: 2 ** 20, workers: 4 });
const atlas = createArena(uma, "atlas rows", { quantum: 64, span: { start: 0, size: 2048 } });
const sprites = createArena(uma, "sprites", { quantum: 8, source: atlas });
const hero = sprites.alloc(48);
const tree = sprites.alloc(100);
const cursor = sprites.xalloc(16, { nocross: 32, min: tree, max: tree + 128 });
console.log(`\nhero in row ${hero}, tree in row ${tree}, cursor in row ${cursor}`);
print("The sprites:", sprites);
print("The atlas, from which they import:", atlas);

sprites.free(tree, 100);
sprites.xfree(cursor, 16);
console.log(`\ntree and cursor are gone: the atlas has ${atlas.size("free")} rows free, ${atlas.size("largest")} of them in a row`);

// createArena opens what is there by that name, in this thread or in any worker's.
const again = createArena(uma, "sprites", { quantum: 8, source: atlas });
console.log(`row ${hero + 20} belongs to ${JSON.stringify(again.whatis(hero + 20))}`);
const { size, count } = again.destroy({ force: true });
console.log(`destroyed with ${size} rows in ${count} sprite left over; the atlas has all its ${atlas.size("free")} rows again`);

// Session numbers for all workers. One at a time they come from each worker's own cache, which takes them from the arena in runs.
const sessions = createArena(uma, "sessions", { identifiers: true, qcacheMax: 1, span: { start: 1, size: 100_000 } });
const open = Array.from({ length: 1000 }, () => sessions.alloc(1));
console.log(`\n${open.length} sessions, from ${sessions.stats().alloc} runs of the arena`);
for (const session of open) sessions.free(session, 1);
try {
  sessions.free(open[0] as number, 1);
} catch (error) {
  if (!(error instanceof UmaError)) throw error;
  console.log(`freed twice: ${error.code}`);
}
sessions.reap();
console.log(`all closed, and ${sessions.size("alloc")} of ${sessions.size("total")} still taken`);

console.log(uma.verify().ok ? "\nall invariants hold" : uma.verify().problems.join("\n"));
