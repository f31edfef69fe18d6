// Proves that a backing image at a checkpoint that shows a write and misses one acknowledged before it was submitted is
// found, and that a cut through concurrent writes is not.
import { GenerationChecker } from './generation.ts'
import { Stage } from './stage.ts'

/** A checkpoint is a write to the first bytes of the cache; its first byte is the number up to which all is destaged. */
function setUp(): { stage: Stage; checker: GenerationChecker; checkpoint: (number: number) => void } {
  const stage = new Stage()
  const checker = new GenerationChecker(stage.scene, (data) => data[0] as number)
  stage.cache.watchers.push(checker)
  stage.backing.watchers.push(checker)
  const checkpoint = (number: number): void => {
    const buffer = Buffer.from(new ArrayBuffer(4096)).fill(number)
    stage.cachePort.write(buffer, 0, 4096, 0, () => undefined)
  }
  checkpoint(1)
  return { stage, checker, checkpoint }
}

describe('the backing alone at a checkpoint', () => {
  test('must not show a write without the one acknowledged before it', async () => {
    const { stage, checkpoint } = setUp()
    const first = stage.submit('write', 0, 1)
    stage.acknowledge(first)
    const second = stage.submit('write', 8, 1)
    stage.acknowledge(second)
    await stage.destage(second)
    await stage.flush()
    checkpoint(2)
    expect(stage.found).toEqual(['generation'])
  })

  test('may show any of the writes that were outstanding together', async () => {
    const { stage, checker, checkpoint } = setUp()
    const first = stage.submit('write', 0, 1)
    const second = stage.submit('write', 8, 1)
    stage.acknowledge(first)
    stage.acknowledge(second)
    await stage.destage(second)
    await stage.flush()
    checkpoint(2)
    expect(stage.found).toEqual([])
    expect(checker.images).toBe(1)
  })

  test('is not looked at between checkpoints, before the flush, or after through-writes', async () => {
    const { stage, checker, checkpoint } = setUp()
    const first = stage.submit('write', 0, 1)
    stage.acknowledge(first)
    const second = stage.submit('write', 8, 1)
    await stage.destage(second)
    checkpoint(2)
    await stage.flush()
    checkpoint(2)
    checker.pureWriteBack = false
    checkpoint(3)
    expect(stage.found).toEqual([])
    expect(checker.images).toBe(0)
  })
})
