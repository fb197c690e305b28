/**
 * One process of `npm run soak:model`: worlds, one after the other, until there were operations enough. Emitted before it is run: a loader
 * that transforms modules makes their constants slow.
 *
 *   node soak-child.js <folder of the library's copies> <operations> <seed> <operations a world>
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Copy, World } from "./soak.ts";

const COPIES = 3;
const [folder, operations, seed, perWorld] = process.argv.slice(2) as [string, string, string, string];
const copies: Copy[] = [];
for (let n = 0; n < COPIES; n++) copies.push((await import(pathToFileURL(join(folder, `${n}`, "index.js")).href)) as Copy);
let done = 0;
// The other process has the numbers between.
for (let world = Number(seed); done < Number(operations); world += 2) {
  try {
    const report = new World(copies, world).run(Math.min(Number(perWorld), Number(operations) - done));
    done += report.operations;
    process.send?.(report);
  } catch (error) {
    console.error(`found: a difference in world ${world}: ${String(error)}`);
    console.error(`  again: npm run soak:model -- --jobs 1 --ops ${perWorld} --seed ${world}`);
    process.exit(1);
  }
}
