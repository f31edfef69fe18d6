// Proves that the last status survives its file, that nothing else passes for one, and that the writer writes what has
// changed, not too often, and at once when told.
import fc from 'fast-check'
import {
  decodeLastStatus,
  encodeLastStatus,
  LAST_STATUS_INTERVAL_MS,
  LastStatusWriter,
  type LastStatus,
} from '../../../../csi-driver/observe/last-status.ts'

const statuses: fc.Arbitrary<LastStatus> = fc.record({
  dirtyBytes: fc.nat(),
  oldestDirtyWallMs: fc.option(fc.nat(), { nil: null }),
  atWallMs: fc.nat(),
  backing: fc.string(),
  cache: fc.string(),
  writePolicy: fc.string(),
  reason: fc.option(fc.string(), { nil: null }),
  register: fc.option(fc.string(), { nil: null }),
  node: fc.option(fc.string(), { nil: null }),
})

test('it is read back', () => {
  fc.assert(fc.property(statuses, (status) => expect(decodeLastStatus(encodeLastStatus(status))).toEqual(status)))
})

test('other text is null', () => {
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => decodeLastStatus(text) === null))
})

describe('writer', () => {
  const status = (atWallMs: number, dirtyBytes = 1): LastStatus => ({
    dirtyBytes,
    oldestDirtyWallMs: null,
    atWallMs,
    backing: '/b',
    cache: '/c',
    writePolicy: 'write-back',
    reason: null,
    register: null,
    node: null,
  })
  const make = (failing = false) => {
    const written: string[] = []
    const replace = (_path: string, text: string): Promise<void> => {
      written.push(text)
      return failing ? Promise.reject(new Error('disk')) : Promise.resolve()
    }
    return { written, writer: new LastStatusWriter({ replace }, '/state/v.last.json') }
  }

  test('the first is written, the same is not written again, a change after the interval is', async () => {
    const { written, writer } = make()
    await writer.update(status(1_000_000))
    await writer.update(status(1_000_000 + LAST_STATUS_INTERVAL_MS))
    await writer.update(status(1_000_001, 2))
    expect(written).toHaveLength(1)
    await writer.update(status(1_000_000 + LAST_STATUS_INTERVAL_MS, 2))
    expect(written).toHaveLength(2)
  })

  test('told to, it writes at once', async () => {
    const { written, writer } = make()
    await writer.update(status(1))
    await writer.update(status(2, 0), true)
    expect(written).toHaveLength(2)
  })

  test('a failed write is tried again at the next tick', async () => {
    const { written, writer } = make(true)
    await writer.update(status(1))
    await writer.update(status(2))
    expect(written).toHaveLength(2)
  })
})
