// Proves: transfers arrive where they belong, a read that ends short is EIO and not success, errors carry the errno,
// and the descriptor is closed only after the last transfer.
import { fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { IoError } from '../../../../../base/errors.ts'
import { DescriptorTransfers } from '../../../../../csi-driver/io/real/descriptor-transfers.ts'
import type { IoDone } from '../../../../../csi-driver/io/storage.ts'

const directory = mkdtempSync(join(tmpdir(), 'forebay-transfers-'))
const path = join(directory, 'file')
afterAll(() => rmSync(directory, { recursive: true }))

function open(flags: string, threadsMax?: number): DescriptorTransfers {
  writeFileSync(path, Buffer.alloc(8192, 0xaa))
  return new DescriptorTransfers(openSync(path, flags), path, threadsMax)
}

const outcome = (call: (done: IoDone) => void): Promise<IoError | null> => new Promise((resolve) => call(resolve))

test('many transfers at once', async () => {
  const file = open('r+')
  const out = Buffer.from(Array.from({ length: 64 }, (_, i) => i))
  await Promise.all(Array.from({ length: 64 }, (_, i) => outcome((done) => file.write(out, i, 1, i * 100, done))))
  const content = readFileSync(path)
  for (let i = 0; i < 64; i++) expect(content[i * 100]).toBe(i)
  expect(await outcome((done) => file.flush(done))).toBeNull()
  expect(await outcome((done) => file.close(done))).toBeNull()
})

test('with one thread they go one after the other, in the order they came in', async () => {
  const file = open('r+', 1)
  const ended: number[] = []
  const write = (i: number): Promise<unknown> =>
    outcome((done) => file.write(Buffer.from([i]), 0, 1, 5, done)).then(() => ended.push(i))
  await Promise.all(Array.from({ length: 16 }, (_, i) => write(i)))
  expect(ended).toEqual(Array.from({ length: 16 }, (_, i) => i))
  expect(readFileSync(path)[5]).toBe(15)
  expect(await outcome((done) => file.close(done))).toBeNull()
})

test('a short read is EIO', async () => {
  const file = open('r')
  const buffer = Buffer.alloc(8192)
  const error = await outcome((done) => file.read(buffer, 0, 8192, 4096, done))
  expect(error?.code).toBe('EIO')
  expect(error?.message).toContain('moved=0')
  expect((await outcome((done) => file.write(buffer, 0, 512, 0, done)))?.code).toBe('EBADF')
  await outcome((done) => file.close(done))
})

test('close waits for transfers and for others who hold the descriptor', async () => {
  const file = open('r+')
  file.hold()
  let closed = false
  const reading = outcome((done) => file.read(Buffer.alloc(4096), 0, 4096, 0, done))
  const closing = outcome((done) => file.close(done)).then((error) => {
    closed = true
    return error
  })
  expect(await reading).toBeNull()
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(closed).toBe(false)
  file.release()
  expect(await closing).toBeNull()
  expect(() => fstatSync(file.fd)).toThrow('EBADF')
  expect(() => file.hold()).toThrow('used after close')
})
