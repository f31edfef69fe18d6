// Proves: the view shows what the batch header says, where the envelope stands; a header that its writer did not seal so
// is found by checkHeader, however the envelope holds together.
import fc from 'fast-check'
import { BATCH_HEADER } from '../../../../../csi-driver/batch/batch-format.ts'
import { ENVELOPE, envelopeBytes, envelopeOf, writeEnvelope } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { EnvelopeView, HEADER_SCRATCH_BYTES } from '../../../../../csi-driver/replica/wire/envelope-view.ts'
import { batchFrame, SEAL } from './wire-kit.ts'

const FRAME = batchFrame([
  { sector: 5, data: Buffer.alloc(1536, 9) },
  { sector: 99, data: 40, mayUnmap: true },
])
const SCRATCH = Buffer.alloc(HEADER_SCRATCH_BYTES, 0xdd)

function placed(at: number): Buffer {
  const envelope = envelopeOf(FRAME)
  const buffer = Buffer.alloc(at + envelopeBytes(envelope) + 3, 0xee)
  writeEnvelope(buffer, at, envelope)
  return buffer
}

test('shows every field', () => {
  const buffer = placed(100)
  const view = new EnvelopeView()
  expect(view.read(buffer, 100, buffer.length - 103)).toBe('ok')
  expect(view.checkHeader(SCRATCH)).toBe('ok')
  const { batchSeq, firstSeq, ackedSeq, trimSeq, epoch, run, previousHash } = SEAL
  expect(view).toMatchObject({ batchSeq, firstSeq, ackedSeq, trimSeq, epoch, run, previousHash })
  expect(view).toMatchObject({ count: 2, lastSeq: firstSeq + 1, codec: 0, rawPayloadBytes: 1536, headerBytes: 192 })
  expect(view).toMatchObject({ volumeUuid: '11'.repeat(16), logUuid: '22'.repeat(16) })
  expect(view.headerHash).toBe(FRAME.buffer.readBigUInt64LE(BATCH_HEADER.offsets.headerHash))
  expect(view.header.equals(FRAME.buffer.subarray(0, 192))).toBe(true)
  expect(view.payload.equals(FRAME.buffer.subarray(4096, 4096 + 1536))).toBe(true)
})

test('is re-used, also for two header blocks before one', () => {
  const view = new EnvelopeView()
  for (const count of [240, 0, 125, 124, 1]) {
    const frame = batchFrame(Array.from({ length: count }, (_, index) => ({ sector: index, data: 1 })))
    const envelope = envelopeOf(frame)
    const buffer = Buffer.alloc(envelopeBytes(envelope))
    writeEnvelope(buffer, 0, envelope)
    expect([view.read(buffer, 0, buffer.length), view.checkHeader(SCRATCH), view.count]).toEqual(['ok', 'ok', count])
  }
})

test('no flipped bit of the header passes both checks', () => {
  const buffer = placed(0)
  const length = buffer.length - 3
  fc.assert(
    fc.property(fc.nat(192 * 8 - 1), (bit) => {
      const damaged = Buffer.from(buffer)
      const at = ENVELOPE.size + (bit >>> 3)
      damaged.writeUInt8((damaged[at] ?? 0) ^ (1 << (bit & 7)), at)
      const view = new EnvelopeView()
      expect([view.read(damaged, 0, length) === 'ok' ? view.checkHeader(SCRATCH) : 'refused']).not.toEqual(['ok'])
    }),
    { numRuns: 300 },
  )
})
