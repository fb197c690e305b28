/** What stands around the game: score, figures, the zones' table, what has happened. Written a few times a second. */
import type { Stage } from "../sim/stage.ts";
import type { Graph } from "./graph.ts";

const NOVA_READY = matchMedia("(pointer: coarse)").matches ? "nova: second finger" : "nova: click or space";
const LOG_LINES = 3;
const ZONES = ["bullet", "spark", "hive", "gem"] as const;

export function element<E extends HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found as E;
}

export class Hud {
  private readonly stage: Stage;
  private readonly graph: Graph;
  private readonly cells = new Map<string, readonly HTMLTableCellElement[]>();
  private lastBorn = 0;
  private lastFrames = 0;
  private lastAt = performance.now();

  constructor(stage: Stage, graph: Graph) {
    this.stage = stage;
    this.graph = graph;
    const body = element<HTMLTableElement>("zones").tBodies[0] as HTMLTableSectionElement;
    for (const name of ZONES) {
      const row = body.insertRow();
      const cells = Array.from({ length: 6 }, () => row.insertCell());
      (cells[0] as HTMLTableCellElement).textContent = name;
      for (const cell of cells.slice(4)) cell.className = "wide";
      this.cells.set(name, cells);
    }
  }

  /** @param frames - drawn since the page began. */
  update(frames: number): void {
    const { stage } = this;
    const { live, born, died } = stage.bodies;
    const now = performance.now();
    const seconds = Math.max(0.001, (now - this.lastAt) / 1000);
    write("live", live);
    write("births", Math.round(Math.max(0, born - this.lastBorn) / seconds / 100) * 100);
    write("fps", Math.round((frames - this.lastFrames) / seconds));
    this.lastAt = now;
    this.lastBorn = born;
    this.lastFrames = frames;
    write("points", stage.world.score);
    write("level", stage.world.level);
    const { median, slowest } = this.graph.summary();
    const { collections } = stage.world;
    element("times").textContent =
      `workers: ${median.toFixed(1)} ms, slowest ${slowest.toFixed(1)}; major collections: ${collections.at(0) + collections.at(1)}`;
    for (const zone of stage.uma.stats().zones) {
      const cells = this.cells.get(zone.name);
      if (cells === undefined) continue;
      for (const [n, value] of [zone.size, zone.used, zone.free, zone.requests, zone.xdomain].entries()) {
        (cells[n + 1] as HTMLTableCellElement).textContent = value.toLocaleString("en");
      }
    }
    // For whoever looks at the page from outside.
    const { score, shipX, shipY } = stage.world;
    Object.assign(document.body.dataset, { frames, live, born, died, material: stage.material, score, shipX, shipY });
  }

  /** Each frame: what has to move smoothly. */
  bars(): void {
    const { stage } = this;
    element("shield").style.transform = `scaleX(${Math.max(0, stage.shield / 100)})`;
    element("charge").style.transform = `scaleX(${stage.novaCharge})`;
    element("charge-label").textContent = stage.novaCharge < 1 ? "nova: collect gems" : NOVA_READY;
  }

  log(text: string, bad = false): void {
    const list = element<HTMLOListElement>("log");
    const line = document.createElement("li");
    line.textContent = text;
    if (bad) line.className = "bad";
    list.prepend(line);
    while (list.children.length > LOG_LINES) list.lastElementChild?.remove();
  }
}

function write(id: string, value: number): void {
  element(id).textContent = value.toLocaleString("en");
}
