// Proves that every import rule of .dependency-cruiser.cjs sees what it forbids.
//
// How: a tree with one planted violation per row is cruised with the real configuration, and each row must be reported
// under its rule. A second tree holds imports that are allowed and must be clean. The last test fails when a rule has
// no row, so that a rule cannot be added unproven. (The real tree itself is checked by `make check`.)

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { PROJECT_ROOT, plantTree, removeTree, runTool } from './planted-tree.ts'

/** rule, file that breaks it, what it imports */
const VIOLATIONS: ReadonlyArray<readonly [rule: string, from: string, to: string]> = [
  ['upward-from-edge', 'csi-driver/observe/page.ts', 'csi-driver/cli/table.ts'],
  ['upward-from-edge', 'csi-driver/holder/attach.ts', 'csi-driver/main.ts'],
  ['upward-from-config', 'csi-driver/config.ts', 'csi-driver/node/mount.ts'],
  ['upward-from-frontend', 'csi-driver/frontend/reader.ts', 'csi-driver/config.ts'],
  ['upward-from-engine', 'csi-driver/engine/volume.ts', 'csi-driver/frontend/reply.ts'],
  ['upward-from-engine', 'operator/policy/select.ts', 'operator/controllers/node-controller.ts'],
  ['upward-from-protocol', 'csi-driver/protocol/opening.ts', 'csi-driver/engine/barrier.ts'],
  ['upward-from-protocol', 'csi-driver/protocol/storing.ts', 'csi-driver/replica/receiver.ts'],
  ['upward-from-stores', 'csi-driver/journal/space.ts', 'csi-driver/engine/admission.ts'],
  ['upward-from-register', 'csi-driver/register/file.ts', 'csi-driver/protocol/phases.ts'],
  ['upward-from-batch', 'csi-driver/batch/codec.ts', 'csi-driver/journal/record.ts'],
  ['upward-from-io', 'csi-driver/io/storage.ts', 'csi-driver/batch/frame.ts'],
  ['upward-from-crds', 'crds/names.ts', 'csi-driver/io/network.ts'],
  ['upward-from-base', 'base/units.ts', 'crds/conditions.ts'],
  ['in-no-layer-importing', 'csi-driver/extras/importing.ts', 'base/clock.ts'],
  ['in-no-layer-imported', 'csi-driver/engine/read-path.ts', 'csi-driver/extras/imported.ts'],
  ['in-no-layer-alone', 'operator/stray.ts', ''],
  ['stores-apart', 'csi-driver/journal/recovery.ts', 'csi-driver/replica/replicator.ts'],
  ['stores-apart', 'csi-driver/backing/block-device.ts', 'csi-driver/journal/journal.ts'],
  ['planes-apart-operator', 'operator/controllers/volume-controller.ts', 'csi-driver/io/process.ts'],
  ['planes-apart-driver', 'csi-driver/csi/node.ts', 'operator/policy/plan.ts'],
  ['protocol-without-io', 'csi-driver/protocol/restart.ts', 'csi-driver/io/storage.ts'],
  ['pure', 'base/assert.ts', 'node:assert'],
  ['pure', 'csi-driver/frontend/mount.ts', 'node:fs'],
  ['pure', 'csi-driver/engine/destage.ts', 'node:timers/promises'],
  ['pure', 'csi-driver/config-file.ts', 'node:fs'],
  ['pure', 'csi-driver/replica/wire/frame.ts', 'node:crypto'],
  ['pure', 'csi-driver/io/faulty/faulty-storage.ts', 'node:fs'],
  ['real-io-from-entry', 'csi-driver/holder/start.ts', 'csi-driver/io/real/file-storage.ts'],
  ['real-io-from-entry', 'csi-driver/engine/degrade.ts', 'csi-driver/io/faulty/fault-rule.ts'],
  ['store-by-its-front-door', 'csi-driver/engine/write-path.ts', 'csi-driver/journal/segment.ts'],
  ['store-by-its-front-door', 'csi-driver/observe/http.ts', 'csi-driver/backing/coalesce.ts'],
  ['product-without-tests', 'base/prng.ts', 'test/sim/world.ts'],
  ['door-winston', 'base/log.ts', 'winston'],
  ['door-xxhash-wasm', 'base/crc32.ts', 'xxhash-wasm'],
  ['door-yaml', 'csi-driver/node/assignment.ts', 'yaml'],
  ['door-fast-check', 'base/bytes.ts', 'fast-check'],
  ['package-without-door', 'csi-driver/cli/main.ts', 'semver'],
  ['not-found', 'base/lifecycle.ts', 'base/nowhere.ts'],
  ['no-cycle', 'base/layout.ts', 'base/metrics.ts'],
]

/** The second half of the cycle above: a cycle is reported once, for the file that is met first. */
const WAY_BACK = ['base/metrics.ts', 'base/layout.ts'] as const

const ALLOWED: ReadonlyArray<readonly [from: string, to: string]> = [
  ['csi-driver/main.ts', 'csi-driver/io/real/file-storage.ts'],
  ['csi-driver/cli/inspect.ts', 'csi-driver/journal/segment.ts'],
  ['csi-driver/cli/main.ts', 'yaml'],
  ['csi-driver/observe/http.ts', 'node:http'],
  ['csi-driver/holder/attach.ts', 'csi-driver/config.ts'],
  ['csi-driver/frontend/reader.ts', 'csi-driver/engine/volume.ts'],
  ['csi-driver/engine/volume.ts', 'csi-driver/journal/journal.ts'],
  ['csi-driver/engine/destage.ts', 'csi-driver/backing/backing-store.ts'],
  ['csi-driver/engine/degrade.ts', 'csi-driver/protocol/phases.ts'],
  ['csi-driver/protocol/phases.ts', 'csi-driver/register/record.ts'],
  ['csi-driver/replica/receiver.ts', 'csi-driver/protocol/phases.ts'],
  ['csi-driver/replica/wire/volume-proof.ts', 'node:crypto'],
  ['csi-driver/journal/journal.ts', 'csi-driver/batch/codec.ts'],
  ['csi-driver/batch/codec.ts', 'csi-driver/io/storage.ts'],
  ['csi-driver/io/real/ram-storage.ts', 'node:fs'],
  ['csi-driver/io/faulty/faulty-storage.ts', 'csi-driver/io/storage.ts'],
  ['operator/controllers/node-controller.ts', 'crds/names.ts'],
  ['base/log-winston.ts', 'winston'],
  ['base/xxhash64.ts', 'xxhash-wasm'],
  ['test/property/codec.test.ts', 'fast-check'],
  ['test/sim/world.ts', 'csi-driver/io/faulty/faulty-storage.ts'],
]

interface Report {
  summary: { violations: ReadonlyArray<{ rule: { name: string }; from: string; to: string }>; totalCruised: number }
}

const isFile = (target: string): boolean => target.endsWith('.ts')

/** Each file imports what its rows say; every file that is only imported exports something. */
function sources(rows: ReadonlyArray<readonly [from: string, to: string]>): Record<string, string> {
  const files: Record<string, string> = {}
  for (const [, to] of rows) if (isFile(to) && !to.endsWith('nowhere.ts')) files[to] = 'export const planted = 1\n'
  for (const [from, to] of rows) {
    const up = '../'.repeat(from.split('/').length - 1)
    const line = to === '' ? '' : `import '${isFile(to) ? up + to : to}'\n`
    files[from] = (files[from] ?? 'export const planted = 1\n') + line
  }
  return files
}

function cruise(rows: ReadonlyArray<readonly [from: string, to: string]>): Report {
  const files = sources(rows)
  const root = plantTree(files)
  try {
    const trees = [...new Set(Object.keys(files).map((path) => path.split('/')[0] ?? ''))]
    const args = ['--config', '.dependency-cruiser.cjs', '--output-type', 'json', ...trees]
    return JSON.parse(runTool('depcruise', args, root)) as Report
  } finally {
    removeTree(root)
  }
}

describe('import rules', () => {
  const planted = cruise([...VIOLATIONS.map(([, from, to]) => [from, to] as const), WAY_BACK])

  test.each(VIOLATIONS)('%s is reported for %s → %s', (rule, from, to) => {
    const reported = planted.summary.violations
      .filter((violation) => violation.rule.name === rule && violation.from === from)
      .map((violation) => violation.to)
    expect(reported).toContainEqual(expect.stringContaining(to.replace(/^node:/, '')))
  })

  test('allowed imports are not reported', () => {
    const clean = cruise(ALLOWED)
    expect(clean.summary.violations).toEqual([])
    expect(clean.summary.totalCruised).toBeGreaterThan(ALLOWED.length)
  })

  test('every rule has a planted violation', () => {
    const load = createRequire(import.meta.url)
    const { forbidden } = load(join(PROJECT_ROOT, '.dependency-cruiser.cjs')) as { forbidden: { name: string }[] }
    const proven = new Set(VIOLATIONS.map(([rule]) => rule))
    expect(forbidden.map((rule) => rule.name).filter((name) => !proven.has(name))).toEqual([])
  })
})
