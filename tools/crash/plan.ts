/** Which kills a campaign makes: every point that a history passes, at several of its occurrences. */
import type { Kill, Pass } from "./campaign.ts";
import { generator } from "./theme.ts";

/** A late pass is this share of all: another memory or a peer may make a history shorter. */
const LATE = 0.85;

/**
 * @param counts - how often a history passes each point.
 * @param most - how many kills at the most: at first, last and random passes of each point, as evenly as that number allows.
 * @param known - points at which somebody was killed before: the others come first.
 */
export function planKills(counts: Int32Array, seed: number, most: number, known: ReadonlySet<number> = new Set()): Kill[] {
  const random = generator(seed ^ 0x5eed);
  const passed = [...counts.keys()].filter((point) => (counts[point] ?? 0) > 0);
  const perPoint = Math.max(1, Math.ceil(most / Math.max(1, passed.length)));
  const fresh: Kill[] = [];
  const others: Kill[] = [];
  for (const point of passed) {
    const hits = counts[point] ?? 0;
    // With one kill a point, which pass it is differs from history to history.
    const first = perPoint > 1 ? 0 : random(3);
    const chosen = new Set<number>();
    for (let n = first; n < first + Math.min(perPoint, hits); n++)
      chosen.add(n === 0 ? 1 : n === 1 ? Math.ceil(hits * LATE) : 1 + random(hits));
    for (const occurrence of chosen) (known.has(point) ? others : fresh).push({ point, occurrence });
  }
  const sure = shuffled(thin(fresh, most), random);
  return [...sure, ...thin(shuffled(others, random), most - sure.length)];
}

/**
 * Every fourth kill has its recoverer killed as well: at the points that recoveries were seen to pass, each in turn, and at any.
 * @param counts - how often recoveries pass each point.
 */
export function withRecoverers(kills: readonly Kill[], counts: Int32Array, seed: number): Kill[] {
  const random = generator(seed ^ 0xdead);
  const passed = shuffled(
    [...counts.keys()].filter((point) => (counts[point] ?? 0) > 0),
    random,
  );
  const total = passed.reduce((sum, point) => sum + (counts[point] ?? 0), 0);
  let turn = 0;
  return kills.map((kill, n) => {
    if (n % 4 !== 3) return kill;
    turn++;
    const point = passed[turn % Math.max(1, passed.length)];
    const recoverer: Pass =
      point === undefined || turn % 3 === 0
        ? { point: "any", occurrence: 1 + random(Math.max(40, total)) }
        : { point, occurrence: 1 + random(Math.min(3, counts[point] ?? 1)) };
    return { ...kill, recoverer };
  });
}

/** Takes `count` of the kills, spread evenly. */
export function thin<T>(kills: readonly T[], count: number): T[] {
  if (kills.length <= count) return [...kills];
  return Array.from({ length: count }, (_, n) => kills[Math.floor((n * kills.length) / count)] as T);
}

export function shuffled<T>(list: readonly T[], random: (below: number) => number): T[] {
  const mixed = [...list];
  for (let n = mixed.length - 1; n > 0; n--) {
    const other = random(n + 1);
    [mixed[n], mixed[other]] = [mixed[other] as T, mixed[n] as T];
  }
  return mixed;
}

/** Kills as text, for the command that repeats them: `12@3` or `12@3+any@40`. */
export function killsText(kills: readonly Kill[]): string {
  const pass = ({ point, occurrence }: Pass): string => `${point}@${occurrence}`;
  return kills.map((kill) => pass(kill) + (kill.recoverer === undefined ? "" : `+${pass(kill.recoverer)}`)).join(",");
}

export function parseKills(text: string): Kill[] {
  const pass = (one: string): Pass => {
    const [point, occurrence] = one.split("@");
    return { point: point === "any" ? "any" : Number(point), occurrence: Number(occurrence) };
  };
  return text.split(",").map((one) => {
    const [victim, recoverer] = one.split("+");
    return { ...pass(victim as string), ...(recoverer === undefined ? {} : { recoverer: pass(recoverer) }) };
  });
}
