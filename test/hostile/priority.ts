/**
 * Hostile clients have machines of their own. Here they share one with what they attack, so this goes first, where that is allowed: a
 * wait for a processor that an attacker has says nothing about the region.
 */

import { spawnSync } from 'node:child_process';

/**
 * Lets these processes go before all others of the machine: of those of Node only the first threads, because the rest collect garbage and
 * compile, and would go before them. What they start has the usual priority.
 *
 * @returns false when the system does not allow it, and not all of it may have been done
 */
export function goFirst({ node, others }: { readonly node: readonly number[]; readonly others: readonly number[] }): boolean {
  const isDone = (pid: number, ...options: string[]): boolean =>
    spawnSync('chrt', [...options, '--reset-on-fork', '--rr', '--pid', '1', String(pid)], { stdio: 'ignore' }).status === 0;
  return node.every((pid) => isDone(pid)) && others.every((pid) => isDone(pid, '--all-tasks'));
}
