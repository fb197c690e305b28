/** A case's process, as the harness sees it. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Answer, Order } from "./messages.ts";
import type { Case, Figures, Slice } from "./suite.ts";

/** Programs may collect garbage before they measure; nothing else differs from a plain `node`. */
const NODE_FLAGS: readonly string[] = ["--expose-gc"];

export interface CaseProcess {
  readonly of: Case;
  slice(ms: number): Promise<Slice>;
  /** @returns the program's figures; the process has ended then. */
  finish(): Promise<Figures>;
  /** Ends the process, whatever it is at. */
  kill(): void;
}

/**
 * Starts the process of a case.
 * @param script - the compiled case.js.
 * @returns once its program is ready.
 */
export async function startCase(script: URL, suite: string, of: Case): Promise<CaseProcess> {
  // Not the loader that the harness itself runs under, nor what NODE_OPTIONS says.
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = fork(fileURLToPath(script), [suite, of.name, of.variant], { execArgv: [...NODE_FLAGS], env });
  const label = `${suite}: ${of.name}, ${of.variant}`;

  async function ask<Is extends Answer["is"]>(order: Order | null, is: Is): Promise<Extract<Answer, { is: Is }>> {
    const answered = nextAnswer(child, label);
    if (order !== null) child.send(order);
    const got = await answered;
    if (got.is !== is) throw new Error(`${label}: ${got.is === "failed" ? got.why : `answered ${got.is} instead of ${is}`}`);
    return got as Extract<Answer, { is: Is }>;
  }

  try {
    await ask(null, "ready");
  } catch (cause) {
    child.kill();
    throw cause;
  }
  return {
    of,
    kill: () => void child.kill(),
    slice: async (ms) => (await ask({ do: "slice", ms }, "slice")).slice,
    finish: async () => {
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      const { figures } = await ask({ do: "finish" }, "figures");
      await ended;
      return figures;
    },
  };
}

function nextAnswer(child: ChildProcess, label: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      child.off("message", onMessage);
      child.off("exit", onExit);
    };
    const onMessage = (answer: Answer): void => {
      done();
      resolve(answer);
    };
    const onExit = (code: number | null, signal: string | null): void => {
      done();
      reject(new Error(`${label}: its process ended (${signal ?? `code ${code}`})`));
    };
    child.on("message", onMessage);
    child.on("exit", onExit);
  });
}
