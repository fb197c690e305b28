/**
 * Theory: most accesses of a critical section are to words that everybody touches, but nobody without the lock. For each program
 * and word the explorer learns the lock under which *every* access of that program to it has been made so far, if there is one: held by
 * the program itself, or by a dead worker for which it acts (who undoes a dead holder's journal touches what that lock guards). While a
 * living worker holds that lock, the program cannot get at the word, so the two cannot disagree on the order.
 *
 * Why what is learnt so can be relied on: take the first access that breaks the rule in any schedule. Up to it all steps kept the
 * rule, so the holder's own steps commute with them, and the search that took those first comes to the same access with the lock
 * still held; there it is seen, what was learnt is corrected, and the round starts again. The same holds for letting go a
 * lock that another, living worker holds, which is a violation by itself.
 */
import { CAS, STORE, UPDATE, WRITE } from "./access.ts";
import type { LocalNode, Root } from "./local.ts";
import type { LockRules } from "./scenario.ts";

const NONE = -1;

export class Locksets {
  /** What was learnt so far: it grows whenever a rule is broken. */
  learnt = 0;
  private readonly rules: LockRules;
  private readonly words: Int32Array;
  /** For each program and word the lock of all its reads and of all its writes: 0 = none seen yet, NONE = no common one. */
  private readonly ofReads: Int32Array[] = [];
  private readonly ofWrites: Int32Array[] = [];
  private readonly names: number[] = [];
  private readonly pending: number[] = [];
  private readonly programs = new Map<number, string>();
  /** In this round: on which lock of a word somebody relied, and who, for reading and for writing. */
  private readonly reliedLock: Int32Array;
  private readonly reliedRead: Int32Array;
  private readonly reliedWrite: Int32Array;
  private readonly locks: Uint8Array;

  constructor(rules: LockRules, words: Int32Array) {
    this.rules = rules;
    this.words = words;
    this.reliedLock = new Int32Array(words.length);
    this.reliedRead = new Int32Array(words.length);
    this.reliedWrite = new Int32Array(words.length);
    this.locks = new Uint8Array(words.length);
  }

  newRound(): void {
    this.reliedLock.fill(0);
    this.reliedRead.fill(0);
    this.reliedWrite.fill(0);
  }

  isLock(word: number): boolean {
    return this.locks[word] === 1;
  }

  /** The lock that the program holds now, 0 = none. */
  heldBy(root: Root): number {
    this.know(root);
    const lock = this.words[this.pending[root.index] as number] as number;
    if (lock <= 0 || lock >= this.words.length) return 0;
    const holder = this.holderOf(lock);
    if (holder === 0 || holder !== this.names[root.index]) return 0;
    this.locks[lock] = 1;
    return lock;
  }

  /** Whether all accesses of the programs in `rivals` that an access to the word conflicts with are made under the lock. */
  guards(lock: number, word: number, rivals: number, write: boolean): boolean {
    const relied = this.reliedLock[word] as number;
    if (relied !== 0 && relied !== lock) return false;
    for (let index = 0; rivals >> index !== 0; index++) {
      if (((rivals >> index) & 1) === 0) continue;
      const ofWrites = this.ofWrites[index]?.[word] ?? 0;
      const ofReads = this.ofReads[index]?.[word] ?? 0;
      if (ofWrites !== 0 && ofWrites !== lock) return false;
      if (write && ofReads !== 0 && ofReads !== lock) return false;
      // It has announced an access that nobody has seen it make.
      if (ofWrites === 0 && (!write || ofReads === 0)) return false;
    }
    return true;
  }

  rely(lock: number, word: number, bit: number, write: boolean): void {
    this.reliedLock[word] = lock;
    const relied = write ? this.reliedWrite : this.reliedRead;
    relied[word] = (relied[word] as number) | bit;
  }

  /** The program is about to touch the word. @returns whether that breaks what somebody relied on. */
  touches(root: Root, word: number, write: boolean): boolean {
    this.know(root);
    const table = (write ? this.ofWrites : this.ofReads)[root.index] as Int32Array;
    const before = table[word] as number;
    // What was known was taken into account by whoever relied on it.
    if (before === NONE || (before !== 0 && this.isHeldFor(root, before))) return false;
    table[word] = before === 0 ? this.lockOver(root) : NONE;
    this.learnt++;
    return this.breaks(root, word, table[word] as number, write);
  }

  private breaks(root: Root, word: number, lock: number, write: boolean): boolean {
    const relied = write ? (this.reliedRead[word] as number) | (this.reliedWrite[word] as number) : (this.reliedWrite[word] as number);
    return (relied & ~root.bit) !== 0 && lock !== this.reliedLock[word];
  }

  /** Whose lock the step lets go although he lives; null: nobody's. */
  robs(node: LocalNode, lives: (program: string) => boolean): string | null {
    const value = this.words[node.firstWord] as number;
    const holder = this.rules.holderIn(value);
    if (holder === 0 || holder === this.names[node.root.index]) return null;
    const program = this.programs.get(holder);
    if (program === undefined || this.rules.holderIn(after(node, value)) === holder || !lives(program)) return null;
    return program;
  }

  private know(root: Root): void {
    const { index, name } = root;
    if (this.names[index] !== undefined) return;
    const own = this.rules.nameOf(name);
    this.names[index] = own;
    this.pending[index] = this.rules.pendingOf(own);
    this.programs.set(own, name);
    this.ofReads[index] = new Int32Array(this.words.length);
    this.ofWrites[index] = new Int32Array(this.words.length);
  }

  private holderOf(lock: number): number {
    return this.rules.holderIn(this.words[lock] as number);
  }

  private isHeldFor(root: Root, lock: number): boolean {
    const holder = this.holderOf(lock);
    return holder !== 0 && (holder === this.names[root.index] || this.rules.isDead(holder));
  }

  /** The lock under which the program acts now: its own, or one of a dead worker. */
  private lockOver(root: Root): number {
    const own = this.heldBy(root);
    if (own !== 0) return own;
    for (let index = 0; index < this.names.length; index++) {
      const name = this.names[index];
      if (name === undefined || !this.rules.isDead(name)) continue;
      const lock = this.words[this.pending[index] as number] as number;
      if (lock > 0 && lock < this.words.length && this.holderOf(lock) === name) return lock;
    }
    return NONE;
  }
}

/** What a write leaves in its word. */
function after(node: LocalNode, value: number): number {
  switch (node.kind) {
    case CAS:
      return node.a === value ? node.b : value;
    case WRITE:
    case STORE:
      return node.a;
    case UPDATE:
      return node.op === "exchange" ? node.a : value;
    default:
      return value;
  }
}
