// Proves that many zeroes at once take few children, that each caller hears of his own ranges only, and that all are
// answered once.
import type { ProcessOptions, ProcessResult } from '../../../../../csi-driver/io/process.ts'
import { DescriptorBacking, ZERO_CHILDREN_MAX } from '../../../../../csi-driver/io/real/descriptor-backing.ts'

const BLOCK = 4096

/** Children that end when the test says so. */
class Children {
  readonly inputs: string[] = []
  running = 0
  mostAtOnce = 0
  private ends: (() => void)[] = []
  private readonly failing: string

  constructor(failing = 'none') {
    this.failing = failing
  }

  run(_command: readonly string[], { stdin = '' }: ProcessOptions = {}): Promise<ProcessResult> {
    this.inputs.push(stdin)
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.running)
    return new Promise((resolve) =>
      this.ends.push(() => {
        this.running--
        const exitCode = stdin.includes(this.failing) ? 1 : 0
        resolve({ exitCode, stdout: '', stderr: exitCode === 0 ? '' : 'fallocate: Input/output error' })
      }),
    )
  }

  async endAll(): Promise<void> {
    while (this.running > 0) {
      for (const end of this.ends.splice(0)) end()
      // oxlint-disable-next-line eslint/no-await-in-loop -- the next ones start
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

function backingOver(processes: Children): DescriptorBacking {
  const sizeBytes = 1000 * BLOCK
  const readSize = (): Promise<number> => Promise.resolve(sizeBytes)
  return new DescriptorBacking({
    ...{ fd: -1, name: 'b', sizeBytes, alignmentBytes: 512 },
    ...{ canZero: true, processes, readSize },
  })
}

async function zeroBlocks(children: Children, count: number): Promise<(string | null)[][]> {
  const backing = backingOver(children)
  const answers: (string | null)[][] = Array.from({ length: count }, () => [])
  for (let i = 0; i < count; i++) {
    backing.zero([{ position: i * BLOCK, length: BLOCK }], (error) => answers[i]?.push(error?.code ?? null))
  }
  await children.endAll()
  return answers
}

test('what comes while children are at work goes together', async () => {
  const children = new Children()
  expect(await zeroBlocks(children, 240)).toEqual(Array.from({ length: 240 }, () => [null]))
  expect(children.mostAtOnce).toBe(ZERO_CHILDREN_MAX)
  expect(children.inputs.length).toBeLessThan(ZERO_CHILDREN_MAX + 240 / 32)
  const lines = children.inputs.flatMap((input) => input.split('\n').slice(0, -1))
  expect(new Set(lines).size).toBe(240)
})

test('who asked for the range that failed hears of it, and nobody else', async () => {
  const answers = await zeroBlocks(new Children(`${20 * BLOCK} ${BLOCK}`), 40)
  expect(answers).toEqual(Array.from({ length: 40 }, (_, i) => [i === 20 ? 'EIO' : null]))
})
