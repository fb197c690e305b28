/** docs/kpi-map.md is complete: every name that a kpi module exports, and every function of what it creates, stands in it. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Uma } from "../../src/index.ts";
import * as freebsdMalloc from "../../src/kpi/freebsd-malloc.ts";
import * as freebsdVmem from "../../src/kpi/freebsd-vmem.ts";
import * as illumos from "../../src/kpi/illumos.ts";
import * as linux from "../../src/kpi/linux.ts";
import * as spl from "../../src/kpi/spl.ts";

const map = readFileSync(new URL("../../docs/kpi-map.md", import.meta.url), "utf8");

/** The part of the map under the heading that names the file. */
function sectionOf(file: string): string {
  const found = map.split(/^## /m).find((section) => section.split("\n")[0]?.includes(`src/kpi/${file}`));
  if (found === undefined) throw new Error(`docs/kpi-map.md has no section for src/kpi/${file}`);
  return found;
}

/** Types are seen in the source only. */
function typesOf(file: string): string[] {
  const source = readFileSync(new URL(`../../src/kpi/${file}`, import.meta.url), "utf8");
  return [...source.matchAll(/^export (?:interface|type) (\w+)/gm)].map((match) => match[1] as string);
}

describe.each([
  ["illumos.ts", illumos, (): object => ({})],
  ["freebsd-vmem.ts", freebsdVmem, (): object => ({})],
  ["freebsd-malloc.ts", freebsdMalloc, (uma: Uma): object => freebsdMalloc.createFreebsdMalloc(uma)],
  ["linux.ts", linux, (uma: Uma): object => linux.createLinux(uma)],
  ["spl.ts", spl, (uma: Uma): object => spl.createSpl(uma)],
] as const)("docs/kpi-map.md on %s", (file, exported, create) => {
  test("has every name", () => {
    const uma = Uma.create({ bytes: 2 ** 22, workers: 2 });
    const names = [...Object.keys(exported), ...Object.keys(create(uma)), ...typesOf(file)];
    uma.detach();
    expect(names.length).toBeGreaterThan(15);
    const section = sectionOf(file);
    expect(names.filter((name) => !section.includes(`\`${name}\``))).toEqual([]);
  });
});
