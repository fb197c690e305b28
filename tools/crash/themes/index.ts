/** All themes of the crash runs. */
import type { Theme } from "../theme.ts";
import { areasTheme } from "./areas.ts";
import { arenasTheme } from "./arenas.ts";
import { birthsTheme } from "./births.ts";
import { bulkTheme } from "./bulk.ts";
import { contentionTheme } from "./contention.ts";
import { derivedTheme } from "./derived.ts";
import { limitsTheme } from "./limits.ts";
import { mallocTheme } from "./malloc.ts";
import { mapTheme } from "./map.ts";
import { reclaimTheme } from "./reclaim.ts";
import { smrTheme } from "./smr.ts";
import { typedTheme } from "./typed.ts";
import { zonesTheme } from "./zones.ts";

export const THEMES: readonly Theme[] = [
  zonesTheme,
  bulkTheme,
  reclaimTheme,
  limitsTheme,
  smrTheme,
  mapTheme,
  mallocTheme,
  typedTheme,
  arenasTheme,
  birthsTheme,
  derivedTheme,
  areasTheme,
  contentionTheme,
];

export function themeOf(name: string): Theme {
  const theme = THEMES.find((one) => one.name === name);
  if (theme === undefined) throw new Error(`there is no theme "${name}"; there are ${THEMES.map((one) => one.name).join(", ")}`);
  return theme;
}
