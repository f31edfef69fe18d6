// Proves that the record of what is attached reads back as it was written, that a golden record stays readable, and
// that no other text passes for one.
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import type { AttachState } from '../../../../../csi-driver/frontend/loop/attach-state.ts'
import {
  decodeAttachState,
  encodeAttachState,
  writeAttachState,
} from '../../../../../csi-driver/frontend/loop/attach-state.ts'
import { FakeHost } from './fake-host.ts'

const state: AttachState = {
  volume: 'db',
  fileName: 'db-0123456789abcdef',
  mountPoint: '/run/forebay/db/mount',
  link: '/dev/forebay/db',
  connectionId: 44,
  loopDevice: '/dev/loop3',
}

test('round trip', () => {
  const text = fc.string({ minLength: 1 })
  const anyState = fc.record({
    volume: text,
    fileName: text,
    mountPoint: text,
    link: text,
    connectionId: fc.option(fc.nat()),
    loopDevice: fc.option(fc.nat(99).map((number) => `/dev/loop${number}`)),
  })
  fc.assert(fc.property(anyState, (value) => expect(decodeAttachState(encodeAttachState(value))).toEqual(value)))
})

test('the recorded format', () => {
  const golden = readFileSync('test/golden/attach-state-v1.json', 'utf8')
  expect(decodeAttachState(golden)).toEqual(state)
  expect(encodeAttachState(state)).toBe(golden)
})

test('other texts and values are no state', () => {
  const bad: unknown[] = [
    null,
    [],
    'x',
    { ...state },
    { formatVersion: 2, ...state },
    { formatVersion: 1, ...state, volume: '' },
    { formatVersion: 1, ...state, loopDevice: '/dev/sda' },
    { formatVersion: 1, ...state, connectionId: -1 },
    { formatVersion: 1, ...state, connectionId: '4' },
    { formatVersion: 1, ...state, link: undefined },
  ]
  for (const value of bad) expect(decodeAttachState(JSON.stringify(value))).toBeNull()
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => expect(decodeAttachState(text)).toBeNull()))
})

test('a record that cannot be written is an error with a remedy', async () => {
  const host = new FakeHost()
  host.files.replace = () => Promise.reject(new Error('read-only'))
  await expect(writeAttachState(host.files, '/x', state)).rejects.toMatchObject({
    code: 'CACHE_ATTACH_STATE',
    kind: 'retry',
  })
})
