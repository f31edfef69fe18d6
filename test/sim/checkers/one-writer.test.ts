// Proves that epochs and runs that do not grow, and I/O of two engines on one disk at once, are found.
import type { RegisterRecord } from '../../../csi-driver/register/record.ts'
import type { VolumeStatus } from './checker.ts'
import { OneWriterChecker } from './one-writer.ts'
import { Stage } from './stage.ts'

const status = (epoch: number, run: number): VolumeStatus => ({
  phase: 'WriteBack',
  epoch,
  run,
  dirtyBytes: 0,
  logUsedBytes: 0,
  logBytes: 65536,
})

function setUp(): { stage: Stage; checker: OneWriterChecker } {
  const stage = new Stage()
  const checker = new OneWriterChecker(stage.scene)
  stage.backing.watchers.push(checker)
  checker.onOpened(stage.process, status(4, 1), 'first')
  return { stage, checker }
}

describe('one writer', () => {
  test('has a new run after a restart and a new epoch after a new holder', () => {
    const { stage, checker } = setUp()
    checker.onOpened(stage.process, status(4, 2), 'restart')
    checker.onOpened(stage.process, status(5, 1), 'first')
    expect(stage.found).toEqual([])
  })

  test('never keeps its run over a restart', () => {
    const { stage, checker } = setUp()
    checker.onOpened(stage.process, status(4, 1), 'restart')
    expect(stage.found).toEqual(['one-writer'])
  })

  test('never keeps its epoch over a new holder', () => {
    const { stage, checker } = setUp()
    checker.onOpened(stage.process, status(4, 2), 'first')
    expect(stage.found).toEqual(['one-writer'])
  })

  test('needs a register that never goes back', () => {
    const { stage, checker } = setUp()
    checker.onRegister({ epoch: 4 } as RegisterRecord)
    checker.onRegister({ epoch: 3 } as RegisterRecord)
    expect(stage.found).toEqual(['one-writer'])
  })

  test('touches no disk while its predecessor has I/O there', () => {
    const { stage } = setUp()
    stage.backingPort.flush(() => undefined)
    stage.process.die()
    stage.restart()
    stage.backingPort.flush(() => undefined)
    expect(stage.found).toEqual(['one-writer'])
  })
})
