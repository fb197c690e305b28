import { describe, expect, test } from "vitest";
import { violations } from "../../tools/check-imports.ts";

describe("check-imports", () => {
  test.each([
    ["backend/memory/cells.ts", 'import { PAGE_BYTES } from "./layout.ts";'],
    ["backend/memory/node-host.ts", 'import { threadId } from "node:worker_threads";'],
    ["backend/vmem/arena.ts", 'import type { Lock } from "../memory/lock.ts";'],
    ["uma/zone.ts", 'import { Arena } from "../backend/vmem/arena.ts";'],
    ["uma/typed/struct.ts", 'import { Zone } from "../zone.ts";'],
    ["index.ts", 'export * from "./uma/typed/struct.ts";'],
    ["kpi/freebsd.ts", 'import { Uma } from "../index.ts";'],
    ["cli/main.ts", 'import { parseArgs } from "node:util"; import { cac } from "cac"; import { Uma } from "../index.ts";'],
    ["uma/zone.ts", '// import { readFile } from "node:fs";\nexport const text = \'import "node:fs"\';'],
  ])("lets %s say %s", (file, source) => {
    expect(violations(file, source)).toEqual([]);
  });

  test.each([
    ["backend/memory/cells.ts", 'import { Arena } from "../vmem/arena.ts";', "points up from backend/memory"],
    ["backend/vmem/arena.ts", 'import { pages } from "../supplier/pages.ts";', "points up from backend/vmem"],
    ["backend/supplier/pages.ts", 'import { Zone } from "../../uma/zone.ts";', "points up from backend/supplier"],
    ["uma/zone.ts", 'import type { Struct } from "./typed/struct.ts";', "points up from uma"],
    ["uma/zone.ts", 'export { Uma } from "../index.ts";', "points up from uma"],
    ["uma/typed/struct.ts", 'export * from "../../kpi/freebsd.ts";', "points up from uma/typed"],
    ["index.ts", 'import "./cli/main.ts";', "points up from face"],
    ["kpi/linux.ts", 'const cli = await import("../cli/main.ts");', "points up from kpi"],
    ["uma/zone.ts", 'export let s: import("./typed/struct.ts").Struct;', "points up from uma"],
    ["uma/zone.ts", 'import { readFile } from "node:fs";', "only cli and node*.ts"],
    ["uma/zone.ts", 'import fs from "fs";', "only cli and node*.ts"],
    ["uma/zone.ts", 'import reusify from "reusify";', "no dependencies"],
    ["uma/zone.ts", 'import { seed } from "../../test/seed.ts";', "outside src"],
    ["backend/stray.ts", "", "no floor"],
  ])("refuses that %s say %s", (file, source, complaint) => {
    expect(violations(file, source)).toEqual([expect.stringContaining(complaint)]);
  });
});
