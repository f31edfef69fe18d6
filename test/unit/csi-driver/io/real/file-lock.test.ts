// Proves that a lock taken by way of flock(1) is ours until we let go, is seen by others, and needs no waiting.
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { RealProcesses } from '../../../../../csi-driver/io/real/exec.ts'
import { type FileLock, takeFileLock } from '../../../../../csi-driver/io/real/file-lock.ts'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-lock-'))
const file = path.join(directory, 'sub', 'one.lock')
const processes = new RealProcesses()
afterAll(() => fs.rmSync(directory, { recursive: true }))

test('taken, held against others, free again', async () => {
  expect(await takeFileLock(processes, file, false)).toBe('missing')
  const lock = (await takeFileLock(processes, file, true)) as FileLock
  await lock.note('42 somebody 43\n')
  expect(fs.readFileSync(file, 'utf8')).toBe('42 somebody 43\n')
  expect(await takeFileLock(processes, file, true)).toBe('held')
  expect(spawnSync('flock', ['--nonblock', file, 'true']).status).toBe(1)
  await lock.release()
  expect(execFileSync('flock', ['--nonblock', file, 'echo', 'free'], { encoding: 'utf8' })).toBe('free\n')
})

test('a lock file that cannot be made, and no flock program', async () => {
  await expect(takeFileLock(processes, `${file}/below-a-file.lock`, true)).rejects.toMatchObject({ code: 'CACHE_LOCK' })
  const without = { run: () => Promise.resolve({ exitCode: 127, stdout: '', stderr: 'not found' }) }
  await expect(takeFileLock(without, file, true)).rejects.toMatchObject({
    code: 'CACHE_LOCK',
    remedy: expect.stringContaining('util-linux') as string,
  })
})
