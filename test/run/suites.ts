// What `make test` runs, in order: cheap and telling first, the real kernel last.
//
// A suite is one of three kinds. `checks`: commands, each of which counts as one test. `jest`: test files, counted by
// Jest. `script`: a TypeScript program whose last line of output is one JSON object with `passed`, `failed`, `skipped`.

import { PROJECT_ROOT } from '../tidy/planted-tree.ts'

export interface ChecksSuite {
  readonly kind: 'checks'
  readonly name: string
  /** Each a tool of node_modules/.bin and its arguments. */
  readonly commands: ReadonlyArray<readonly [tool: string, ...args: string[]]>
}

export interface JestSuite {
  readonly kind: 'jest'
  readonly name: string
  readonly args: readonly string[]
}

export interface ScriptSuite {
  readonly kind: 'script'
  readonly name: string
  readonly file: string
  readonly args: readonly string[]
}

export type Suite = ChecksSuite | JestSuite | ScriptSuite

const FOLDERS = ['base', 'crds', 'csi-driver', 'operator', 'test']

// One at a time: the tests share loop devices and the kernel's FUSE connections, and each may load a file system.
const INTEGRATION_ARGS = ['--runInBand', '--testTimeout=900000']

const testsIn = (pattern: string): string => `${RegExp.escape(PROJECT_ROOT)}/test/${pattern}`

export const SUITES: readonly Suite[] = [
  {
    kind: 'checks',
    name: 'lint',
    commands: [
      ['oxlint', ...FOLDERS],
      ['biome', 'format', '--reporter=summary', '.'],
      ['knip', '--no-config-hints'],
    ],
  },
  { kind: 'checks', name: 'types', commands: [['tsc', '-p', '.']] },
  { kind: 'checks', name: 'layers', commands: [['depcruise', '--config', '.dependency-cruiser.cjs', ...FOLDERS]] },
  { kind: 'jest', name: 'unit+property+tidy', args: [testsIn('(?!integration/)')] },
  { kind: 'script', name: 'simulator', file: 'test/sim/suite.ts', args: ['--seeds', '2000'] },
  { kind: 'script', name: 'explorer', file: 'test/explore/run.ts', args: ['--json'] },
  { kind: 'jest', name: 'integration', args: [testsIn('integration/'), ...INTEGRATION_ARGS] },
]

/** The suite that runs a single file, as its own suite would. */
export function suiteOfFile(file: string, namePattern: string | undefined): JestSuite {
  const only = namePattern === undefined ? [] : ['--testNamePattern', namePattern]
  const circumstances = file.includes('test/integration/') ? INTEGRATION_ARGS : []
  return { kind: 'jest', name: file, args: ['--runTestsByPath', file, ...circumstances, ...only] }
}
