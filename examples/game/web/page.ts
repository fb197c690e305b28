/**
 * The page: starts the game, draws it, and listens to the player.
 *
 * This thread never blocks. A frame of the game is begun when the workers have done the last one; drawing goes on meanwhile.
 */
import { UmaError } from "../../../src/index.ts";
import { legacyOf, Stage } from "../sim/stage.ts";
import { Crew } from "./crew.ts";
import { Graph } from "./graph.ts";
import { element, Hud } from "./hud.ts";
import { Renderer } from "./renderer.ts";
import { reportWhenAsked } from "./reporter.ts";

/** Births a second: 2,000 a frame. */
const BIRTHS = 120_000;
/** A frame of the game is at most so long, seconds: below 30 frames a second it goes on in slow motion. */
const LONGEST = 1 / 30;
const HUD_MS = 250;
/** A finger hides what is below it: the ship keeps above, pixels. */
const ABOVE_FINGER = 70;
const NAMES = ["A", "B"] as const;

function begin(): void {
  const canvas = element<HTMLCanvasElement>("scene");
  const stage = new Stage("zalloc", BIRTHS);
  const renderer = new Renderer(canvas);
  const graph = new Graph(element<HTMLCanvasElement>("graph"));
  const hud = new Hud(stage, graph);
  const crew = new Crew(stage, {
    recovered: (index, report, ms) => {
      const what = stage.material === "zalloc" ? legacyOf(report) : "its objects are gone with it";
      hud.log(`Worker ${NAMES[index]} killed, recovered after ${Math.round(ms)} ms: ${what}.`);
      document.body.dataset["recovered"] = String(Number(document.body.dataset["recovered"] ?? 0) + 1);
    },
    failed: (index, why) => hud.log(`Worker ${NAMES[index]}: ${why}`, true),
  });

  let unitsPerPixel = 1;
  const resize = (): void => void (unitsPerPixel = stage.resize(innerWidth, innerHeight));
  addEventListener("resize", resize);
  resize();

  // --- frames ---
  let frames = 0;
  let last = performance.now();
  let begun = last;
  let hudAt = 0;
  let paused = false;

  function frame(now: number): void {
    requestAnimationFrame(frame);
    if (!paused && stage.frameDone) {
      stage.begin(Math.min(LONGEST, Math.max(0.001, (now - begun) / 1000)));
      begun = now;
    }
    renderer.draw(stage, now / 1000);
    const { stepMicros } = stage.world;
    graph.add(now - last, stepMicros.at(0) / 1000, stepMicros.at(1) / 1000);
    last = now;
    frames++;
    hud.bars();
    if (now - hudAt < HUD_MS) return;
    hudAt = now;
    hud.update(frames);
    if (!document.body.classList.contains("folded")) graph.draw();
  }

  /** Resolves when the workers rest: no frame is begun until {@link resume}. */
  async function pause(): Promise<void> {
    paused = true;
    while (!crew.isSettled || !stage.frameDone) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  function resume(): void {
    begun = performance.now();
    paused = false;
  }

  // --- what the player may do beside playing ---
  async function verify(): Promise<string> {
    await pause();
    const { problems } = stage.uma.verify();
    resume();
    const verdict = problems.length === 0 ? "verify: ok" : `verify: ${problems.join("; ")}`;
    document.body.dataset["verdict"] = verdict;
    return verdict;
  }

  async function switchMaterial(): Promise<void> {
    const button = element<HTMLButtonElement>("material");
    button.disabled = true;
    await pause();
    await crew.sendHome();
    stage.restart(stage.material === "zalloc" ? "objects" : "zalloc");
    graph.clear();
    crew.startAll();
    resume();
    button.disabled = false;
    label();
    hud.log(stage.material === "zalloc" ? "Bodies are items of zones again." : "Bodies are plain objects now: watch the workers' times.");
  }

  function label(): void {
    element("material").textContent = stage.material === "zalloc" ? "Use plain objects" : "Use zalloc";
  }

  const does: Readonly<Record<string, () => void>> = {
    KeyK: () => crew.kill(0),
    KeyL: () => crew.kill(1),
    KeyO: () => element<HTMLButtonElement>("material").click(),
    KeyV: () => void verify().then((verdict) => hud.log(`${verdict}.`, verdict !== "verify: ok")),
    KeyH: () => void document.body.classList.toggle("folded"),
    KeyP: () => (paused ? resume() : void pause()),
    Space: () => void stage.nova(),
  };
  addEventListener("keydown", (event) => {
    const action = does[event.code];
    if (action === undefined || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  for (const [id, key] of [
    ["kill-0", "KeyK"],
    ["kill-1", "KeyL"],
    ["verify", "KeyV"],
    ["fold", "KeyH"],
  ] as const) {
    element(id).addEventListener("click", () => does[key]?.());
  }
  element("material").addEventListener("click", () => void switchMaterial());

  // --- steering ---
  const steer = (event: PointerEvent): void => {
    if (!event.isPrimary) return;
    stage.targetX = event.clientX * unitsPerPixel;
    stage.targetY = (event.clientY - (event.pointerType === "touch" ? ABOVE_FINGER : 0)) * unitsPerPixel;
  };
  addEventListener("pointermove", steer);
  canvas.addEventListener("pointerdown", (event) => {
    // The first finger steers, a second one sets the nova off.
    if (event.isPrimary) steer(event);
    if (event.pointerType !== "touch" || !event.isPrimary) stage.nova();
  });

  label();
  crew.startAll();
  hud.log("Two workers allocate, move and free all bodies; this page draws their memory.");
  reportWhenAsked(async () => [...stage.uma.table(), await verify()]);
  requestAnimationFrame(frame);
}

try {
  begin();
} catch (error) {
  const why = error instanceof UmaError || error instanceof Error ? error.message : String(error);
  document.body.textContent = `The game cannot begin here: ${why}`;
  document.body.style.padding = "2em";
  throw error;
}
