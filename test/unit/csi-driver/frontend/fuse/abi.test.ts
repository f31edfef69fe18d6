// Proves that the structs have the sizes and offsets of the kernel's header include/uapi/linux/fuse.h.
import * as abi from '../../../../../csi-driver/frontend/fuse/abi.ts'

test('sizes of what we send', () => {
  expect(abi.initOut.size).toBe(64)
  expect(abi.attrOut.size).toBe(104)
  expect(abi.entryOut.size).toBe(128)
  expect(abi.openOut.size).toBe(16)
  expect(abi.statfsOut.size).toBe(80)
  expect(abi.invalidateInodeOut.size).toBe(24)
  expect(abi.retrieveOut.size).toBe(32)
})

test('offsets in what the kernel sends', () => {
  expect(abi.IN_HEADER_BYTES).toBe(40)
  expect([abi.IN_OPCODE, abi.IN_UNIQUE_LOW, abi.IN_UNIQUE_HIGH, abi.IN_NODE_LOW]).toEqual([4, 8, 12, 16])
  expect([abi.INIT_IN_MAJOR, abi.INIT_IN_MINOR, abi.INIT_IN_FLAGS, abi.INIT_IN_FLAGS2]).toEqual([40, 44, 52, 56])
  expect([abi.READ_OFFSET_LOW, abi.READ_OFFSET_HIGH, abi.READ_SIZE]).toEqual([48, 52, 56])
  expect([abi.WRITE_OFFSET_LOW, abi.WRITE_OFFSET_HIGH, abi.WRITE_SIZE, abi.WRITE_OPEN_FLAGS]).toEqual([48, 52, 56, 72])
  expect(abi.WRITE_PAYLOAD).toBe(80)
  expect([abi.FALLOCATE_OFFSET_LOW, abi.FALLOCATE_LENGTH_LOW, abi.FALLOCATE_MODE]).toEqual([48, 56, 64])
})
