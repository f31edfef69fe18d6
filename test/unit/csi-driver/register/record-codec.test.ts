// Proves that the text of a record comes back as the record, that its bytes are those of the recorded file, and that no
// other text passes: random text, a changed, cut or lengthened text, another spelling of the same record.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { CacheError } from '../../../../base/errors.ts'
import { RECORD_BYTES_MAX } from '../../../../csi-driver/register/record.ts'
import { decodeRecord, encodeRecord } from '../../../../csi-driver/register/record-codec.ts'
import { anyRecord, aRecord, MEMBER } from './records.ts'

const GOLDEN = new URL('../../../golden/register-record-v1.json', import.meta.url)

test('round trip', () => {
  fc.assert(fc.property(anyRecord, (record) => expect(decodeRecord(encodeRecord(record))).toEqual({ record })))
})

test('the recorded text of format version 1', () => {
  const record = aRecord({
    unfenced: [{ node: 'node-2', epoch: 1 }],
    backing: { kind: 'file', id: 'größe "x"', sizeBytes: 2 ** 33 },
  })
  expect(`${encodeRecord(record)}\n`).toBe(readFileSync(GOLDEN, 'utf8'))
})

test('random text never passes', () => {
  const shaped = fc.string().map((body) => `{${body},"checksum":"00000000"}`)
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), shaped), (text) => 'problems' in decodeRecord(text)))
})

test('a text with any character changed, dropped or added never passes', () => {
  const line = encodeRecord(aRecord())
  const position = fc.nat({ max: line.length - 1 })
  fc.assert(
    fc.property(position, fc.string({ maxLength: 2 }), fc.nat({ max: 2 }), (at, put, drop) => {
      const changed = line.slice(0, at) + put + line.slice(at + drop)
      return changed === line || 'problems' in decodeRecord(changed)
    }),
  )
})

test('fields in another order do not count as the same text', () => {
  const { backing, ...rest } = aRecord()
  expect(encodeRecord({ backing, ...rest })).toBe(encodeRecord(aRecord()))
  expect(decodeRecord(JSON.stringify({ ...aRecord(), checksum: '00000000' }))).toHaveProperty('problems')
})

test('a record that is too long is refused before it is written', () => {
  const node = 'n'.repeat(253)
  const unfenced = [...Array(8).keys()].map((i) => ({ node, epoch: i + 1 }))
  const long = aRecord({ epoch: 10, members: [{ ...MEMBER, node }], unfenced })
  expect(() => encodeRecord(long)).toThrow(CacheError)
  expect(encodeRecord(aRecord()).length).toBeLessThan(RECORD_BYTES_MAX / 2)
})
