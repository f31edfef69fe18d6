// Proves that a leak is seen: of timers, of memory, of operations in flight, of connections.
import { BoundedChecker, IN_FLIGHT_MAX, type Measured, MEMORY_BYTES_MAX, STREAMS_MAX, TIMERS_MAX } from './bounded.ts'
import { ClusterStage } from './cluster-stage.ts'

function staged(measured: Partial<Measured['process'] & Measured['memory']> = {}, streams = 0) {
  const stage = new ClusterStage()
  const process = { name: 'engine', timersSet: measured.timersSet ?? 0 }
  const memory = { allocatedBytes: measured.allocatedBytes ?? 0 }
  const checker = new BoundedChecker({
    report: stage.report,
    disks: [stage.backing],
    processes: () => [{ process, memory }],
    streams: () => streams,
  })
  return { stage, checker }
}

test('what stays within its limits is fine', () => {
  const { stage, checker } = staged({ timersSet: TIMERS_MAX, allocatedBytes: MEMORY_BYTES_MAX }, STREAMS_MAX)
  for (let event = 0; event < 100; event++) checker.afterEvent()
  expect(stage.found).toEqual([])
})

test.each([
  ['timers', staged({ timersSet: TIMERS_MAX + 1 })],
  ['memory', staged({ allocatedBytes: MEMORY_BYTES_MAX + 1 })],
  ['streams', staged({}, STREAMS_MAX + 1)],
])('too many %s are seen', (what, { stage, checker }) => {
  checker.look()
  expect(stage.found).toEqual(['bounded'])
  expect(stage.report.violations[0]?.message).toContain(what)
})

test('too many operations in flight are seen', () => {
  const { stage, checker } = staged()
  const port = stage.backing.attach(stage.process('busy'))
  for (let i = 0; i <= IN_FLIGHT_MAX; i++) port.flush(() => {})
  checker.look()
  expect(stage.found).toEqual(['bounded'])
})
