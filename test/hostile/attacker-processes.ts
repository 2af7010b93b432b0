/** The processes of one attack, from their parent's side: started first, so that nobody measures what starting them costs, and sent their orders then. */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import { joined, type Books } from './answer-books.ts';
import type { FromAttackers, Orders, Tally } from './attackers.ts';

export interface AttackResult {
  readonly tallies: readonly Tally[];
  readonly failures: readonly string[];
  /** Once what was not answered was asked for. */
  readonly books: Promise<Books>;
}

/** Hostile clients have machines of their own: these give way to the region's and the crowd's work. */
const NICENESS = 19;

export class AttackerProcesses {
  readonly #children: readonly ChildProcess[];

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children;
  }

  /** Resolves when all of them wait for orders. */
  static async start(program: string, count: number): Promise<AttackerProcesses> {
    const children = Array.from({ length: count }, () => fork(program, []));
    const processes = new AttackerProcesses(children);
    try {
      // At once, because threads that there are already keep the niceness that they have.
      for (const child of children) os.setPriority(child.pid!, NICENESS);
      await Promise.all(children.map((child) => told(child, 'ready')));
    } catch (error) {
      await processes.end();
      throw error;
    }
    return processes;
  }

  /** One order for each process. @throws when one of them ends before it is done */
  async attack(orders: readonly Orders[], onProgress: (messages: number) => void = () => {}): Promise<AttackResult> {
    const sent = orders.map(() => 0);
    const books = Promise.all(this.#children.map((child) => told(child, 'closed'))).then((closed) => joined(closed.map((each) => each.books)));
    // Whoever ends earlier is told of below, too.
    books.catch(() => {});
    const results = await Promise.all(
      this.#children.map((child, index) => {
        child.on('message', (message: FromAttackers) => {
          if (message.kind !== 'progress') return;
          sent[index] = message.messages;
          onProgress(sent.reduce((sum, count) => sum + count, 0));
        });
        const done = told(child, 'done');
        child.send(orders[index]!);
        return done;
      }),
    );
    return { tallies: summed(results.map(({ tallies }) => tallies)), failures: results.flatMap(({ failures }) => failures), books };
  }

  /** Resolves when they are gone, and their connections with them. */
  async end(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        // Who has no id was never started, and will not say that it ended.
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      }),
    );
  }
}

/** Of several processes or rounds, which all name the same surfaces in the same order. */
export function summed(lists: readonly (readonly Tally[])[]): Tally[] {
  return (lists[0] ?? []).map(({ surface }, place) => {
    const answers = new Map<string, number>();
    for (const tallies of lists) for (const [answer, times] of tallies[place]!.answers) answers.set(answer, (answers.get(answer) ?? 0) + times);
    return { surface, messages: lists.reduce((sum, tallies) => sum + tallies[place]!.messages, 0), answers: [...answers].sort(([, a], [, b]) => b - a) };
  });
}

function told<Kind extends FromAttackers['kind']>(child: ChildProcess, kind: Kind): Promise<Extract<FromAttackers, { readonly kind: Kind }>> {
  return new Promise((resolve, reject) => {
    child.on('message', (message: FromAttackers) => {
      if (message.kind === kind) resolve(message as Extract<FromAttackers, { readonly kind: Kind }>);
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => reject(new Error(`an attacker ended (${code ?? signal}) before it said ${kind}`)));
  });
}
