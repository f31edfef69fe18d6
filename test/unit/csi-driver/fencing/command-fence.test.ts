// Proves: the fence command's exit decides as DESIGN.md §7.7 says, it is told what to fence, and anything but the two
// agreed exits is no fence.
import { MemoryEventLog } from '../../../../base/log.ts'
import { CommandFence } from '../../../../csi-driver/fencing/command-fence.ts'
import { noFence } from '../../../../csi-driver/fencing/no-fence.ts'
import { toldFence } from '../../../../csi-driver/fencing/told-fence.ts'
import type { ProcessOptions, Processes } from '../../../../csi-driver/io/process.ts'

const ENTRY = { node: 'a', epoch: 7 }

function endingWith(exitCode: number | null) {
  const seen: { command: readonly string[]; options: ProcessOptions | undefined }[] = []
  const processes: Processes = {
    run: (command, options) => {
      seen.push({ command, options })
      return Promise.resolve({ exitCode, stdout: '', stderr: 'power unit: no answer' })
    },
  }
  return { fence: new CommandFence(processes, 'ipmi off $NODE', new MemoryEventLog()), seen }
}

test.each([
  [0, 'off'],
  [10, 'cut'],
] as const)('exit %d means %s', async (exitCode, proof) => {
  const { fence, seen } = endingWith(exitCode)
  expect(await fence.fence('db', ENTRY)).toBe(proof)
  expect(seen).toEqual([
    {
      command: ['/bin/sh', '-c', 'ipmi off $NODE'],
      options: expect.objectContaining({ env: { VOLUME: 'db', NODE: 'a', EPOCH: '7' } }),
    },
  ])
})

test.each([1, 2, 9, 11, 127, 255, null])('exit %s is no fence, and says what the command said', async (exitCode) => {
  const { fence } = endingWith(exitCode)
  await expect(fence.fence('db', ENTRY)).rejects.toMatchObject({
    kind: 'retry',
    code: 'CACHE_NOT_FENCED',
    message: expect.stringContaining('power unit: no answer'),
  })
})

test('without a fence nothing is fenced, and the refusal names takeover; what the user says counts as cut', async () => {
  await expect(noFence.fence('db', ENTRY)).rejects.toMatchObject({
    code: 'CACHE_NOT_FENCED',
    remedy: expect.stringContaining('forebay takeover db'),
  })
  expect(await toldFence.fence('db', ENTRY)).toBe('cut')
})
