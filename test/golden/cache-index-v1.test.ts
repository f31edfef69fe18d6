// Proves: an index of a left cache, version 1, as it was recorded is still written so, byte for byte, and still read so.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { decodeCacheIndex, encodeCacheIndex } from '../../csi-driver/engine/previous-cache/cache-index.ts'
import { indexText, SAMPLE_INDEX } from './cache-index-sample.ts'

test('cache-index-v1', () => {
  const bytes = gunzipSync(readFileSync('test/golden/cache-index-v1.bin.gz'))
  expect(encodeCacheIndex(SAMPLE_INDEX).equals(bytes)).toBe(true)
  expect(indexText(decodeCacheIndex(bytes))).toBe(readFileSync('test/golden/cache-index-v1.txt', 'utf8'))
})
