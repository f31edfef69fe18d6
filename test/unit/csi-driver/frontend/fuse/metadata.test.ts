// Proves the answers to what carries no data: one file with one name, a size that nobody changes from above, ENOSYS only
// where the kernel may stop asking.
import { entryOut } from '../../../../../csi-driver/frontend/fuse/abi.ts'
import { answerMetadata } from '../../../../../csi-driver/frontend/fuse/metadata.ts'
import type { RequestFields } from './fake-channel.ts'
import { requestBytes } from './fake-channel.ts'

const file = { name: 'volume-1', sizeBytes: 1 << 20 }
const reply = { buffer: Buffer.alloc(256), start: 16 }

function answer(request: RequestFields): number {
  const buffer = requestBytes(request)
  return answerMetadata(request.opcode, { buffer, length: buffer.length }, reply, file)
}

const name = (text: string): Buffer => Buffer.from(`${text}\0`)

test('the one name is found, others and parts of it are not', () => {
  expect(answer({ opcode: 1, node: 1n, body: name('volume-1') })).toBe(entryOut.size)
  expect(entryOut.get(reply.buffer, 16, 'nodeId')).toBe(2)
  for (const other of ['volume', 'volume-11', '', '..']) {
    expect(answer({ opcode: 1, node: 1n, body: name(other) })).toBe(-2)
  }
  expect(answer({ opcode: 1, node: 1n })).toBe(-2)
})

test('the size cannot be set, other attributes can be pretended to', () => {
  const body = Buffer.alloc(88)
  body.writeUInt32LE(0x8, 0)
  expect(answer({ opcode: 4, body })).toBe(-1)
  body.writeUInt32LE(0x30, 0)
  expect(answer({ opcode: 4, body })).toBe(104)
  expect(answer({ opcode: 4, body: Buffer.alloc(0) })).toBe(-22)
})

test('unknown nodes do not exist', () => {
  expect(answer({ opcode: 3, node: 3n })).toBe(-2)
  expect(answer({ opcode: 14, node: 1n })).toBe(-2)
})

test.each([18, 25, 28, 29, 30, 34, 38])('opcode %i is answered without a body', (opcode) => {
  expect(answer({ opcode })).toBe(0)
})

test.each([8, 22, 39, 46, 52, 4096])('opcode %i is not offered', (opcode) => {
  expect(answer({ opcode })).toBe(-38)
})
