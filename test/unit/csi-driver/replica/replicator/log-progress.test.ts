// Proves: time that was not attended to does not count, and a deadline never comes early; a batch is encoded once, by the
// coder's choice, and measured; its bytes are those that were sealed.
import type { PayloadCoder } from '../../../../../csi-driver/replica/replicator/payloads.ts'
import { AttendedTime, LogProgress, TICK_MS } from '../../../../../csi-driver/replica/replicator/log-progress.ts'
import { envelopeBytes, envelopeOf } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { build, SEAL } from '../../batch/batch-kit.ts'

const clock = { nowMs: 0, monotonicMs: () => clock.nowMs, bootMs: () => 0, wallMs: () => 0 }

test('a pause counts as one late tick', () => {
  const time = new AttendedTime(clock)
  for (let i = 0; i < 10; i++) {
    clock.nowMs += TICK_MS
    time.tick()
  }
  expect(time.nowMs).toBe(10 * TICK_MS)
  clock.nowMs += 3_600_000
  time.tick()
  expect(time.nowMs).toBe(12 * TICK_MS)
})

test('a deadline is not early, though what begins between two ticks is dated back', () => {
  const time = new AttendedTime(clock)
  const since = time.nowMs
  const beganMs = clock.nowMs + TICK_MS * 0.99
  for (let i = 0; i < 100; i++) {
    clock.nowMs += TICK_MS
    time.tick()
    if (!time.isOver(since, 500)) continue
    expect(clock.nowMs - beganMs).toBeGreaterThanOrEqual(500)
    expect(clock.nowMs - beganMs).toBeLessThan(500 + 2 * TICK_MS)
    return
  }
  throw new Error('never over')
})

test('one batch in flight: marked, encoded once, measured, complete', () => {
  const calls: unknown[][] = []
  const payloads: PayloadCoder = {
    choose(buffer, start, length) {
      calls.push(['choose', buffer.toString('latin1', start, start + 3), length])
      return { code: 2, compress: (_input, _start, _length, output) => output.write('packed', 'latin1') }
    },
    sent: (...sent) => void calls.push(['sent', ...sent]),
  }
  const progress = new LogProgress(payloads, clock)
  progress.startAt({ batchSeq: 16, hash: 0xffff_eeee_dddd_ccccn }, 3)
  expect(progress.completed).toEqual({ batchSeq: 16, hash: 0xffff_eeee_dddd_ccccn })
  const builder = build([{ sector: 1, data: Buffer.alloc(1024, 'abc') }])
  const { buffer, frameStart: start } = builder
  const frame = { buffer, start, headerBytes: 4096, payloadBytes: 1024 }
  const done = (): void => void calls.push(['done'])
  progress.append(frame, 5, done)
  expect(() => progress.append(frame, 5, done)).toThrow('one batch')
  expect(progress.flight.sentBytes).toBe(0)
  const { envelope } = progress.flight
  expect(progress.flight.envelope).toBe(envelope)
  expect(envelope.codec).toBe(2)
  expect(progress.flight.sentBytes).toBe(envelopeBytes(envelopeOf(frame)) - 1024 + 6)
  clock.nowMs += 3
  const { batchSeq, hash } = progress.flight.mark.identity
  progress.complete()()
  expect(batchSeq).toBe(SEAL.batchSeq)
  expect(progress.completed).toEqual({ batchSeq, hash })
  expect(calls).toEqual([['choose', 'abc', 1024], ['sent', 1024, 6, 3], ['done']])
})

test('numbers have no gaps', () => {
  const progress = new LogProgress({ choose: () => null, sent: () => undefined }, clock)
  progress.startAt({ batchSeq: 15, hash: 0n }, 3)
  const builder = build([])
  const frame = { buffer: builder.buffer, start: builder.frameStart, headerBytes: 4096, payloadBytes: 0 }
  expect(() => progress.append(frame, 5, () => {})).toThrow('numbered')
})
