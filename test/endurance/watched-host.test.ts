// Proves: a process is seen with its memory and descriptors, one more file is one more descriptor, and one that has ended is
// no error; files are counted in directories below one another, and what is not there counts nothing.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { diskFigures, processFigures } from './watched-host.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'forebay-watched-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

test('a process', async () => {
  const child = spawn('sleep', ['60'], { stdio: ['pipe', 'ignore', 'ignore'] })
  await once(child, 'spawn')
  const figures = await processFigures(child.pid ?? 0)
  expect(figures?.residentBytes).toBeGreaterThan(0)
  expect(figures?.waitedMs).toBeGreaterThanOrEqual(0)
  child.kill('SIGKILL')
  await once(child, 'close')
  expect(await processFigures(child.pid ?? 0)).toBeNull()
})

test('a file that is opened is one descriptor more', async () => {
  const openFiles = async (): Promise<number> => (await processFigures(process.pid))?.openFiles ?? 0
  const files = await Promise.all(Array.from({ length: 20 }, (_, i) => open(path.join(directory, `${i}`), 'w')))
  const more = await openFiles()
  await Promise.all(files.map((file) => file.close()))
  expect(more - (await openFiles())).toBeGreaterThanOrEqual(15)
})

test('files and their space', async () => {
  await mkdir(path.join(directory, 'a', 'b'), { recursive: true })
  await writeFile(path.join(directory, 'a', 'b', 'one'), Buffer.alloc(100_000, 1))
  const two = path.join(directory, 'two')
  await writeFile(two, 'x')
  const { files, bytes } = await diskFigures([path.join(directory, 'a'), two, path.join(directory, 'nowhere')])
  expect(files).toBe(2)
  expect(bytes).toBeGreaterThanOrEqual(100_000)
})
