// The architecture as rules: who may import whom. `docs/ARCHITECTURE.md` draws the same picture.

/** The rooms of src/, lowest first: each may import those before it, never those after it. */
const ROOMS = [
  'base',
  'protocol',
  'moderation',
  'antispam',
  'hot-store',
  'aggregator',
  'broadcaster',
  'analytics',
  'edge',
  'observability',
];

const roomRules = ROOMS.map((room, index) => ({
  name: `src-${room}-imports-downwards`,
  severity: 'error',
  comment: `src/${room} may import only itself and: ${ROOMS.slice(0, index).join(', ') || 'nothing of src'}`,
  from: { path: `^src/${room}/` },
  to: { path: '^src/', pathNot: ROOMS.slice(0, index + 1).map((name) => `^src/${name}/`) },
}));

/** Each driver is known to the adapters named for it and to nobody else. */
const DRIVERS = [
  ['@nats-io', ['^regions/nats-(connection|publisher|worker)\\.ts$']],
  ['pg', ['^src/analytics/postgres-store\\.ts$', '^src/analytics/migrate\\.ts$']],
  ['@electric-sql', ['^src/analytics/pglite-server\\.ts$']],
  ['ws', ['^src/edge/', '^src/cli/']],
  ['(fastify|@fastify)', ['^src/edge/', '^src/observability/', '^src/cli/']],
  ['jose', ['^src/edge/auth\\.ts$', '^src/cli/load/tokens\\.ts$']],
  ['prom-client', ['^src/observability/metrics\\.ts$']],
  ['(react|react-dom)', ['^src/client/react\\.ts$']],
  ['pino', ['^src/observability/log\\.ts$']],
  [
    '(yjs|y-protocols|y-websocket|lib0)',
    ['^src/moderation/(policy-doc|control-plane|document-gate|sync-[a-z-]+)\\.ts$', '^src/web/console/', '^src/cli/moderate(\\.ts$|/)'],
  ],
];

const driverRules = DRIVERS.map(([driver, adapters]) => ({
  name: `driver-${driver.replace(/[^a-z-]/g, '')}-only-in-its-adapters`,
  severity: 'error',
  from: { path: '^(crdt|regions|src)/', pathNot: adapters },
  to: { path: `node_modules/(@types/)?${driver}/`, dependencyTypesNot: ['type-only'] },
}));

/** Adapters behind a port; only the composition root and commands choose one. */
const ADAPTERS = [
  'regions/((memory|nats)-log|memory-reader|nats-log-reader|compacted-log)',
  'regions/nats-(connection|publisher|pull|worker|probe)',
  'src/hot-store/(memory|jetstream)-store',
  'src/analytics/(postgres-store|migrate|pglite-server|memory-window-queue|jetstream-window-queue)',
].join('|');

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphans',
      severity: 'error',
      comment: 'A file that nobody imports is dead, unless it is an entry point.',
      from: { orphan: true, pathNot: ['^src/cli/main\\.ts$', '^src/web/', '\\.d\\.ts$'] },
      to: {},
    },
    {
      name: 'crdt-is-pure',
      severity: 'error',
      comment: 'crdt/ imports nothing but msgpack, not even node:',
      from: { path: '^crdt/' },
      to: { pathNot: ['^crdt/', 'node_modules/@msgpack/msgpack/'] },
    },
    {
      name: 'regions-import-crdt-only',
      severity: 'error',
      from: { path: '^regions/' },
      to: { path: '^(src|test|deploy)/' },
    },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { path: '^(crdt|regions|src)/' },
      to: { path: '^(test|deploy)/' },
    },
    {
      name: 'browser-code-has-no-node',
      severity: 'error',
      from: { path: '^src/(client|protocol|web)/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'players-carry-the-protocol-only',
      severity: 'error',
      comment: 'What players load imports the protocol; of the service only commands and pages import it.',
      from: { path: '^src/client/' },
      to: { path: '^src/', pathNot: ['^src/client/', '^src/protocol/'] },
    },
    {
      name: 'pages-carry-what-they-show-only',
      severity: 'error',
      comment: 'Pages stand on the SDK; the console shares the policy documents and their glyphs with the service.',
      from: { path: '^src/web/' },
      to: { path: '^(regions|src)/', pathNot: ['^src/(web|client|protocol|base|moderation)/'] },
    },
    {
      name: 'adapters-only-at-the-root',
      severity: 'error',
      comment: 'Only region.ts, cli/ and other adapters see adapters.',
      from: { path: '^(crdt|regions|src)/', pathNot: [`^(${ADAPTERS})\\.ts$`, '^src/region\\.ts$', '^src/cli/'] },
      to: { path: `^(${ADAPTERS})\\.ts$` },
    },
    ...roomRules,
    ...driverRules,
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
