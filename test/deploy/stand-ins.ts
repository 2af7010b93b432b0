/**
 * Stand-ins for what the chaos scripts call: `ovation`, `curl`, `ssh`, `kubectl` and others. Each notes how it was called; variables
 * of the environment make it fail, or wait.
 */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { childEnvironment } from '../../src/config.ts';

export const SCRIPTS = path.resolve(import.meta.dirname, '../../deploy/chaos');

/** What a script needs beside the tools that it asks for, where it is to find nothing else. */
const SHELL_TOOLS = ['bash', 'dirname', 'date', 'sort'];

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  /** Its exit code; null when a signal ended it. */
  readonly ended: Promise<number | null>;
}

export class StandIns {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'ovation-chaos-scripts-'));
  readonly #calls = path.join(this.folder, 'calls');
  readonly #bin = path.join(this.folder, 'bin');

  constructor() {
    mkdirSync(this.#bin);
    for (const name of ['nft', 'tc', 'systemctl']) this.#make(name, 'exit 1');
    // Asks where it is asked to; of all else it only notes the text.
    this.#make('ssh', `
text=$(cat)
case "$text" in
  *'curl -sS'*) exec bash <<<"$text" ;;
  *) echo "text on $1: \${text//$'\\n'/ }" >>'${this.#calls}' ;;
esac
[[ $1 != "\${UNREACHABLE:-}" || $text != *'delete table'* ]]`);
    this.#make('kubectl', `
case "$*" in
  *' wait '*) exit "\${LEFT:-0}" ;;
  *exitCode*) echo "\${ENDED:-0}" ;;
  *pods,services*) [[ -n \${NO_ADDRESS:-} ]] || echo '192.0.2.1 None'; [[ -z \${NO_ADDRESS:-} ]] ;;
  *'-o name'*) echo pod/one ;;
  *metrics*) printf 'reactions_peer_staleness_seconds{peer="%s",region="x"} 0.5\\n' us eu ;;
  *'get pods'*) echo ovation one ;;
esac`);
    this.#make('curl', `case "$*" in */metrics*) printf 'reactions_peer_staleness_seconds{peer="x",region="y"} %s\\n' "\${STALENESS:-0.5}";; esac`);
    const status = { regions: ['us', 'eu'].map((id) => ({ id, api: `http://${id}`, admin: `http://${id}:9`, nats_data: this.folder })) };
    // Once there is a copy of its data, a server that starts goes on writing; a heal may be made to wait for a file.
    this.#make('ovation', `
case "$*" in
  *status*) echo '${JSON.stringify(status)}' ;;
  audit*) [[ ! -e '${this.folder}/unbalanced' ]] ;;
  *partition*) [[ -z \${UNABLE:-} ]] ;;
  *'stop us-nats'*) [[ -z \${STUCK:-} ]] ;;
  *'start us-nats'*) [[ ! -d '${this.folder}/jetstream.chaos-copy' ]] || echo newer >'${this.folder}/jetstream/state' ;;
  *' heal '*)
    [[ -n \${HEAL_WAITS:-} ]] || exit 0
    exec node -e '${this.#healer()}' ;;
esac`);
    // Torn in the middle, as by Ctrl-C.
    this.#make('cp', `if [[ -n \${TORN:-} ]]; then mkdir "\${@: -1}"; exit 1; fi\nexec /bin/cp "$@"`);
  }

  reset(): void {
    for (const name of ['calls', 'unbalanced', 'go-on', 'jetstream']) rmSync(path.join(this.folder, name), { recursive: true, force: true });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  run(scenario: string, args: readonly string[], changes?: Readonly<Record<string, string>>): Promise<Ended> {
    return new Promise((resolve) => {
      const child = execFile(path.join(SCRIPTS, `${scenario}.sh`), args, { env: this.#environment(changes) }, (_, stdout, stderr) =>
        resolve({ code: child.exitCode ?? -1, stdout, stderr }),
      );
    });
  }

  /** In a group of its own, as from a terminal. */
  start(scenario: string, args: readonly string[], changes?: Readonly<Record<string, string>>): Started {
    const child = spawn(path.join(SCRIPTS, `${scenario}.sh`), args, { env: this.#environment(changes), stdio: 'ignore', detached: true });
    return { child, ended: new Promise((resolve) => child.once('exit', resolve)) };
  }

  /** Finds only these, and what every script needs to get so far as to ask for more. */
  runWith(tools: readonly string[], scenario: string, args: readonly string[]): Promise<Ended> {
    const bare = mkdtempSync(path.join(this.folder, 'bare-'));
    for (const name of [...SHELL_TOOLS, ...tools]) symlinkSync(name === 'node' ? process.execPath : `/usr/bin/${name}`, path.join(bare, name));
    return this.run(scenario, args, { PATH: bare });
  }

  write(name: string, text: string): void {
    const file = path.join(this.folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /** All calls so far, a line each. */
  calls(): string[] {
    return existsSync(this.#calls) ? readFileSync(this.#calls, 'utf8').split('\n').filter(Boolean) : [];
  }

  /** What was done to the regions, in order. */
  done(): string[] {
    return this.calls().filter((line) => /^(ovation (chaos|load)|nft|ssh)/.test(line) && !line.includes('status') && !/chaos (heals|has healed)/.test(line));
  }

  /** What debug containers were told, in order. */
  faults(): string[] {
    const told = this.calls().join('\n').matchAll(/^kubectl debug [\s\S]*?\b(drop|delete)\b/gm);
    return [...told].map((match) => match[1]!);
  }

  /** Node, as the real one is: it hears signals whether they were ignored when it was started or not. */
  #healer(): string {
    const [goOn, calls] = [path.join(this.folder, 'go-on'), this.#calls].map((file) => JSON.stringify(file));
    return `setInterval(() => {
      const fs = require("node:fs");
      if (!fs.existsSync(${goOn})) return;
      fs.appendFileSync(${calls}, "ovation chaos has healed\\n");
      process.exit(0);
    }, 20); require("node:fs").appendFileSync(${calls}, "ovation chaos heals\\n");`;
  }

  #make(name: string, text: string): void {
    const file = path.join(this.#bin, name);
    writeFileSync(file, `#!/bin/bash\necho "${name} $*" >>'${this.#calls}'\n${text}\n`);
    chmodSync(file, 0o755);
  }

  #environment(changes: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
    const { PATH = '' } = childEnvironment({});
    return { PATH: `${this.#bin}:${PATH}`, OVATION_COMMAND: 'ovation', ...changes };
  }
}
