// Proves that two backing writes of one 4 KiB block at a time are found, and any byte on the backing that no user
// wrote to that place.
import { BackingWritesChecker } from './backing-writes.ts'
import { Stage } from './stage.ts'

function setUp(): Stage {
  const stage = new Stage()
  stage.backing.watchers.push(new BackingWritesChecker(stage.scene))
  return stage
}

const ignored = (): void => undefined

describe('writes to the backing', () => {
  test('of different sectors of one block at a time are found', () => {
    const stage = setUp()
    const [first, second] = [stage.submit('write', 0, 1), stage.submit('write', 7, 1)]
    stage.backingPort.write(stage.content(first.id, 0, 1), 0, 512, 0, ignored)
    stage.backingPort.write(stage.content(second.id, 7, 1), 0, 512, 7 * 512, ignored)
    expect(stage.found).toEqual(['backing-writes'])
  })

  test('of neighbouring blocks at a time are right, and of one block one after the other', async () => {
    const stage = setUp()
    const [first, second] = [stage.submit('write', 7, 1), stage.submit('write', 8, 1)]
    stage.backingPort.write(stage.content(first.id, 7, 1), 0, 512, 7 * 512, ignored)
    stage.backingPort.write(stage.content(second.id, 8, 1), 0, 512, 8 * 512, ignored)
    await stage.world.run(() => false, 100)
    await stage.destage(first)
    expect(stage.found).toEqual([])
  })

  test('of a dead engine still in flight count', () => {
    const stage = setUp()
    const write = stage.submit('write', 0, 8)
    stage.backingPort.write(stage.content(write.id, 0, 8), 0, 4096, 0, ignored)
    stage.process.die()
    stage.restart()
    stage.backingPort.write(stage.content(write.id, 0, 8), 0, 4096, 0, ignored)
    expect(stage.found).toEqual(['backing-writes'])
  })

  test('of content that belongs elsewhere are found', () => {
    const stage = setUp()
    const write = stage.submit('write', 0, 2)
    stage.backingPort.write(stage.content(write.id, 0, 2), 0, 512, 512, ignored)
    expect(stage.found).toEqual(['foreign-write'])
  })

  test('of content that nobody wrote are found', () => {
    const stage = setUp()
    stage.backingPort.write(Buffer.from(new ArrayBuffer(4096)).fill(7), 0, 4096, 0, ignored)
    expect(stage.found).toEqual(['foreign-write'])
  })

  test('of zeros are right only where a user asked for them', () => {
    const stage = setUp()
    stage.submit('zero', 0, 8)
    stage.backingPort.zero([{ position: 0, length: 4096 }], ignored)
    expect(stage.found).toEqual([])
    stage.backingPort.zero([{ position: 8192, length: 4096 }], ignored)
    expect(stage.found).toEqual(['foreign-write'])
  })
})
