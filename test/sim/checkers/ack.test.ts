// Proves that a write that is acknowledged before it stands in the log, or durably on the backing, is found; and that
// one that does is not.
import { AckChecker } from './ack.ts'
import { LogContents } from './log-contents.ts'
import { Stage } from './stage.ts'

function setUp(): { stage: Stage; checker: AckChecker } {
  const stage = new Stage()
  const log = new LogContents(stage.cache, stage.scene.logStart, stage.scene.logEnd)
  stage.cache.watchers.push(log)
  return { stage, checker: new AckChecker(stage.scene, log) }
}

describe('acknowledgement', () => {
  test('of a write that is in the log is right', async () => {
    const { stage, checker } = setUp()
    const write = stage.submit('write', 3, 2)
    await stage.log(write, 0)
    checker.onAcknowledge(write)
    expect(stage.found).toEqual([])
  })

  test('before the log write has ended is found', () => {
    const { stage, checker } = setUp()
    const write = stage.submit('write', 3, 2)
    stage.cachePort.write(stage.content(write.id, 3, 2), 0, 1024, stage.scene.logStart, () => undefined)
    checker.onAcknowledge(write)
    expect(stage.found).toEqual(['ack'])
  })

  test('of a write on the backing needs its flush only while nobody else sends one', async () => {
    const { stage, checker } = setUp()
    const write = stage.submit('write', 8, 8)
    await stage.destage(write)
    stage.mode = 'write-back'
    checker.onAcknowledge(write)
    expect(stage.found).toEqual([])
    stage.mode = 'write-through'
    checker.onAcknowledge(write)
    expect(stage.found).toEqual(['ack'])
  })

  test('with forced unit access needs the flush in any case', async () => {
    const { stage, checker } = setUp()
    stage.mode = 'write-back'
    const write = stage.submit('write', 8, 8, true)
    await stage.destage(write)
    checker.onAcknowledge(write)
    expect(stage.found).toEqual(['ack'])
    await stage.flush()
    checker.onAcknowledge(write)
    expect(stage.found).toEqual(['ack'])
  })

  test('of a write that a later one has replaced everywhere is right', async () => {
    const { stage, checker } = setUp()
    const first = stage.submit('write', 0, 1)
    const second = stage.submit('write', 0, 1)
    await stage.log(first, 0)
    await stage.log(second, 0)
    checker.onAcknowledge(first)
    expect(stage.found).toEqual([])
  })
})
