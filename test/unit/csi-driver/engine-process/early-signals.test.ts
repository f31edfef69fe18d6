// Proves that a process whose volume is not open yet never ends as one that has drained everything.
import { SILENT_LOG } from '../../../../base/log.ts'
import { EarlySignals } from '../../../../csi-driver/engine-process/early-signals.ts'
import { EXIT_DIRTY, EXIT_FAILURE } from '../../../../csi-driver/holder/exit-status.ts'

const NOT_YET = 'not yet'

/** What the promise has settled to by now. */
const soon = (promise: Promise<number>): Promise<number | string> => Promise.race([promise, Promise.resolve(NOT_YET)])

function passedOn(early: EarlySignals): number {
  let signals = 0
  early.passOn(() => {
    signals += 1
  })
  return signals
}

test('a first start that is told to stop has failed', async () => {
  const early = new EarlySignals('first', SILENT_LOG)
  expect(await soon(early.ended)).toBe(NOT_YET)
  early.take()
  expect(await soon(early.ended)).toBe(EXIT_FAILURE)
})

test('in a restart the first signal waits for the volume, and is passed on once', async () => {
  const early = new EarlySignals('restart', SILENT_LOG)
  early.take()
  expect(await soon(early.ended)).toBe(NOT_YET)
  expect([passedOn(early), passedOn(early)]).toEqual([1, 0])
})

test('in a restart the second signal ends it, with dirty data in the cache', async () => {
  const early = new EarlySignals('restart', SILENT_LOG)
  early.take()
  early.take()
  expect(await soon(early.ended)).toBe(EXIT_DIRTY)
})

test('without a signal nothing is passed on', () => {
  expect(passedOn(new EarlySignals('restart', SILENT_LOG))).toBe(0)
})
