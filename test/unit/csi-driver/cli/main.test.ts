// Proves the words behind `forebay`: every command has full help, whatever is unknown is named with what was probably
// meant, every mistake ends with status 2 before anything happens, and --version says the version.
import { readFileSync } from 'node:fs'
import { COMMANDS, loadAll } from '../../../../csi-driver/cli/commands.ts'
import { runCommandLine } from '../../../../csi-driver/cli/main.ts'
import type { Terminal } from '../../../../csi-driver/cli/terminal.ts'

async function run(...words: string[]): Promise<{ status: number; out: string; err: string }> {
  const said = { out: '', err: '' }
  const terminal: Terminal = {
    out: (text) => (said.out += text),
    err: (text) => (said.err += text),
    interactive: false,
    interrupted: new AbortController().signal,
    holdInterrupts: () => {},
  }
  return { status: await runCommandLine(words, terminal), ...said }
}

test('without a word: the list of commands, and status 2', async () => {
  const { status, err } = await run()
  expect(err).toContain('Usage')
  expect(status).toBe(2)
})

test('--version and -V', async () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  expect(await run('--version')).toEqual({ status: 0, out: `forebay ${version}\n`, err: '' })
  expect((await run('-V')).out).toBe(`forebay ${version}\n`)
})

test('--help lists every command but the internal ones', async () => {
  const { status, out } = await run('--help')
  expect(status).toBe(0)
  for (const command of await loadAll()) {
    expect(out.includes(`  ${command.name} `)).toBe(!command.internal)
  }
  expect((await run('help')).out).toBe(out)
})

test.each([...COMMANDS.keys()])(
  '%s --help has usage, text, options and exit statuses, within 80 columns',
  async (name) => {
    const { status, out } = await run(name, '--help')
    expect(status).toBe(0)
    for (const part of [`forebay ${name} - `, 'Usage\n', 'Exit status\n']) expect(out).toContain(part)
    const described = out.split('Examples')[0] ?? ''
    const prose = described.split('\n').filter((line) => !/^(forebay| {2}forebay| {2}\d)/.test(line))
    expect(prose.filter((line) => line.length > 80)).toEqual([])
    expect((await run('help', name)).out).toBe(out)
    expect((await run(name, 'x', '--flag', '-h')).out).toBe(out)
  },
)

test.each([
  ['statsu', 'did you mean status?'],
  ['Serve', 'did you mean serve?'],
  ['xyzzyx', 'see: forebay --help'],
  ['', 'see: forebay --help'],
  ['x'.repeat(500), 'see: forebay --help'],
])('unknown command %p', async (word, expected) => {
  const { status, out, err } = await run(word)
  expect({ status, out }).toEqual({ status: 2, out: '' })
  expect(err).toContain(expected)
  expect(err.length).toBeLessThan(200)
})

test.each([
  [['status', '--ouput', 'json'], '--ouput is unknown; did you mean output?'],
  [['status', '--output', 'xml'], '--output is none of table, json'],
  [['status', '--output'], '--output needs a value'],
  [['status', 'a', 'b'], '"b" is one word too many'],
  [['status', 'UPPER'], 'VOLUME must be 1 to 63 of a-z'],
  [['status', '../etc'], 'VOLUME must be 1 to 63 of a-z'],
  [['status', '-w'], '-w is not a flag; flags begin with --'],
  [['policy'], 'VOLUME is missing'],
  [['policy', 'v'], 'POLICY is missing'],
  [['policy', 'v', 'writeback'], 'POLICY is neither write-back nor write-through'],
  [['drain'], 'VOLUME is missing'],
  [['stop', 'v', '--force'], '--force is unknown'],
  [['resize', 'v', '--state-dir', ''], '--state-dir is an empty path'],
  [['upgrade', 'v', '--quiesce', '5'], '--quiesce needs one of the units'],
  [['inspect'], 'PATH is missing'],
  [['inspect', ''], 'PATH is an empty path'],
  [['verify', '/c', '--backing'], '--backing needs a value'],
  [['cleanup', 'relative'], 'RUN-DIRECTORY is no absolute path'],
])('%j is refused', async (words, expected) => {
  const { status, out, err } = await run(...words)
  expect({ status, out }).toEqual({ status: 2, out: '' })
  expect(err).toContain(`forebay ${words[0]}: ${expected}`)
  expect(err).toContain(`Nothing was changed. See: forebay ${words[0]} --help`)
})

test.each([
  ['drain', 'v'],
  ['stop', 'v'],
  ['resize', 'v'],
  ['policy', 'v', 'write-back'],
])('%s %s of a volume that is not served is refused with what to do', async (...words) => {
  const { status, err } = await run(...words, '--state-dir', '/nonexistent/state')
  expect(status).toBe(2)
  expect(err).toContain('volume is not served here volume=v socket=/nonexistent/state/run/v.sock')
  expect(err).toContain('forebay status')
})

test('a path that is no build is refused before the volume is looked for', async () => {
  const { status, err } = await run('upgrade', 'v', '--build', '/etc')
  expect(status).toBe(2)
  expect(err).toContain('not a build of Forebay build=/etc')
})

test('status of nothing', async () => {
  expect(await run('status', '--state-dir', '/nonexistent/state')).toMatchObject({ status: 0, err: '' })
  const { out } = await run('status', '--output', 'json', '--state-dir', '/nonexistent/state')
  expect(JSON.parse(out)).toEqual([])
  const { status, err } = await run('status', 'v', '--state-dir', '/nonexistent/state')
  expect(status).toBe(2)
  expect(err).toContain('no such volume on this host volume=v')
})

test.each(['/nonexistent/cache', '/etc', '/etc/passwd', '/dev/null'])('inspect and verify refuse %s', async (path) => {
  for (const command of ['inspect', 'verify']) {
    const { status, out, err } = await run(command, path)
    expect({ status, out }).toEqual({ status: 2, out: '' })
    expect(err).toMatch(/no.* cache/)
  }
})
