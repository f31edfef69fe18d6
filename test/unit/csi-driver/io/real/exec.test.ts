// Proves with real programs that a run never rejects and always ends: exit codes, input, environment, inherited
// descriptors, output limits, time limits that also reach the children of a script and a child that ignores them.
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { OUTPUT_BYTES_MAX } from '../../../../../csi-driver/io/process.ts'
import { RealProcesses } from '../../../../../csi-driver/io/real/exec.ts'

const processes = new RealProcesses()
const sh = (script: string): string[] => ['/bin/sh', '-c', script]

test('exit code, output, working directory, and no input', async () => {
  const result = await processes.run(sh('pwd; cat; echo oops >&2; exit 3'))
  expect(result).toEqual({ exitCode: 3, stdout: '/\n', stderr: 'oops\n' })
})

test('arguments pass no shell', async () => {
  expect(await processes.run(['printf', '%s|', 'a b', '$HOME', '*'])).toMatchObject({ stdout: 'a b|$HOME|*|' })
})

test('input and environment', async () => {
  const result = await processes.run(sh('cat; printf %s "$VOLUME $LC_ALL"'), {
    stdin: 'täglich\n',
    env: { VOLUME: 'tank' },
  })
  expect(result).toMatchObject({ exitCode: 0, stdout: 'täglich\ntank C' })
})

test('a program that does not read its input is no error', async () => {
  expect(await processes.run(['true'], { stdin: 'x'.repeat(1_000_000) })).toMatchObject({ exitCode: 0 })
})

test('descriptors are passed on in order', async () => {
  const file = path.join(tmpdir(), `forebay-exec-${process.pid}`)
  const handle = await open(file, 'w+')
  try {
    expect(await processes.run(sh('echo three >&3; echo four >&4'), { passFds: [handle.fd, handle.fd] })).toMatchObject(
      { exitCode: 0 },
    )
    expect((await handle.stat()).size).toBe(11)
  } finally {
    await handle.close()
    await rm(file)
  }
})

test('a program that is missing ends like in a shell', async () => {
  const result = await processes.run(['/nonexistent/program'])
  expect(result).toMatchObject({ exitCode: 127, stderr: expect.stringContaining('ENOENT') })
  expect(await processes.run([])).toMatchObject({ exitCode: 127 })
})

test('a killed program has no exit code', async () => {
  expect(await processes.run(sh('kill -9 $$'))).toMatchObject({ exitCode: null })
})

test('a time limit kills a script together with its children, and what was printed stays', async () => {
  const result = await processes.run(sh('echo begun; sleep 1000 & echo $!; wait'), { timeoutMs: 300 })
  expect(result).toMatchObject({ exitCode: null, stdout: expect.stringContaining('begun') })
  const child = Number(result.stdout.split('\n')[1])
  // The kill is asynchronous: wait until the child is gone or a zombie of somebody else.
  const state = (): Promise<{ stdout: string }> => processes.run(['ps', '-o', 'state=', '-p', String(child)])
  while (!/^Z?\s*$/u.test((await state()).stdout)) await processes.run(['sleep', '0.02'])
})

test('a child that keeps the pipes open in another process group is abandoned', async () => {
  const result = await processes.run(sh('setsid sleep 5 & echo started'), { timeoutMs: 300 })
  expect(result).toEqual({ exitCode: null, stdout: 'started\n', stderr: '' })
})

test('endless output is cut at its limit', async () => {
  const result = await processes.run(['yes'])
  expect(result.exitCode).toBeNull()
  expect(result.stdout).toHaveLength(OUTPUT_BYTES_MAX)
})
