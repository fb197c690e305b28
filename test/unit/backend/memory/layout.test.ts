/** Words of the memory that have two names are words that two parts of the library write without knowing of each other. */
import { expect, test } from "vitest";
import * as layout from "../../../../src/backend/memory/layout.ts";

/** Names that stand for sizes and counts, or for what another name stands for as well, on purpose. */
const NO_PLACES = /(_BYTES|_WORDS|_CLASSES|_FRAMES|_ENTRIES|_BINS|_ZONES|_SHIFT|_BITS|_MASK)$/;

/** Word offsets of a record's fields, by name. */
function fieldsOf(prefix: string): [string, number][] {
  return Object.entries(layout as Record<string, unknown>).filter(
    (entry): entry is [string, number] => entry[0].startsWith(prefix) && typeof entry[1] === "number" && !NO_PLACES.test(entry[0]),
  );
}

test.each(["SB_", "SLOT_"])("no two fields %s… are the same word", (prefix) => {
  const fields = fieldsOf(prefix);
  expect(fields.length).toBeGreaterThan(15);
  const twice = fields.filter(([name, at]) => fields.some(([other, there]) => other !== name && there === at));
  expect(twice).toEqual([]);
});
