// Proves: lines arrive whole and in order without blocking the writer; a reader that stops costs refused lines, not
// time; last words are written at once.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DescriptorLineSink, PENDING_BYTES_MAX } from '../../../../../csi-driver/io/real/line-sink.ts'

const directory = mkdtempSync(join(tmpdir(), 'forebay-lines-'))
afterAll(() => rmSync(directory, { recursive: true }))

const until = async (condition: () => boolean): Promise<void> => {
  // oxlint-disable-next-line eslint/no-await-in-loop
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

test('lines arrive in order', async () => {
  const path = join(directory, 'log')
  const fd = openSync(path, 'a')
  const sink = new DescriptorLineSink(fd)
  const lines = Array.from({ length: 2000 }, (_, i) => `line ${i}\n`)
  for (const line of lines) expect(sink.write(line)).toBe(true)
  await until(() => readFileSync(path, 'utf8').length === lines.join('').length)
  expect(readFileSync(path, 'utf8')).toBe(lines.join(''))
  expect(sink.write('again\n')).toBe(true)
  await until(() => readFileSync(path, 'utf8').endsWith('again\n'))
  closeSync(fd)
})

test('last words are there when flushSync returns', () => {
  const path = join(directory, 'last')
  const fd = openSync(path, 'a')
  const sink = new DescriptorLineSink(fd)
  sink.write('one\n')
  sink.write('two\n')
  sink.flushSync()
  expect(readFileSync(path, 'utf8')).toContain('one\ntwo\n')
})

test('a pipe that nobody reads: refused after the limit, and goes on when it is read again', async () => {
  const path = join(directory, 'pipe')
  await new Promise((resolve) => spawn('sh', ['-c', 'mkfifo "$0"', path]).on('exit', resolve))
  // Opened for both directions, so that opening does not wait for a reader.
  const fd = openSync(path, 'r+')
  const sink = new DescriptorLineSink(fd)
  const line = `${'x'.repeat(1023)}\n`
  let accepted = 0
  while (sink.write(line)) accepted++
  expect(accepted * 1024).toBeLessThanOrEqual(PENDING_BYTES_MAX)
  const reader = spawn('head', ['-c', String(accepted * 1024), path])
  let received = 0
  reader.stdout.on('data', (bytes: Buffer) => (received += bytes.length))
  await until(() => received === accepted * 1024)
  expect(sink.write(line)).toBe(true)
  closeSync(fd)
})
