// Proves with real files that the file register is a compare-and-swap cell: one winner among many writers, an own link whose
// reply was lost is recognised, versions are never removed, a sick directory is neither "absent" nor a conflict, damage is
// reported, and a hung or killed child leaves an unknown outcome.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { crc32 } from '../../../../base/crc32.ts'
import type { ProcessOptions, ProcessResult, Processes } from '../../../../csi-driver/io/process.ts'
import { RealProcesses } from '../../../../csi-driver/io/real/exec.ts'
import { FileRegister, listVolumes } from '../../../../csi-driver/register/file-register.ts'
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'
import { encodeRecord } from '../../../../csi-driver/register/record-codec.ts'
import { type RegisterPaths, registerPathsOf } from '../../../../csi-driver/register/register-paths.ts'
import { aRecord } from './records.ts'

const real = new RealProcesses()
let stateDirectory = ''
let paths: RegisterPaths

beforeEach(async () => {
  stateDirectory = await mkdtemp(path.join(tmpdir(), 'forebay-register '))
  paths = registerPathsOf(stateDirectory)
})
afterEach(async () => {
  await rm(stateDirectory, { recursive: true })
})

function registerOf(volume = 'tank', processes: Processes = real): FileRegister {
  return new FileRegister({ processes, paths, volume })
}

function version(rv: number, changes: Partial<RegisterRecord> = {}): RegisterRecord {
  return aRecord({ rv, changeId: rv.toString(16).padStart(16, '0'), ...changes })
}

async function filesOf(volume = 'tank'): Promise<string[]> {
  return (await readdir(paths.volumeDirectory(volume))).toSorted()
}

/** Programs of this host, with something in between. */
function through(run: (command: readonly string[], options?: ProcessOptions) => Promise<ProcessResult>): Processes {
  return { run }
}

test('versions follow one another, old names stay, files are private', async () => {
  const register = registerOf()
  expect(await register.read()).toBeNull()
  expect(await register.compareAndSwap(0, version(1))).toBe('applied')
  expect(await register.compareAndSwap(1, version(2))).toBe('applied')
  expect(await register.read()).toEqual(version(2))
  expect(await register.compareAndSwap(1, version(2, { lastSeq: 1 }))).toBe('conflict')
  expect(await register.compareAndSwap(5, version(6))).toBe('conflict')
  expect(await filesOf()).toEqual(['tank.0000000000000001', 'tank.0000000000000002'])
  expect((await stat(paths.recordFile('tank', 2))).mode & 0o777).toBe(0o600)
  expect((await stat(paths.volumeDirectory('tank'))).mode & 0o777).toBe(0o700)
  expect(await readFile(paths.recordFile('tank', 2), 'utf8')).toBe(`${encodeRecord(version(2))}\n`)
})

test('of many writers one wins, and everybody reads its record', async () => {
  const writers = [...Array(8).keys()].map((i) => ({
    register: registerOf(),
    record: version(1, { changeId: `000000000000010${i}` }),
  }))
  const replies = await Promise.all(writers.map(({ register, record }) => register.compareAndSwap(0, record)))
  expect(replies.toSorted()).toEqual(['applied', ...Array<string>(7).fill('conflict')])
  expect(await registerOf().read()).toEqual(writers[replies.indexOf('applied')]?.record)
  expect(await filesOf()).toEqual(['tank.0000000000000001'])
})

test('an own link whose reply was lost is recognised by its content', async () => {
  const lossy = through(async (command, options) => ({ ...(await real.run(command, options)), exitCode: null }))
  expect(await registerOf('tank', lossy).compareAndSwap(0, version(1))).toBe('unknown')
  expect(await registerOf().compareAndSwap(0, version(1))).toBe('applied')
  expect(await registerOf().compareAndSwap(1, version(2))).toBe('applied')
  expect(await registerOf().compareAndSwap(0, version(1))).toBe('conflict')
})

test('a leftover of a crash disturbs nothing and goes with the next version', async () => {
  await registerOf().compareAndSwap(0, version(1))
  await writeFile(`${paths.volumeDirectory('tank')}/.next.0000000000000002.00000000000000ff.77`, 'torn')
  expect(await registerOf().read()).toEqual(version(1))
  expect(await registerOf().compareAndSwap(1, version(2))).toBe('applied')
  expect(await registerOf().compareAndSwap(2, version(3))).toBe('applied')
  expect(await filesOf()).toEqual([1, 2, 3].map((rv) => `tank.000000000000000${rv}`))
})

test('a hundred versions and more are read by number, not by length of name', async () => {
  const register = registerOf()
  await register.compareAndSwap(0, version(1))
  for (const rv of [9, 10, 99, 100]) await writeFile(paths.recordFile('tank', rv), `${encodeRecord(version(rv))}\n`)
  expect(await register.read()).toEqual(version(100))
  expect(await register.compareAndSwap(100, version(101))).toBe('applied')
})

test('what cannot be read is not absent, and what cannot be written has not happened', async () => {
  await writeFile(path.join(stateDirectory, 'registers'), 'a file where the directory should be')
  await expect(registerOf().read()).rejects.toMatchObject({ kind: 'retry', code: 'CACHE_REGISTER_UNAVAILABLE' })
  await expect(registerOf().compareAndSwap(0, version(1))).rejects.toMatchObject({ kind: 'retry' })
  await expect(listVolumes(real, paths)).rejects.toMatchObject({ kind: 'retry' })
})

test('a damaged newest version is reported with its path, never skipped', async () => {
  await registerOf().compareAndSwap(0, version(1))
  await writeFile(paths.recordFile('tank', 2), encodeRecord(version(2)).slice(0, 100))
  await expect(registerOf().read()).rejects.toMatchObject({
    kind: 'corrupt',
    code: 'CACHE_REGISTER_CORRUPT',
    message: expect.stringContaining(paths.recordFile('tank', 2)),
  })
})

test('a record under the name of another version or volume is damage', async () => {
  await registerOf().compareAndSwap(0, version(1))
  await writeFile(paths.recordFile('tank', 7), encodeRecord(version(1)))
  await expect(registerOf().read()).rejects.toMatchObject({ message: expect.stringContaining('rv=1') })
  await mkdir(paths.volumeDirectory('pond'))
  await writeFile(paths.recordFile('pond', 1), encodeRecord(version(1)))
  await expect(registerOf('pond').read()).rejects.toMatchObject({ message: expect.stringContaining('volume=tank') })
})

test('a child that hangs: reading is to be retried, changing is unknown', async () => {
  const hung = through(async () => ({ exitCode: null, stdout: '', stderr: '' }))
  await expect(registerOf('tank', hung).read()).rejects.toMatchObject({
    kind: 'retry',
    message: expect.stringContaining('no answer within'),
  })
  expect(await registerOf('tank', hung).compareAndSwap(0, version(1))).toBe('unknown')
})

test('a link that fails for another reason than its name existing is unknown', async () => {
  const tools = path.join(stateDirectory, 'tools')
  await mkdir(tools)
  await writeFile(path.join(tools, 'ln'), '#!/bin/sh\necho broken >&2\nexit 1\n')
  await chmod(path.join(tools, 'ln'), 0o755)
  const sick = through((command, options) => real.run(command, { ...options, env: { PATH: `${tools}:/usr/bin:/bin` } }))
  expect(await registerOf('tank', sick).compareAndSwap(0, version(1))).toBe('unknown')
  expect(await registerOf().read()).toBeNull()
})

test('a directory that cannot be synced is never acted on', async () => {
  await registerOf().compareAndSwap(0, version(1))
  const tools = path.join(stateDirectory, 'tools')
  await mkdir(tools)
  await writeFile(path.join(tools, 'sync'), '#!/bin/sh\n[ -d "$1" ] && exit 1\nexec /bin/sync "$@"\n')
  await chmod(path.join(tools, 'sync'), 0o755)
  const sick = through((command, options) => real.run(command, { ...options, env: { PATH: `${tools}:/usr/bin:/bin` } }))
  await expect(registerOf('tank', sick).read()).rejects.toMatchObject({ kind: 'retry' })
  expect(await registerOf('tank', sick).compareAndSwap(1, version(2))).toBe('unknown')
})

test.each([0, 1, 100, -1])(
  'a record that comes cut short, since its writer died, is no version length=%i',
  async (end) => {
    await registerOf().compareAndSwap(0, version(1))
    const cut = through((command, options) =>
      real.run(command, { ...options, stdin: (options?.stdin ?? '').slice(0, end) }),
    )
    await expect(registerOf('tank', cut).compareAndSwap(1, version(2))).rejects.toMatchObject({ kind: 'retry' })
    expect(await filesOf()).toEqual(['tank.0000000000000001'])
    expect(await registerOf().compareAndSwap(1, version(2))).toBe('applied')
  },
)

test('a version of a newer format is no damage, and nothing of it is quoted', async () => {
  const register = registerOf()
  await register.compareAndSwap(0, version(1))
  const { volumeKey, ...rest } = version(2)
  const body = JSON.stringify({ ...rest, formatVersion: 2, keys: [volumeKey] }).slice(0, -1)
  const checksum = crc32(Buffer.from(body), 0, body.length).toString(16).padStart(8, '0')
  await writeFile(`${paths.volumeDirectory('tank')}/tank.0000000000000002`, `${body},"checksum":"${checksum}"}\n`)
  const refused: unknown = await register.read().catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'CACHE_REGISTER_NEWER', remedy: expect.stringContaining('update') })
  expect(String(refused)).toContain('formatVersion=2')
  expect(String(refused)).not.toContain(volumeKey)
})

test('all volumes are listed, a damaged one in its place', async () => {
  expect(await listVolumes(real, paths)).toEqual([])
  await registerOf().compareAndSwap(0, version(1))
  await registerOf().compareAndSwap(1, version(2))
  await registerOf('lake').compareAndSwap(0, version(1, { volume: 'lake' }))
  await mkdir(paths.volumeDirectory('empty'))
  await mkdir(paths.volumeDirectory('bad'))
  await writeFile(paths.recordFile('bad', 1), 'no\nrecord\tat all\n')
  await writeFile(path.join(paths.directory, 'stray file'), 'x')
  const problems = expect.arrayContaining([expect.stringContaining('not a record')])
  expect(await listVolumes(real, paths)).toEqual([
    { volume: 'bad', problems },
    { volume: 'lake', record: version(1, { volume: 'lake' }) },
    { volume: 'tank', record: version(2) },
  ])
})

test('a volume name that is a path is a programmer error', () => {
  expect(() => registerOf('../etc')).toThrow('volume name')
})
