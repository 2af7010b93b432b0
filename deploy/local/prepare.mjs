#!/usr/bin/env node
// Makes a fresh clone runnable: installs packages when they are missing or outdated, builds, and with
// --servers also installs the server binaries that the tests run (on Debian as root). Does nothing
// that is already done, so it runs before every `npm start` and `npm test`.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const APT_ENVIRONMENT = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
const root = path.resolve(import.meta.dirname, '../..');
process.chdir(root);

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Node ${process.versions.node} is too old: Ovation needs Node 20.19 or newer.`);
}

installPackages();
run(process.execPath, ['deploy/local/build.mjs']);
if (process.argv.includes('--servers')) installServers();

function installPackages() {
  const stamp = 'node_modules/.ovation-installed';
  const wanted = createHash('sha256').update(readFileSync('package-lock.json')).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.log('Installing packages (npm ci) …');
  run('npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error']);
  mkdirSync('node_modules', { recursive: true });
  writeFileSync(stamp, wanted);
}

function installServers() {
  const servers = missingOf([
    { binary: 'nats-server', package: 'nats-server' },
    { binary: 'initdb', package: 'postgresql' },
    // Regions in network namespaces, whose links are cut and shaped.
    { binary: 'ip', package: 'iproute2' },
    { binary: 'nft', package: 'nftables' },
  ]);
  const extras = missingOf([
    // A region whose clock is wrong, in `npm run chaos`.
    { binary: 'faketime', package: 'faketime' },
    { binary: 'chromium', package: 'chromium' },
    // Without it a browser draws emoji as empty boxes.
    { font: '/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf', package: 'fonts-noto-color-emoji' },
  ]);
  const missing = [...servers, ...extras];
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.map((server) => server.package).join(' ')}`;
  if (!existsSync('/usr/bin/apt-get') || process.getuid?.() !== 0) {
    console.warn(`\n*** Missing: ${missing.map((server) => server.package).join(', ')}. The tests that need them are skipped.`);
    console.warn(`*** Install them with: sudo ${command}\n`);
    return;
  }
  run('apt-get', ['update', '-qq'], APT_ENVIRONMENT);
  for (const { package: name } of servers) if (!install(name)) fail(`${name} could not be installed; see above.`);
  // Not every distribution has these as packages; what needs them is then skipped, and says so.
  for (const { package: name } of extras) install(name);
}

function missingOf(servers) {
  return servers.filter(({ binary, font }) => !(font === undefined ? isInstalled(binary) : existsSync(font)));
}

function install(name) {
  console.log(`Installing ${name} …`);
  const args = ['install', '-y', '-qq', '--no-install-recommends', name];
  return spawnSync('apt-get', args, { stdio: ['ignore', 'inherit', 'inherit'], env: APT_ENVIRONMENT }).status === 0;
}

function isInstalled(binary) {
  // Debian keeps Postgres' own commands outside the PATH, and a user's PATH has none of the administrator's.
  const script = `PATH=$PATH:/usr/sbin; command -v ${binary} || ls /usr/lib/postgresql/*/bin/${binary}`;
  return spawnSync('sh', ['-c', script], { stdio: 'ignore' }).status === 0;
}

function run(command, args, environment = process.env) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], env: environment });
  if (error) fail(`${command} could not be started: ${error.message}`);
  if (status !== 0) fail(`${command} ${args.join(' ')} failed with exit code ${status}.`);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
