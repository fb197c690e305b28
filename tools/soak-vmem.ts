/**
 * `npm run soak:vmem`: arenas against the plain model for as long as one likes.
 *
 *   npm run soak:vmem                            1,200,000 operations over both forms
 *   npm run soak:vmem -- --operations 100000 --seed 7
 */
import { drive } from "../test/fixtures/arena-driver.ts";
import { ARENA_FORMS } from "../test/fixtures/arena-forms.ts";
import { seedFor } from "../test/fixtures/seeds.ts";
import { numberOf, readOptions } from "./options.ts";

const { values } = readOptions(import.meta.filename, {
  options: { operations: { type: "string", default: "1200000" }, seed: { type: "string" } },
});
const operations = numberOf("operations", values.operations, 1);
const first = values.seed === undefined ? seedFor("soak:vmem") : numberOf("seed", values.seed);
const PER_RUN = 20_000;
let done = 0;
for (let seed = first; done < operations; seed++) {
  const form = ARENA_FORMS[seed % ARENA_FORMS.length] as (typeof ARENA_FORMS)[number];
  const quantum = 2 ** (Math.floor(seed / 2) % 4);
  const world = form.world();
  try {
    drive(world.make({ quantum }), seed, Math.min(PER_RUN, operations - done));
  } catch (thrown) {
    console.error(`seed ${seed}, arena ${form.name}, quantum ${quantum}: ${String(thrown)}`);
    process.exit(1);
  }
  const problems = world.problems();
  if (problems.length > 0) {
    console.error(`seed ${seed}: ${problems.join("; ")}`);
    process.exit(1);
  }
  world.end();
  done += PER_RUN;
  if (done % 100_000 === 0) console.log(`soak:vmem: ${done} operations agree (seeds ${first} … ${seed})`);
}
console.log(`soak:vmem: ${Math.min(done, operations)} operations, no difference`);
