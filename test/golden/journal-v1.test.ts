// Proves: format version 1 of batches and journal is what it was: today's code makes the recorded bytes again from the
// same values, and shows the recorded text for the recorded bytes. Files are added for new versions, never edited.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { BatchView, PAYLOAD_OK } from '../../csi-driver/batch/batch-view.ts'
import { batchLines, dumpJournal } from '../../csi-driver/journal/dump.ts'
import { heapMemory, MemoryStorage } from '../unit/csi-driver/journal/memory-storage.ts'
import { largeBatch, sampleJournal, smallBatch } from './journal-samples.ts'

function recorded(name: string): Buffer {
  return gunzipSync(readFileSync(`test/golden/${name}.bin.gz`))
}

function decodedForm(name: string): string {
  return readFileSync(`test/golden/${name}.txt`, 'utf8')
}

test.each([
  ['batch-v1-small', smallBatch],
  ['batch-v1-large', largeBatch],
])('%s', (name, make) => {
  const frame = recorded(name)
  expect(make().equals(frame)).toBe(true)
  const view = new BatchView()
  expect(view.parse(frame, 0, frame.length)).toBe('ok')
  expect(view.checkPayload()).toBe(PAYLOAD_OK)
  expect(`${batchLines(view, 0).join('\n')}\n`).toBe(decodedForm(name))
})

test('journal-v1', async () => {
  const bytes = recorded('journal-v1')
  expect((await sampleJournal()).bytes.equals(bytes)).toBe(true)
  const lines: string[] = []
  await dumpJournal({ storage: new MemoryStorage(bytes), memory: heapMemory, write: (line) => lines.push(line) })
  expect(`${lines.join('\n')}\n`).toBe(decodedForm('journal-v1'))
})
