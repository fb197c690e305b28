/**
 * Theory: a schedule as text, short enough for a bug report: `0*14 1*3 K0 2*9 T1` = worker 0 takes 14 steps, worker 1
 * three, worker 0 is killed, worker 2 (the first program that this called into being) takes nine, worker 1's wait times
 * out. Workers are numbered as they come into being. A script that ends early is completed without further switches.
 */
import type { Choice } from "./machine.ts";

export function formatScript(choices: readonly Choice[]): string {
  const parts: string[] = [];
  for (let i = 0; i < choices.length; ) {
    const { kind, worker } = choices[i] as Choice;
    if (kind !== "step") {
      parts.push(`${kind === "kill" ? "K" : "T"}${worker}`);
      i++;
      continue;
    }
    let n = 0;
    while (choices[i]?.kind === "step" && choices[i]?.worker === worker) {
      n++;
      i++;
    }
    parts.push(`${worker}*${n}`);
  }
  return parts.join(" ");
}

export function parseScript(text: string): Choice[] {
  const choices: Choice[] = [];
  for (const part of text.trim().split(/\s+/)) {
    const match = /^(?:(\d+)(?:\*(\d+))?|([KT])(\d+))$/.exec(part);
    if (!match) throw new Error(`not a schedule: ${part}`);
    if (match[3]) choices.push({ kind: match[3] === "K" ? "kill" : "timeout", worker: Number(match[4]) });
    else for (let i = Number(match[2] ?? 1); i > 0; i--) choices.push({ kind: "step", worker: Number(match[1]) });
  }
  return choices;
}
