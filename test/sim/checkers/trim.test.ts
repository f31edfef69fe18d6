// Proves that log space used again for a record that the backing does not durably hold is found, and that it is right
// after the flush, for a replaced version, and for a write that nobody was promised.
import { LogContents } from './log-contents.ts'
import { Stage } from './stage.ts'
import { TrimChecker } from './trim.ts'

function setUp(): Stage {
  const stage = new Stage()
  const log = new LogContents(stage.cache, stage.scene.logStart, stage.scene.logEnd)
  stage.cache.watchers.push(log)
  // oxlint-disable-next-line eslint/no-new -- it listens to the log from now on
  new TrimChecker(stage.scene, log)
  return stage
}

describe('space of the log', () => {
  test('used again before the destage is found', async () => {
    const stage = setUp()
    const write = stage.submit('write', 0, 1)
    await stage.log(write, 0)
    stage.acknowledge(write)
    await stage.log(stage.submit('write', 9, 1), 0)
    expect(stage.found).toEqual(['trim'])
  })

  test('used again before the flush is found', async () => {
    const stage = setUp()
    const write = stage.submit('write', 0, 1)
    await stage.log(write, 0)
    stage.acknowledge(write)
    await stage.destage(write)
    await stage.log(stage.submit('write', 9, 1), 0)
    expect(stage.found).toEqual(['trim'])
  })

  test('may be used again after destage and flush', async () => {
    const stage = setUp()
    const write = stage.submit('write', 0, 1)
    await stage.log(write, 0)
    stage.acknowledge(write)
    await stage.destage(write)
    await stage.flush()
    await stage.log(stage.submit('write', 9, 1), 0)
    expect(stage.found).toEqual([])
  })

  test('may be used again when a newer version stands in the log', async () => {
    const stage = setUp()
    const write = stage.submit('write', 0, 1)
    await stage.log(write, 0)
    stage.acknowledge(write)
    await stage.log(stage.submit('write', 0, 1), 1)
    await stage.log(stage.submit('write', 9, 1), 0)
    expect(stage.found).toEqual([])
  })

  test('may be used again when nobody was promised the record', async () => {
    const stage = setUp()
    await stage.log(stage.submit('write', 0, 1), 0)
    await stage.log(stage.submit('write', 9, 1), 0)
    expect(stage.found).toEqual([])
  })
})
