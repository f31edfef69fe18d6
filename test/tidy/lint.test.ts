// Proves that every important rule of .oxlintrc.json sees what it forbids, and that its exceptions hold.
//
// How: a tree with one bad file per row is linted with the real configuration; each row must be reported under its rule
// at its file. The rows with `ok` hold the same text in a place where it is allowed and must not be reported.

import { plantTree, removeTree, runTool } from './planted-tree.ts'

type Row = readonly [rule: string, path: string, text: string]

const body = (line: string, count: number): string => `${line}\n`.repeat(count)
const clock = 'export const now = (): number => Date.now()\n'
const blocking = "import { readFileSync } from 'node:fs'\nexport const text = readFileSync('x', 'utf8')\n"
const spoken = "export const say = (): void => console.log('x')\n"
const branches = (count: number): string =>
  `export function f(n: number): number {\n${body('  if (n > 1) n -= 1', count)}  return n\n}\n`

const BAD: readonly Row[] = [
  ['no-floating-promises', 'csi-driver/node/floating.ts', 'export const f = (): void => {\n  Promise.resolve(1)\n}\n'],
  [
    'no-misused-promises',
    'csi-driver/node/misused.ts',
    'const f = async (): Promise<boolean> => true\nexport const g = (): number => (f() ? 1 : 2)\n',
  ],
  [
    'switch-exhaustiveness-check',
    'base/switch.ts',
    "export function f(s: 'a' | 'b'): number {\n  switch (s) {\n    case 'a':\n      return 1\n  }\n  return 2\n}\n",
  ],
  ['only-throw-error', 'base/throw.ts', "export const f = (): never => {\n  throw 'text'\n}\n"],
  ['no-explicit-any', 'base/any.ts', 'export const f = (a: any): unknown => a\n'],
  ['no-non-null-assertion', 'base/bang.ts', 'export const f = (a: number[]): number => a[0]!\n'],
  ['consistent-type-imports', 'base/kinds.ts', "import { T } from './good.ts'\nexport const f = (t: T): T => t\n"],
  ['no-console', 'base/console.ts', spoken],
  ['no-sync', 'csi-driver/node/sync.ts', blocking],
  ['max-lines', 'csi-driver/node/long.ts', body('export {}', 501)],
  ['max-lines-per-function', 'base/long.ts', `export function f(): void {\n${body('  void 0', 70)}}\n`],
  ['max-params', 'base/params.ts', 'export const f = (a: 1, b: 2, c: 3, d: 4, e: 5): number => a + b + c + d + e\n'],
  [
    'max-depth',
    'base/depth.ts',
    'export const f = (n: number): void => {\n  if (n) { if (n > 1) { if (n > 2) { if (n > 3) void n } } }\n}\n',
  ],
  ['complexity', 'base/branches.ts', branches(12)],
  ['complexity', 'csi-driver/engine/branches.ts', branches(16)],
  [
    'no-shadow',
    'base/shadow.ts',
    'const a = 1\nexport const f = (): number => {\n  const a = 2\n  return a\n}\nvoid a\n',
  ],
  ['no-restricted-globals', 'base/date.ts', clock],
  ['no-restricted-globals', 'csi-driver/frontend/date.ts', clock],
  ['no-restricted-globals', 'csi-driver/engine/date.ts', clock],
  ['no-restricted-globals', 'csi-driver/protocol/date.ts', clock],
  ['no-restricted-globals', 'csi-driver/journal/date.ts', clock],
  ['no-restricted-globals', 'csi-driver/backing/date.ts', clock],
  ['no-restricted-globals', 'csi-driver/register/date.ts', clock],
  ['no-restricted-globals', 'csi-driver/batch/date.ts', clock],
  ['no-restricted-globals', 'csi-driver/io/date.ts', clock],
  ['no-restricted-globals', 'operator/policy/date.ts', clock],
  ['no-restricted-globals', 'test/sim/date.ts', clock],
  ...['performance', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'process', 'fetch'].map(
    (name): Row => ['no-restricted-globals', `base/take-${name}.ts`, `export const taken = ${name}\n`],
  ),
  ['no-restricted-properties', 'base/random.ts', 'export const f = (): number => Math.random()\n'],
  ['no-restricted-properties', 'base/uuid.ts', 'export const f = (): string => crypto.randomUUID()\n'],
]

const OK: readonly Row[] = [
  ['no-restricted-globals', 'csi-driver/io/real/system-clock.ts', clock],
  ['no-restricted-globals', 'csi-driver/observe/date.ts', clock],
  ['no-sync', 'csi-driver/io/real/read.ts', blocking],
  ['no-sync', 'csi-driver/cli/read.ts', blocking],
  ['no-console', 'csi-driver/cli/say.ts', spoken],
  ['complexity', 'base/few-branches.ts', branches(11)],
  ['complexity', 'csi-driver/engine/few-branches.ts', branches(15)],
  ['anything', 'base/good.ts', 'export interface T {\n  readonly a: number\n}\n'],
]

interface Diagnostic {
  code: string
  filename: string
}

function lint(rows: readonly Row[]): Diagnostic[] {
  const root = plantTree(Object.fromEntries(rows.map(([, path, text]) => [path, text])))
  try {
    const folders = [...new Set(rows.map(([, path]) => path.split('/')[0] ?? ''))]
    const report = JSON.parse(runTool('oxlint', ['--format', 'json', ...folders], root)) as {
      diagnostics: Diagnostic[]
    }
    return report.diagnostics
  } finally {
    removeTree(root)
  }
}

describe('lint rules', () => {
  const diagnostics = lint([...BAD, ...OK])

  test.each(BAD)('%s is reported for %s', (rule, path) => {
    const reported = diagnostics.filter(({ filename }) => filename.endsWith(path)).map(({ code }) => code)
    expect(reported).toContainEqual(expect.stringContaining(`(${rule})`))
  })

  test.each(OK)('%s is not reported for %s', (_rule, path) => {
    expect(diagnostics.filter(({ filename }) => filename.endsWith(path))).toEqual([])
  })
})
