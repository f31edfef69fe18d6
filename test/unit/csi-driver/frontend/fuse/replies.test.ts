// Proves the bytes of every reply without data against a recorded golden file, and that their fields read back.
import { readFileSync } from 'node:fs'
import { attrOut, entryOut, initOut, openOut, statfsOut } from '../../../../../csi-driver/frontend/fuse/abi.ts'
import * as replies from '../../../../../csi-driver/frontend/fuse/replies.ts'

const GIB = 2 ** 30
const session = { minor: 40, flags: 0x4060_8021, flags2: 0x80, maxWrite: 1 << 20, resend: true, sessionHex: 'x' }

const cases: Readonly<Record<string, (buffer: Buffer) => number>> = {
  init: (buffer) => replies.encodeInit(buffer, 0, session),
  directory: (buffer) => replies.encodeAttributes(buffer, 0, 1, GIB),
  file: (buffer) => replies.encodeAttributes(buffer, 0, 2, GIB),
  entry: (buffer) => replies.encodeFileEntry(buffer, 0, GIB),
  openFile: (buffer) => replies.encodeOpenFile(buffer, 0),
  openDirectory: (buffer) => replies.encodeOpenDirectory(buffer, 0),
  statfs: (buffer) => replies.encodeStatfs(buffer, 0, GIB),
}

const golden = JSON.parse(readFileSync('test/golden/fuse-replies.json', 'utf8')) as Readonly<Record<string, string>>

test.each(Object.keys(cases))('%s as recorded', (name) => {
  const buffer = Buffer.alloc(256, 0xee)
  const length = cases[name]?.(buffer) ?? 0
  expect(buffer.toString('hex', 0, length)).toBe(golden[name])
  expect(length).toBeLessThanOrEqual(replies.METADATA_REPLY_BYTES_MAX - 16)
  // Nothing is written behind the reply.
  expect(buffer.subarray(length).every((byte) => byte === 0xee)).toBe(true)
})

test('fields read back', () => {
  const buffer = Buffer.alloc(256)
  replies.encodeInit(buffer, 0, session)
  expect(initOut.decode(buffer, 0)).toMatchObject({ maxBackground: 512, congestionThreshold: 384, maxPages: 256 })
  replies.encodeFileEntry(buffer, 0, 5 * 2 ** 40)
  expect(entryOut.decode(buffer, 0)).toMatchObject({ nodeId: 2, size: 5 * 2 ** 40, mode: 0o100600 })
  replies.encodeAttributes(buffer, 0, 1, GIB)
  expect(attrOut.decode(buffer, 0)).toMatchObject({ node: 1, size: 0, mode: 0o40755 })
  replies.encodeOpenFile(buffer, 0)
  expect(openOut.decode(buffer, 0)).toMatchObject({ openFlags: 0x61 })
  replies.encodeStatfs(buffer, 0, GIB)
  expect(statfsOut.decode(buffer, 0)).toMatchObject({ blockBytes: 4096, blocks: GIB / 4096 })
})

test('the header: length, negated errno, unique as it came', () => {
  const buffer = Buffer.alloc(16)
  replies.writeOutHeader(buffer, 0, 16, 5)
  replies.writeOutUnique(buffer, 0, 7, 0x8000_0001)
  expect(buffer.toString('hex')).toBe('10000000fbffffff0700000001000080')
})
