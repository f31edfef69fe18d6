// The window of a stream: grows only for who waits, shrinks with waste, and closes for good when waste prevails.
import { AheadStream } from '../../../../../csi-driver/engine/read-ahead/ahead-stream.ts'

const LIMITS = { minBytes: 4096, maxBytes: 32_768 }

test.each([
  [1, 4096],
  [8192, 8192],
  [1_000_000, 32_768],
])('begins with about a request (%i)', (firstBytes, windowBytes) => {
  expect(new AheadStream(1, firstBytes, LIMITS).windowBytes).toBe(windowBytes)
})

test('doubles for a reader who waits after each window that he used, up to the limit', () => {
  const stream = new AheadStream(1, 4096, LIMITS)
  stream.onWaited()
  expect(stream.windowBytes).toBe(4096)
  const windows: number[] = []
  for (let i = 0; i < 16; i += 1) {
    stream.onUsed(4096)
    stream.onWaited()
    windows.push(stream.windowBytes)
  }
  expect([...new Set(windows)]).toEqual([8192, 16_384, 32_768])
  expect(windows.indexOf(16_384)).toBe(2)
  expect(windows.indexOf(32_768)).toBe(6)
})

test('does not grow for one who never waits', () => {
  const stream = new AheadStream(1, 4096, LIMITS)
  for (let i = 0; i < 16; i += 1) stream.onUsed(4096)
  expect(stream.windowBytes).toBe(4096)
})

test('halves with waste, and is closed once more was wasted than used', () => {
  const stream = new AheadStream(1, 16_384, LIMITS)
  stream.onUsed(8192)
  expect(stream.onWasted(0)).toBe(false)
  expect(stream.windowBytes).toBe(16_384)
  expect([stream.onWasted(4096), stream.windowBytes]).toEqual([false, 8192])
  expect([stream.onWasted(4096), stream.windowBytes]).toEqual([false, 4096])
  expect([stream.onWasted(1), stream.windowBytes]).toEqual([true, 0])
  expect(stream.onWasted(4096)).toBe(false)
})
