/**
 * Theory: generators cannot be cloned, but a worker's behaviour is a graph: a local state announces one access, and its
 * result leads to the next local state. The explorer walks *this graph*; generators are run only to discover a new edge, and
 * then only that worker's, fed with the recorded results from its start (or continuing a run that happens to stand
 * there). Once the graphs are known, a step of the exploration costs a look-up, not an execution.
 *
 * A root is one program in one role (worker 1; recoverer of worker 0; recoverer of that recoverer). For each memory word
 * the explorer learns which roots may read and write it: that is what its reduction rests on (see explorer.ts).
 */
import { announced, DONE, TIMED_OUT, teaches, THROWN, WAIT, WAIT_ANSWERS, wordRange, writes, type Access, type View } from "./access.ts";
import { native } from "./memory.ts";
import { announcedSame, Run, type Notes, type RunOptions } from "./run.ts";
import { siteInfo, state } from "./runtime.ts";

export class Root {
  readonly bit: number;
  readonly nodes = new Map<number, LocalNode[]>();
  entry: LocalNode | null = null;
  count = 0;
  readonly index: number;
  readonly key: string;
  readonly name: string;
  readonly start: () => unknown;
  /** Bits of the roots that are dead before this one starts: their accesses never race with its own. */
  readonly after: number;

  /** Whose death called it into being. */
  readonly victim: Root | null;

  constructor(index: number, key: string, name: string, start: () => unknown, victim: Root | null) {
    if (index > 30) throw new Error("more than 31 programs in one scenario");
    this.index = index;
    this.key = key;
    this.name = name;
    this.start = start;
    this.victim = victim;
    this.after = victim ? victim.after | victim.bit : 0;
    this.bit = 1 << index;
  }

  /** Its own name, then its victim's, and so on. */
  chain(): string[] {
    return [this.name, ...(this.victim?.chain() ?? [])];
  }
}

const range = { first: 0, last: 0 };

export class LocalNode implements Access {
  readonly root: Root;
  readonly hashA: number;
  readonly hashB: number;
  kind = 0;
  view: View;
  index = 0;
  a = 0;
  b = 0;
  op = "";
  args: readonly unknown[];
  site = 0;
  readonly writes: boolean;
  readonly firstWord: number;
  readonly lastWord: number;
  /** Notes so far, and their hash: what remains of a worker that dies here. */
  readonly notes: Notes | null;
  readonly notesA: number;
  readonly notesB: number;
  readonly result: unknown;
  /** The way here that was found first. */
  readonly parent: LocalNode | null;
  readonly via: unknown;
  readonly depth: number;
  /** A run that stands here, until it is used. */
  spare: Run | null = null;

  private firstResult: unknown = undefined;
  private firstChild: LocalNode | null = null;
  private others: Map<unknown, LocalNode> | null = null;

  constructor(root: Root, run: Run, parent: LocalNode | null, via: unknown) {
    this.root = root;
    this.hashA = run.hashA;
    this.hashB = run.hashB;
    this.notes = run.notes;
    this.notesA = run.notesA;
    this.notesB = run.notesB;
    this.parent = parent;
    this.via = via;
    this.depth = parent ? parent.depth + 1 : 0;
    this.kind = run.ended || announced.kind;
    this.result = run.result;
    this.view = announced.view;
    this.args = announced.args;
    if (run.ended) {
      this.writes = false;
      this.firstWord = 1;
      this.lastWord = 0;
      return;
    }
    this.index = announced.index;
    this.a = announced.a;
    this.b = announced.b;
    this.op = announced.op;
    this.site = announced.site;
    this.writes = writes(this);
    wordRange(this, range);
    this.firstWord = range.first;
    this.lastWord = range.last;
  }

  child(result: unknown): LocalNode | null {
    if (this.firstChild !== null && (this.firstResult === result || !teaches(this.kind))) return this.firstChild;
    if (typeof result === "object" && this.firstChild !== null && this.firstResult === keyOf(result)) return this.firstChild;
    return this.others === null ? null : (this.others.get(keyOf(result)) ?? null);
  }

  adopt(result: unknown, child: LocalNode): void {
    if (this.firstChild === null) {
      this.firstResult = keyOf(result);
      this.firstChild = child;
    } else {
      (this.others ??= new Map<unknown, LocalNode>()).set(keyOf(result), child);
    }
  }
}

/** A bulk read's answer is told apart by its contents. */
function keyOf(result: unknown): unknown {
  return ArrayBuffer.isView(result) ? `[${(result as Uint8Array).join()}]` : result;
}

/** Whether a run that should stand at the node does. */
function repeats(run: Run, node: LocalNode): boolean {
  if (run.hashA !== node.hashA || run.hashB !== node.hashB) return false;
  return run.ended !== 0 ? run.ended === node.kind : announcedSame(node.kind, node.site, node.index, node.a, node.b);
}

/** What the program is given for a recorded result. */
function answer(node: LocalNode, result: unknown): unknown {
  if (node.kind === WAIT) return WAIT_ANSWERS[result as number];
  if (!teaches(node.kind)) return node.a;
  return ArrayBuffer.isView(result) ? (result as Uint8Array).slice() : result;
}

export interface LocalOptions extends RunOptions {
  /** The memory as it was at the start. */
  readonly initial: SharedArrayBuffer;
  /** Told of each new local state. */
  readonly onNode: (node: LocalNode) => void;
}

const SPARES = 4096;

/** The local graphs of all roots of one scenario. */
export class LocalGraphs {
  readonly roots: Root[] = [];
  /** Times that a run was built anew, and the accesses fed to them. */
  replays = 0;
  replayed = 0;
  /** Words that starting programs read: nobody may ever write them. */
  readonly startWords = new Set<number>();
  private readonly options: LocalOptions;
  private readonly mirrors = new Map<View, View>();
  private readonly spares: (LocalNode | null)[] = new Array<LocalNode | null>(SPARES).fill(null);
  private nextSpare = 0;

  constructor(options: LocalOptions) {
    this.options = options;
  }

  root(key: string, name: string, start: () => unknown, victim: Root | null): Root {
    let root = this.roots.find((known) => known.key === key);
    if (!root) {
      root = new Root(this.roots.length, key, name, start, victim);
      this.roots.push(root);
    }
    return root;
  }

  entry(root: Root): LocalNode {
    if (root.entry === null) root.entry = this.place(root, this.start(root), null, undefined);
    return root.entry;
  }

  /** The local state after the node's access gave `result`. */
  next(node: LocalNode, result: unknown): LocalNode {
    return node.child(result) ?? this.extend(node, result);
  }

  private extend(node: LocalNode, result: unknown): LocalNode {
    const run = this.take(node);
    if (node.kind === WAIT && result === TIMED_OUT) run.clock += node.b;
    run.resume(answer(node, result), teaches(node.kind));
    const child = this.place(node.root, run, node, result);
    node.adopt(result, child);
    return child;
  }

  /** A run that stands at the node. */
  private take(node: LocalNode): Run {
    const spare = node.spare;
    if (spare) {
      node.spare = null;
      return spare;
    }
    const results: LocalNode[] = [];
    for (let at: LocalNode = node; at.parent; at = at.parent) results.push(at);
    const run = this.start(node.root);
    this.insist(run, node.root.entry as LocalNode);
    this.replays++;
    this.replayed += results.length;
    for (let i = results.length - 1; i >= 0; i--) {
      const step = results[i] as LocalNode;
      const parent = step.parent as LocalNode;
      if (parent.kind === WAIT && step.via === TIMED_OUT) run.clock += parent.b;
      run.resume(answer(parent, step.via), teaches(parent.kind));
      this.insist(run, step);
    }
    return run;
  }

  private insist(run: Run, node: LocalNode): void {
    if (repeats(run, node)) return;
    throw new Error(
      `${node.root.name} does not repeat itself: it depends on something outside its memory (${siteInfo(node.site).function})`,
    );
  }

  private start(root: Root): Run {
    state.startReads = this.startRead;
    try {
      return new Run(root.start, root.index + 1, this.options);
    } finally {
      state.startReads = null;
    }
  }

  /** A read while a program is started: allowed of words that nobody writes, and served from the initial memory. */
  private readonly startRead = (access: Access): unknown => {
    if (writes(access))
      throw new Error("a program writes shared memory before it is scheduled: move that into build() or into the program");
    let mirror = this.mirrors.get(access.view);
    if (!mirror) {
      const { view } = access;
      const kind = view.constructor as new (buffer: SharedArrayBuffer, offset: number, length: number) => View;
      mirror = new kind(this.options.initial, view.byteOffset, view.length);
      this.mirrors.set(view, mirror);
    }
    wordRange(access, range);
    for (let word = range.first; word <= range.last; word++) this.startWords.add(word);
    return native({ ...access, view: mirror });
  };

  private place(root: Root, run: Run, parent: LocalNode | null, via: unknown): LocalNode {
    const key = (run.hashA & 0x1fffff) * 2 ** 32 + (run.hashB >>> 0);
    const bucket = root.nodes.get(key);
    const known = bucket?.find((node) => node.hashA === run.hashA && node.hashB === run.hashB);
    if (known) {
      if (!repeats(run, known))
        throw new Error(
          `${root.name}: two histories that should be one state go different ways (${siteInfo(known.site).function}); does something uninstrumented keep state?`,
        );
      if (!run.ended && !known.spare) this.keep(known, run);
      return known;
    }
    const node = new LocalNode(root, run, parent, via);
    root.count++;
    if (bucket) bucket.push(node);
    else root.nodes.set(key, [node]);
    if (!run.ended) this.keep(node, run);
    if (node.writes) for (let word = node.firstWord; word <= node.lastWord; word++) this.checkStartWord(node, word);
    this.options.onNode(node);
    return node;
  }

  private checkStartWord(node: LocalNode, word: number): void {
    if (this.startWords.has(word))
      throw new Error(
        `${node.root.name} writes word ${word}, which a program reads before it is scheduled (${siteInfo(node.site).function})`,
      );
  }

  private keep(node: LocalNode, run: Run): void {
    const evicted = this.spares[this.nextSpare];
    if (evicted) evicted.spare = null;
    node.spare = run;
    this.spares[this.nextSpare] = node;
    this.nextSpare = (this.nextSpare + 1) % SPARES;
  }
}

export const isEnded = (node: LocalNode): boolean => node.kind === DONE || node.kind === THROWN;
