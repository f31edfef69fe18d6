// Proves: a stream is sequential after 4 MiB without a gap, also when its requests arrive a little out of order and next
// to 15 others; random, strided and small-region reads never are.
import { createPrng } from '../../../../../base/prng.ts'
import { MIB } from '../../../../../base/units.ts'
import {
  BYPASS_AFTER_BYTES,
  SequentialDetector,
  STREAMS,
} from '../../../../../csi-driver/engine/read-cache/sequential.ts'

const READ_BYTES = 128 * 1024

describe('sequential detector', () => {
  test('bypasses from the read that completes 4 MiB', () => {
    const detector = new SequentialDetector()
    const answers: boolean[] = []
    for (let at = 0; at < BYPASS_AFTER_BYTES + READ_BYTES; at += READ_BYTES) {
      answers.push(detector.observe(10 * MIB + at, READ_BYTES))
    }
    expect(answers.indexOf(true)).toBe(BYPASS_AFTER_BYTES / READ_BYTES - 1)
    expect(answers.at(-1)).toBe(true)
  })

  test('requests in flight may overtake one another', () => {
    const detector = new SequentialDetector()
    let bypassed = 0
    for (let at = 0; at < 16 * MIB; at += 4 * READ_BYTES) {
      for (const i of [2, 0, 3, 1]) if (detector.observe(at + i * READ_BYTES, READ_BYTES)) bypassed++
    }
    expect(bypassed).toBeGreaterThan(90)
  })

  test('follows as many streams as it has places', () => {
    const detector = new SequentialDetector()
    const last = new Array<boolean>(STREAMS)
    for (let at = 0; at < BYPASS_AFTER_BYTES; at += READ_BYTES) {
      for (let stream = 0; stream < STREAMS; stream++) {
        last[stream] = detector.observe(stream * 1024 * MIB + at, READ_BYTES)
      }
    }
    expect(last).toEqual(new Array<boolean>(STREAMS).fill(true))
  })

  test('random reads of a large and of a small region, and strides, are not sequential', () => {
    const prng = createPrng('sequential')
    const detector = new SequentialDetector()
    for (let i = 0; i < 20_000; i++) expect(detector.observe(prng.below(1 << 20) * 4096, 4096)).toBe(false)
    detector.clear()
    for (let i = 0; i < 20_000; i++) expect(detector.observe(prng.below(512) * 4096, 4096)).toBe(false)
    detector.clear()
    for (let i = 0; i < 20_000; i++) expect(detector.observe(i * 65_536, 4096)).toBe(false)
  })

  test('a stream that jumps starts again', () => {
    const detector = new SequentialDetector()
    for (let at = 0; at < 8 * MIB; at += READ_BYTES) detector.observe(at, READ_BYTES)
    expect(detector.observe(8 * MIB, READ_BYTES)).toBe(true)
    expect(detector.observe(800 * MIB, READ_BYTES)).toBe(false)
    expect(detector.observe(8 * MIB + READ_BYTES, READ_BYTES)).toBe(true)
  })

  test('counts what was read in a row, and gives each stream a name of its own', () => {
    const detector = new SequentialDetector()
    const inARow = [0, 4096, 8192, 16_384, 12_288].map((at) => {
      detector.observe(at, 4096)
      return detector.streamInARow
    })
    expect(inARow).toEqual([0, 4096, 8192, 0, 0])
    const [stream, began] = [detector.stream, detector.streamBegan]
    expect(detector.streamFront).toBe(20_480)
    detector.observe(20_480, 4096)
    expect([detector.stream, detector.streamBegan, detector.streamInARow]).toEqual([stream, began, 4096])
    for (let i = 1; i <= STREAMS; i++) detector.observe(i * 64 * MIB, 4096)
    expect(detector.stream).toBe(stream)
    expect([detector.streamBegan === began, detector.streamInARow]).toEqual([false, 0])
  })
})
