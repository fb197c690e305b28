/** `instrument <from> <to> --mode points|generators [--include glob]… [--exclude glob]…` */
import { parseArgs } from "node:util";
import { instrument } from "./index.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    mode: { type: "string", default: "points" },
    include: { type: "string", multiple: true },
    exclude: { type: "string", multiple: true },
  },
});
const [from, to] = positionals;
if (!from || !to || (values.mode !== "points" && values.mode !== "generators")) {
  console.error("usage: instrument <from> <to> --mode points|generators [--include glob]… [--exclude glob]…");
  process.exit(2);
}
const result = instrument({
  from,
  to,
  mode: values.mode,
  ...(values.include ? { include: values.include } : {}),
  ...(values.exclude ? { exclude: values.exclude } : {}),
});
for (const warning of result.warnings) console.error(`warning: ${warning}`);
const numbered = values.mode === "points" ? `${result.points.length} points` : `${result.sites.length} access sites`;
console.log(`${result.modules} modules, ${numbered}, ${result.milliseconds.toFixed(0)} ms`);
process.exit(result.warnings.length > 0 ? 1 : 0);
