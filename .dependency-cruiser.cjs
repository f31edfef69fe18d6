// Which file may import which: the layers, the front doors, and the one door of each package.
// Run by `make check`. Every rule is proven by a planted violation in test/tidy/layers.test.ts.

// The layers, top first. A file may use its own layer and what stands BELOW it.
const LAYERS = [
  ['entry', 'csi-driver/(main\\.ts$|cli/|engine-process/|peer-process/)|operator/main\\.ts$'],
  ['edge', 'csi-driver/(csi|node|observe|holder)/|operator/(controllers|webhook|observe)/'],
  ['config', 'csi-driver/config(-file|-replication)?\\.ts$|operator/config\\.ts$'],
  ['frontend', 'csi-driver/frontend/'],
  ['engine', 'csi-driver/engine/|operator/policy/'],
  ['stores', 'csi-driver/(journal|replica|backing|fencing)/'],
  ['protocol', 'csi-driver/protocol/'],
  ['register', 'csi-driver/register/'],
  ['batch', 'csi-driver/batch/'],
  ['io', 'csi-driver/io/|operator/runtime/'],
  ['crds', 'crds/'],
  ['base', 'base/'],
]
const at = (index) => `^(${LAYERS[index][1]})`
const anyLayer = `^(${LAYERS.map(([, path]) => path).join('|')})`
const TREES = '^(base|crds|csi-driver|operator)/'
const ENTRY = '^(csi-driver/(main\\.ts$|cli/|engine-process/|peer-process/)|operator/main\\.ts$|test/)'

const upward = LAYERS.slice(1).map(([name], above) => ({
  name: `upward-from-${name}`,
  severity: 'error',
  from: { path: at(above + 1) },
  to: { path: LAYERS.slice(0, above + 1).map((_, index) => at(index)) },
}))

// Packages, and the only files that may import each. Any other package is refused by `package-without-door`.
const DOORS = {
  winston: ['^base/log-winston\\.ts$'],
  'xxhash-wasm': ['^base/xxhash64\\.ts$'],
  yaml: ['^csi-driver/(cli/|config)'],
  'fast-check': ['^test/'],
}
const doors = Object.entries(DOORS).map(([pkg, files]) => ({
  name: `door-${pkg}`,
  severity: 'error',
  comment: `${pkg} is imported only from ${files.join(', ')}`,
  from: { path: `${TREES}|^test/`, pathNot: files },
  to: { path: `node_modules/${pkg}/` },
}))

// A file that stands in no layer would escape every rule above, so it is refused, whether it imports, is imported,
// or stands alone.
const noLayer = (suffix, from, to) => ({
  name: `in-no-layer-${suffix}`,
  severity: 'error',
  comment: 'give its folder a place in LAYERS of .dependency-cruiser.cjs',
  from,
  to,
})

module.exports = {
  forbidden: [
    ...upward,
    noLayer('importing', { path: TREES, pathNot: anyLayer }, {}),
    noLayer('imported', {}, { path: TREES, pathNot: anyLayer }),
    noLayer('alone', { orphan: true, path: TREES, pathNot: anyLayer }, {}),
    {
      name: 'stores-apart',
      severity: 'error',
      comment: 'journal, replica and backing meet only in engine/',
      from: { path: '^csi-driver/(journal|replica|backing)/' },
      to: { path: '^csi-driver/(journal|replica|backing)/', pathNot: '^csi-driver/$1/' },
    },
    {
      name: 'planes-apart-operator',
      severity: 'error',
      comment: 'operator and csi-driver meet only in crds/',
      from: { path: '^operator/' },
      to: { path: '^csi-driver/' },
    },
    {
      name: 'planes-apart-driver',
      severity: 'error',
      comment: 'operator and csi-driver meet only in crds/',
      from: { path: '^csi-driver/' },
      to: { path: '^operator/' },
    },
    {
      name: 'protocol-without-io',
      severity: 'error',
      comment: 'protocol/ holds pure tables; who wants I/O takes the decision from the table and acts in engine/',
      from: { path: '^csi-driver/protocol/' },
      to: { path: '^csi-driver/io/' },
    },
    {
      name: 'pure',
      severity: 'error',
      comment: 'no Node.js module below the edge except in csi-driver/io/real, and HMAC and zstd by name: take a port',
      from: {
        path: '^(base/|crds/|csi-driver/(config|(frontend|engine|protocol|journal|replica|backing|fencing|register|batch|io)/)|operator/policy/)',
        pathNot: '^csi-driver/(io/real/|replica/wire/volume-proof\\.ts$|replica/compression/zstd-codec\\.ts$)',
      },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'real-io-from-entry',
      severity: 'error',
      comment: 'io/real and io/faulty are joined to ports in main.ts, engine-process/, peer-process/ and cli/ only',
      from: { pathNot: '^(csi-driver/(main\\.ts$|cli/|engine-process/|peer-process/|io/(real|faulty)/)|test/)' },
      to: { path: '^csi-driver/io/(real|faulty)/' },
    },
    {
      name: 'store-by-its-front-door',
      severity: 'error',
      comment:
        'from outside, use journal/journal.ts, replica/replicator.ts, replica/receiver.ts, backing/backing-store.ts',
      from: { pathNot: `^csi-driver/(journal|replica|backing)/|${ENTRY}` },
      to: {
        path: '^csi-driver/(journal|replica|backing)/',
        pathNot: '^csi-driver/(journal/journal|replica/(replicator|receiver)|backing/backing-store)\\.ts$',
      },
    },
    {
      name: 'product-without-tests',
      severity: 'error',
      comment: 'the product never imports from test/',
      from: { path: TREES },
      to: { path: '^test/' },
    },
    ...doors,
    {
      name: 'package-without-door',
      severity: 'error',
      comment: 'give the package a door in DOORS of .dependency-cruiser.cjs',
      from: { path: TREES },
      to: { path: 'node_modules/', pathNot: Object.keys(DOORS).map((pkg) => `node_modules/${pkg}/`) },
    },
    { name: 'not-found', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-cycle',
      severity: 'error',
      comment:
        'not even by types; in the simulator an incident names the type of the simulation that runs it, a tested host that of its network',
      from: { pathNot: '^test/(sim|integration/hosts/harness)/' },
      to: { circular: true },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
  },
}
