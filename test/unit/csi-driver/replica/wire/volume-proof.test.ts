// Proves: the proof is the HMAC that the page says, computed here a second way from RFC 2104, itself held against the
// vectors of RFC 4231; it depends on each of its inputs; a wrong proof of any length is refused.
import { createHash } from 'node:crypto'
import { ENGINE_TO_STORE, proofMatches, volumeProof } from '../../../../../csi-driver/replica/wire/volume-proof.ts'

/** HMAC by its definition: H((K ^ opad) ‖ H((K ^ ipad) ‖ text)), blocks of 64 bytes. */
function hmacSha256(key: Buffer, text: Buffer): Buffer {
  const sha = (data: Buffer): Buffer => createHash('sha256').update(data).digest()
  const block = Buffer.alloc(64)
  const shortKey = key.length > 64 ? sha(key) : key
  shortKey.copy(block)
  const pad = (value: number): Buffer => Buffer.from(block.map((byte) => byte ^ value))
  return sha(Buffer.concat([pad(0x5c), sha(Buffer.concat([pad(0x36), text]))]))
}

test.each([
  // RFC 4231, test cases 1, 2 and 6.
  [Buffer.alloc(20, 0x0b), 'Hi There', 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
  [
    Buffer.from('Jefe'),
    'what do ya want for nothing?',
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  ],
  [
    Buffer.alloc(131, 0xaa),
    'Test Using Larger Than Block-Size Key - Hash Key First',
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  ],
])('the HMAC of this test is the one of RFC 4231', (key, text, expected) => {
  expect(hmacSha256(key, Buffer.from(text)).toString('hex')).toBe(expected)
})

const KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => index))
const EXPORTER = Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - index))
const UUID = '00112233445566778899aabbccddeeff'

test('is the HMAC over exporter, direction and volume', () => {
  expect(ENGINE_TO_STORE.toString()).toBe('forebay engine to store')
  const text = Buffer.concat([EXPORTER, ENGINE_TO_STORE, Buffer.from(UUID, 'hex')])
  expect(volumeProof(KEY, EXPORTER, UUID)).toEqual(hmacSha256(KEY, text))
  expect(volumeProof(KEY, EXPORTER, UUID).toString('hex')).toBe(
    '1862179a80b30b2ba290bfa6c3f9f4634029405377a0a798ba3b7378cb8046c7',
  )
})

test('depends on every input', () => {
  const proof = volumeProof(KEY, EXPORTER, UUID)
  const other = Buffer.alloc(32, 1)
  expect(proofMatches(proof, KEY, EXPORTER, UUID)).toBe(true)
  expect(proofMatches(proof, other, EXPORTER, UUID)).toBe(false)
  expect(proofMatches(proof, KEY, other, UUID)).toBe(false)
  expect(proofMatches(proof, KEY, EXPORTER, '00'.repeat(16))).toBe(false)
})

test('refuses proofs of any shape, and asserts lengths of ours', () => {
  for (const length of [0, 31, 32, 33, 1000]) {
    expect(proofMatches(Buffer.alloc(length), KEY, EXPORTER, UUID)).toBe(false)
  }
  expect(() => volumeProof(Buffer.alloc(31), EXPORTER, UUID)).toThrow('volume key')
  expect(() => volumeProof(KEY, Buffer.alloc(33), UUID)).toThrow('exporter')
  expect(() => volumeProof(KEY, EXPORTER, 'database')).toThrow('uuid')
})
