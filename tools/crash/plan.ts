/** Which kills a campaign makes: every point that a history passes, at several of its occurrences. */
import type { Kill, Pass, Passes } from "./campaign.ts";
import { generator } from "./theme.ts";

/** A late pass is this share of all: another memory or a peer may make a history shorter. */
const LATE = 0.85;
/** A history that should have passed its point so many passes ago, of each hundred that it makes in all, does so no more. */
const OVERDUE_PERCENT = 3;

/**
 * @param passes - what a history passes.
 * @param most - how many kills at the most: at first, last and random passes of each point, as evenly as that number allows.
 * @param known - points at which somebody was killed before: the others come first.
 * @param rare - points that hardly another history passes: of the others these come first.
 */
export function planKills(
  { counts, lasts }: Passes,
  seed: number,
  most: number,
  known: ReadonlySet<number> = new Set(),
  rare: ReadonlySet<number> = new Set(),
): Kill[] {
  const random = generator(seed ^ 0x5eed);
  const total = lasts.reduce((latest, last) => Math.max(latest, last), 0);
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
    const latest = (lasts[point] ?? 0) + Math.ceil((total * OVERDUE_PERCENT) / 100);
    for (const occurrence of chosen) (known.has(point) ? others : fresh).push({ point, occurrence, ...(latest < total && { latest }) });
  }
  const first = thin(
    shuffled(
      fresh.filter(({ point }) => rare.has(point as number)),
      random,
    ),
    most,
  );
  const second = shuffled(
    thin(
      fresh.filter(({ point }) => !rare.has(point as number)),
      most - first.length,
    ),
    random,
  );
  return [...first, ...second, ...thin(shuffled(others, random), most - first.length - second.length)];
}

/**
 * Every other kill has its recoverer killed as well: at the points that recoveries were seen to pass, each in turn, and at any. A recovery
 * that has gone on for longer than those that passed the point dies at whichever is next.
 * @param recoveries - what they pass.
 */
export function withRecoverers(kills: readonly Kill[], recoveries: readonly Passes[], seed: number): Kill[] {
  const random = generator(seed ^ 0xdead);
  /** Of each point: how often it is passed at the most, and at how many hits in all it had its last. */
  const passed = new Map<number, { count: number; last: number }>();
  for (const { counts, lasts } of recoveries) {
    for (const [point, count] of counts.entries()) {
      if (count === 0) continue;
      const known = passed.get(point) ?? { count: 0, last: 0 };
      passed.set(point, { count: Math.max(known.count, count), last: Math.max(known.last, lasts[point] ?? 0) });
    }
  }
  const points = shuffled([...passed.keys()], random);
  const lengths = recoveries.map(({ lasts }) => lasts.reduce((latest, last) => Math.max(latest, last), 0));
  let turn = 0;
  return kills.map((kill, n) => {
    if (n % 2 === 0) return kill;
    turn++;
    const point = points[turn % Math.max(1, points.length)];
    const known = point === undefined ? undefined : passed.get(point);
    if (point === undefined || known === undefined || turn % 3 === 0) {
      const length = lengths[random(lengths.length)] ?? 40;
      return { ...kill, recoverer: { point: "any", occurrence: 1 + random(Math.max(10, length)) } };
    }
    return { ...kill, recoverer: { point, occurrence: 1 + random(Math.min(3, known.count)), latest: known.last + 1 } };
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

/** Kills as text, for the command that repeats them: `12@3`, `12@3/4000` (or at the 4000th point of all), `12@3+any@40`. */
export function killsText(kills: readonly Kill[]): string {
  const pass = ({ point, occurrence, latest }: Pass): string => `${point}@${occurrence}${latest === undefined ? "" : `/${latest}`}`;
  return kills.map((kill) => pass(kill) + (kill.recoverer === undefined ? "" : `+${pass(kill.recoverer)}`)).join(",");
}

export function parseKills(text: string): Kill[] {
  const pass = (one: string): Pass => {
    const [point, occurrence, latest] = one.split(/[@/]/);
    return {
      point: point === "any" ? "any" : Number(point),
      occurrence: Number(occurrence),
      ...(latest !== undefined && { latest: Number(latest) }),
    };
  };
  return text.split(",").map((one) => {
    const [victim, recoverer] = one.split("+");
    return { ...pass(victim as string), ...(recoverer === undefined ? {} : { recoverer: pass(recoverer) }) };
  });
}
