// Proves that buffers are disjoint, zeroed, and aligned as O_DIRECT wants them (asked of the kernel).
import fs from 'node:fs'
import path from 'node:path'
import { SystemAlignedMemory } from '../../../../../csi-driver/io/real/aligned-memory.ts'

test('small and large buffers: page-aligned in their memory, apart, zeroed', () => {
  const memory = new SystemAlignedMemory()
  const buffers = [1, 512, 4096, 5000, 3 << 20, 65_537, 1 << 20].map((length) => memory.allocate(length))
  buffers.forEach((buffer, index) => {
    expect(buffer.byteOffset % 4096).toBe(0)
    expect(buffer.every((byte) => byte === 0)).toBe(true)
    buffer.fill(index + 1)
  })
  buffers.forEach((buffer, index) => expect(buffer.every((byte) => byte === index + 1)).toBe(true))
})

test('the kernel takes them for direct I/O', () => {
  const directory = fs.mkdtempSync(path.resolve('node_modules', '.forebay-aligned-'))
  const file = path.join(directory, 'file')
  fs.writeFileSync(file, Buffer.alloc(8192, 'x'))
  const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_DIRECT)
  try {
    const memory = new SystemAlignedMemory()
    memory.allocate(100)
    const buffer = memory.allocate(8192)
    expect(fs.readSync(fd, buffer, 512, 4096, 512)).toBe(4096)
    expect(buffer.toString('latin1', 512, 1024)).toBe('x'.repeat(512))
  } finally {
    fs.closeSync(fd)
    fs.rmSync(directory, { recursive: true })
  }
})

test('refused: nothing, fractions, more than WebAssembly has', () => {
  const memory = new SystemAlignedMemory()
  for (const length of [0, -1, 1.5, 2 ** 32 + 1]) expect(() => memory.allocate(length)).toThrow('allocation')
})
