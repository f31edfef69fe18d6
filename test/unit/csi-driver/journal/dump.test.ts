// Proves: the dump shows every slot, batch and record and how the log ended, and writes nothing.
import { dumpJournal } from '../../../../csi-driver/journal/dump.ts'
import { appendBytes, format, LOG_START, openOwned, tinyBuilder } from './journal-kit.ts'
import { heapMemory, MemoryStorage } from './memory-storage.ts'

async function dump(storage: MemoryStorage): Promise<string[]> {
  const before = Buffer.from(storage.bytes)
  const lines: string[] = []
  await dumpJournal({ storage, memory: heapMemory, write: (line) => lines.push(line) })
  expect(storage.bytes.equals(before)).toBe(true)
  return lines
}

test('a log with a write, a zero and a torn end', async () => {
  const { storage, journal } = await openOwned((await format()).storage)
  const builder = tinyBuilder()
  builder.addWrite({ sector: 40, buffer: Buffer.alloc(512), start: 0, length: 512, uniqueLow: 1, uniqueHigh: 1 })
  builder.addZero({ sector: 80, sectors: 16, mayUnmap: true, uniqueLow: 3, uniqueHigh: 0 })
  journal.append(builder, { ackedSeq: 0, session: 255n, wallMs: 12 }, () => undefined)
  storage.holdWrites = true
  appendBytes(journal, 512)
  const lines = await dump(storage.crash((sector) => sector === 0))
  expect(lines.filter((line) => line.startsWith('superblock slot='))).toHaveLength(4)
  const log = lines.filter((line) => /^(batch|log end| {2}write| {2}zero)/.test(line))
  expect(log[0]).toContain(`batch batchSeq=1 position=${LOG_START} frameBytes=8192 payloadBytes=512 epoch=1 run=1`)
  expect(log[0]).toContain('session=00000000000000ff')
  expect(log[1]).toMatch(
    /^ {2}write seq=1 sector=40 sectors=1 unique=0000000100000001 payloadStart=0 dataHash=[0-9a-f]{16}$/,
  )
  expect(log[2]).toBe('  zero  seq=2 sector=80 sectors=16 unique=0000000000000003 mayUnmap=true')
  expect(log[3]).toContain(`log end case=torn_here batches=1 records=2 lastBatchSeq=1 lastSeq=2`)
  expect(log[3]).toContain(`tornBatchSeq=2 tornPosition=${LOG_START + 8192}`)
})

test('damage is said, not thrown', async () => {
  const { storage, journal } = await openOwned((await format()).storage)
  for (let round = 0; round < 3; round++) appendBytes(journal, 512)
  storage.bytes[LOG_START] = 0
  const lines = await dump(storage)
  expect(lines.at(-1)).toContain('case=damaged_before_later')
  expect(lines.at(-1)).toContain('DAMAGED lastGoodSeq=0')
})

test('an empty storage shows its empty slots', async () => {
  expect(await dump(new MemoryStorage(65_536))).toEqual(
    [0, 1, 2, 3].map((slot) => `superblock slot=${slot} position=${slot * 8192} state=empty`),
  )
})
