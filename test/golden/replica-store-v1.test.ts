// Proves: a replica store, version 1, as it was recorded is still written so, byte for byte, and still read so.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { dumpStore } from '../../csi-driver/replica/store/store-dump.ts'
import { heapMemory, TestStorage } from '../unit/csi-driver/replica/store/store-kit.ts'
import { sampleStore } from './replica-store-sample.ts'

test('replica-store-v1', async () => {
  const bytes = gunzipSync(readFileSync('test/golden/replica-store-v1.bin.gz'))
  expect((await sampleStore()).bytes.equals(bytes)).toBe(true)
  const lines: string[] = []
  await dumpStore({ storage: new TestStorage(bytes), memory: heapMemory, write: (line) => lines.push(line) })
  expect(`${lines.join('\n')}\n`).toBe(readFileSync('test/golden/replica-store-v1.txt', 'utf8'))
})
