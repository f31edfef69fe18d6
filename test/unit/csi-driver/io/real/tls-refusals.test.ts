// Proves that refusals are counted, said once for an address in a while, and that many addresses cannot fill the log.
import { MemoryEventLog } from '../../../../../base/log.ts'
import { TlsRefusals } from '../../../../../csi-driver/io/real/tls-refusals.ts'

let nowMs = 0
const clock = { monotonicMs: () => nowMs, bootMs: () => nowMs, wallMs: () => nowMs }

test('one address', () => {
  const log = new MemoryEventLog()
  const refusals = new TlsRefusals(clock, log)
  for (let i = 0; i < 50; i++) refusals.note('10.0.0.1', 'no certificate')
  expect(log.events).toHaveLength(1)
  nowMs += 10 * 60_000
  refusals.note('10.0.0.1', 'no certificate')
  expect(log.events[1]?.fields).toEqual({ remote: '10.0.0.1', reason: 'no certificate', alsoRefused: 49 })
  expect(refusals.refused).toBe(51)
})

test('many addresses', () => {
  const log = new MemoryEventLog()
  const refusals = new TlsRefusals(clock, log)
  for (let i = 0; i < 5000; i++) refusals.note(`10.0.${i >> 8}.${i & 255}`, 'no certificate')
  expect(log.events).toHaveLength(20)
  nowMs += 60_000
  for (let i = 0; i < 5000; i++) refusals.note(`10.1.${i >> 8}.${i & 255}`, 'no certificate')
  expect(log.events).toHaveLength(40)
})
