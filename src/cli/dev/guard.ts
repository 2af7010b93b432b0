/**
 * A guard: a shell whose only task is to see our end of its pipe close, however we die, and to end a process then.
 * What was started with a guard outlives nobody, not even one who is killed, and not even while it is paused.
 */

import { spawn, type ChildProcess } from 'node:child_process';

/** Kill the guard once the process that it watches has ended: its id may be another's then. */
export function startGuard(pid: number, signal: 'KILL' | 'QUIT' | 'TERM' = 'KILL'): ChildProcess {
  const guard = spawn('/bin/sh', ['-c', `read -r _; kill -CONT ${pid}; kill -${signal} ${pid}`], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  guard.on('error', () => {});
  guard.stdin?.on('error', () => {});
  return guard;
}
