// Runs the examples of docs/typed.md, in the order in which they stand, as one module. A line `expression; // → value` must give
// that value, a line `statement; // throws CODE` must throw an error with that code.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, test } from "vitest";

const page = new URL("../../docs/typed.md", import.meta.url);
const face = new URL("../../src/index.ts", import.meta.url);

/** @returns the module, and how many claims it makes. */
function moduleOf(markdown: string): { code: string; claims: number } {
  let claims = 0;
  const blocks = [...markdown.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code as string);
  const lines = blocks.join("\n").split("\n");
  const code = lines.map((line) => {
    const gives = /^(.+); \/\/ → (.+)$/.exec(line);
    const throws = /^(.+); \/\/ throws (ERR_\w+)$/.exec(line);
    if (gives !== null || throws !== null) claims++;
    if (gives !== null) return `expect(${gives[1]}).toEqual(${gives[2]});`;
    if (throws !== null) return `expect(() => { ${throws[1]}; }).toThrow(expect.objectContaining({ code: "${throws[2]}" }));`;
    return line.replace('from "zalloc"', `from ${JSON.stringify(face.href)}`);
  });
  return { code: `const expect = globalThis.expectOfDocs;\n${code.join("\n")}`, claims };
}

test("the examples of docs/typed.md do what they say", async () => {
  const { code, claims } = moduleOf(readFileSync(page, "utf8"));
  expect(claims).toBeGreaterThan(15);
  const folder = mkdtempSync(join(fileURLToPath(new URL("..", import.meta.url)), "docs-"));
  try {
    const file = join(folder, "typed.ts");
    writeFileSync(file, code);
    Object.assign(globalThis, { expectOfDocs: expect });
    await import(pathToFileURL(file).href);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
