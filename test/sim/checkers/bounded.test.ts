// Proves that dirty data above its limit, a log fuller than it is long, and piles of I/O and timers are found.
import { BoundedChecker, IN_FLIGHT_MAX, TIMERS_MAX } from './bounded.ts'
import type { VolumeStatus } from './checker.ts'
import { Stage } from './stage.ts'

const QUIET: VolumeStatus = { phase: 'WriteBack', epoch: 1, run: 1, dirtyBytes: 0, logUsedBytes: 0, logBytes: 65536 }

function setUp(opened: Partial<VolumeStatus> = {}): { stage: Stage; checker: BoundedChecker } {
  const stage = new Stage()
  const checker = new BoundedChecker(stage.scene)
  stage.cache.watchers.push(checker)
  checker.onOpened(stage.process, { ...QUIET, ...opened })
  return { stage, checker }
}

describe('bounds', () => {
  test('of dirty data: the limit and what is being committed', () => {
    const { stage, checker } = setUp()
    checker.onStatus({ ...QUIET, dirtyBytes: stage.scene.dirtyLimitBytes + 2 * stage.largestWriteBytes })
    expect(stage.found).toEqual([])
    checker.onStatus({ ...QUIET, dirtyBytes: stage.scene.dirtyLimitBytes + 2 * stage.largestWriteBytes + 512 })
    expect(stage.found).toEqual(['bounded'])
  })

  test('of dirty data after a replay: what was found', () => {
    const { stage, checker } = setUp({ dirtyBytes: 60_000 })
    checker.onStatus({ ...QUIET, dirtyBytes: 60_000 })
    expect(stage.found).toEqual([])
  })

  test('of the log', () => {
    const { stage, checker } = setUp()
    checker.onStatus({ ...QUIET, logUsedBytes: 65537 })
    expect(stage.found).toEqual(['bounded'])
  })

  test('of I/O in flight', () => {
    const { stage } = setUp()
    const buffer = Buffer.from(new ArrayBuffer(512))
    for (let i = 0; i < IN_FLIGHT_MAX; i++) stage.cachePort.read(buffer, 0, 512, 0, () => undefined)
    expect(stage.found).toEqual([])
    stage.cachePort.read(buffer, 0, 512, 0, () => undefined)
    expect(stage.found).toEqual(['bounded'])
  })

  test('of timers', () => {
    const { stage } = setUp()
    for (let i = 0; i <= TIMERS_MAX; i++) stage.process.timers.after(1000, () => undefined)
    stage.cachePort.flush(() => undefined)
    expect(stage.found).toEqual(['bounded'])
  })
})
