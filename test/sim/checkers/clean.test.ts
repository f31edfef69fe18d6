// Proves that dirty=false in the register, an acknowledgement under it, and the end of a drain are each refused while
// the backing alone does not hold every acknowledged write durably.
import type { RegisterRecord } from '../../../csi-driver/register/record.ts'
import { CleanChecker } from './clean.ts'
import { Stage } from './stage.ts'

function setUp(): { stage: Stage; checker: CleanChecker } {
  const stage = new Stage()
  return { stage, checker: new CleanChecker(stage.scene) }
}

const clean = { dirty: false, rv: 7 } as RegisterRecord
const dirty = { dirty: true, rv: 7 } as RegisterRecord

describe('a clean register', () => {
  test('is refused while an acknowledged write is only in the log', async () => {
    const { stage, checker } = setUp()
    const write = stage.submit('write', 0, 4)
    await stage.log(write, 0)
    stage.acknowledge(write)
    checker.onRegister(dirty)
    expect(stage.found).toEqual([])
    checker.onRegister(clean)
    expect(stage.found).toEqual(['clean'])
  })

  test('is refused while the backing was not flushed', async () => {
    const { stage, checker } = setUp()
    const write = stage.submit('write', 0, 4)
    await stage.destage(write)
    stage.acknowledge(write)
    checker.onDrained()
    expect(stage.found).toEqual(['clean'])
  })

  test('is right after destage and flush, and with a write that its users still have to flush', async () => {
    const { stage, checker } = setUp()
    const write = stage.submit('write', 0, 4)
    await stage.destage(write)
    await stage.flush()
    stage.acknowledge(write)
    const unflushed = stage.submit('write', 8, 1)
    await stage.destage(unflushed)
    stage.acknowledge(unflushed, false)
    checker.onRegister(clean)
    expect(stage.found).toEqual([])
  })

  test('forbids to acknowledge from the log', async () => {
    const { stage, checker } = setUp()
    stage.registerDirty = false
    const write = stage.submit('write', 0, 4)
    await stage.log(write, 0)
    checker.onAcknowledge(write)
    expect(stage.found).toEqual(['clean'])
  })

  test('does not object to what is on the backing', async () => {
    const { stage, checker } = setUp()
    stage.registerDirty = false
    const write = stage.submit('write', 0, 4)
    await stage.destage(write)
    checker.onAcknowledge(write)
    expect(stage.found).toEqual([])
  })
})
