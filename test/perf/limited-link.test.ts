// Proves: the two hosts see each other over a wire of the wanted speed, and whatever fails leaves no namespace behind.
import { spawnSync } from 'node:child_process'
import { testOn } from '../run/requires.ts'
import { runProgram } from './fio.ts'
import { GBIT_1, LimitedLink } from './limited-link.ts'

const hasTools = ['ip', 'tc'].every((program) => spawnSync(program, ['-V']).status === 0)
const obstacle = process.getuid?.() !== 0 ? 'not root' : hasTools ? undefined : 'no iproute2'
const onKernel = testOn(obstacle)

/** A scaffold of its own, since the real one takes the signals of the process. */
function undoing(): {
  later: (what: string, undo: () => Promise<unknown>) => void
  signal: AbortSignal
  undo(): Promise<void>
} {
  const undoings: (() => Promise<unknown>)[] = []
  return {
    later: (_, undo) => void undoings.push(undo),
    signal: new AbortController().signal,
    async undo() {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in reverse order
      for (const undo of undoings.toReversed()) await undo()
    },
  }
}

async function ourNamespaces(): Promise<string[]> {
  const names = (await runProgram('ip', ['netns', 'list'])).split('\n').map((line) => line.split(' ')[0] ?? '')
  return names.filter((name) => name.startsWith(`fb${process.pid}-`))
}

onKernel('two hosts and the wire between them, gone afterwards', async () => {
  const scaffold = undoing()
  try {
    const hosts = await LimitedLink.open(scaffold, GBIT_1)
    const [program = '', ...args] = hosts.on('owner', ['ip', 'route', 'get', hosts.addressOf('peer')])
    expect(await runProgram(program, args)).toContain('dev owner')
    const [owner = ''] = await ourNamespaces()
    expect(await runProgram('tc', ['-n', owner, 'qdisc', 'show'])).toContain('rate 1Gbit')
  } finally {
    await scaffold.undo()
  }
  expect(await ourNamespaces()).toEqual([])
})

onKernel('a wire that cannot be made leaves nothing', async () => {
  const scaffold = undoing()
  await expect(LimitedLink.open(scaffold, { ...GBIT_1, burst: 'none' })).rejects.toThrow('tc ended')
  expect(await ourNamespaces()).toHaveLength(2)
  await scaffold.undo()
  expect(await ourNamespaces()).toEqual([])
})
