// Proves that what is no replica store stays as it was, byte for byte, also where --size is larger than it.
import fs from 'node:fs'
import path from 'node:path'
import { SILENT_LOG } from '../../../../base/log.ts'
import { readPeer } from '../../../../csi-driver/cli/peer-settings.ts'
import { openStoreFile } from '../../../../csi-driver/peer-process/store-file.ts'

// The file system of the sources: unlike the temporary directory it is rarely a tmpfs.
let directory: string
beforeEach(() => {
  directory = fs.mkdtempSync(path.resolve('node_modules', '.forebay-store-'))
})
afterEach(() => {
  fs.rmSync(directory, { recursive: true })
})

async function openedWith(store: string) {
  const words = [
    '--store',
    store,
    '--size',
    '64MiB',
    '--listen',
    '127.0.0.1:0',
    '--node',
    'host-b',
    '--tls-dir',
    '/tls',
  ]
  const { plan, problems } = await readPeer(words)
  expect(problems).toEqual([])
  if (plan === null) throw new Error('no plan')
  return openStoreFile(plan, SILENT_LOG)
}

test.each([
  ['shorter than a block', Buffer.from('#!/bin/sh\n')],
  ['of whole blocks', Buffer.alloc(8192, 'data')],
  ['zeros, and something behind the last whole block', Buffer.concat([Buffer.alloc(8192), Buffer.from('data')])],
])('a file of somebody else is not made longer: %s', async (_, content) => {
  const store = path.join(directory, 'file')
  fs.writeFileSync(store, content)
  await expect(openedWith(store)).rejects.toMatchObject({ kind: 'invalid', code: 'CACHE_STORE_REFUSED' })
  expect(fs.readFileSync(store).equals(content)).toBe(true)
})

test('what is empty is made longer', async () => {
  const store = path.join(directory, 'file')
  fs.writeFileSync(store, Buffer.alloc(8192))
  const { storage, empty } = await openedWith(store)
  expect({ empty, bytes: storage.sizeBytes }).toEqual({ empty: true, bytes: 64 << 20 })
  await new Promise((resolve) => storage.close(resolve))
})
