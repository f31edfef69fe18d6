// Proves that the files of --tls-dir are read again when they change and only then, that a broken or foreign set leaves
// the old one in force and is said once, and that the end of a certificate is said ahead.
import { copyFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Clock } from '../../../../../base/clock.ts'
import { MemoryEventLog } from '../../../../../base/log.ts'
import { TlsFiles } from '../../../../../csi-driver/io/real/tls-files.ts'
import { days, TestAuthority } from '../../../../tls/test-authority.ts'

const directory = mkdtempSync(join(tmpdir(), 'forebay-tls-files-'))
const inUse = join(directory, 'in-use')
const HOUR_MS = 3_600_000

let authority: TestAuthority
let nowMs = 0
let log: MemoryEventLog
const opened: TlsFiles[] = []

const START_MS = Date.now()
const clock: Clock = { monotonicMs: () => nowMs, bootMs: () => nowMs, wallMs: () => START_MS + nowMs }

beforeAll(async () => {
  authority = await TestAuthority.make()
  await authority.issue(join(directory, 'first'), 'a', days(-1, 100))
  await authority.issue(join(directory, 'second'), 'a', days(-1, 200))
  await authority.issue(join(directory, 'other-node'), 'b', days(-1, 100))
})
beforeEach(() => {
  nowMs = 0
  log = new MemoryEventLog()
  rmSync(inUse, { recursive: true, force: true })
  use('first')
})
afterEach(() => {
  for (const files of opened.splice(0)) files.close()
})
afterAll(() => rmSync(directory, { recursive: true }))

const use = (name: string): void => cpSync(join(directory, name), inUse, { recursive: true })

function open(): TlsFiles {
  const files = new TlsFiles(inUse, clock, log)
  opened.push(files)
  return files
}

function later(ms: number): void {
  nowMs += ms
}

test('a new set is taken for the next connection, not more often looked for than once a second', () => {
  const files = open()
  const first = files.current()
  use('second')
  expect(files.current()).toBe(first)
  later(1000)
  const second = files.current()
  expect(second.notAfterMs).toBeGreaterThan(first.notAfterMs)
  later(1000)
  expect(files.current()).toBe(second)
  expect(log.named('tls.files.read_again')).toHaveLength(1)
})

test('a set that is being replaced is not complained of; one that stays broken is, once', () => {
  const files = open()
  const first = files.current()
  copyFileSync(join(directory, 'second', 'tls.crt'), join(inUse, 'tls.crt'))
  later(1000)
  expect(files.current()).toBe(first)
  expect(log.events).toEqual([])
  use('second')
  later(1000)
  expect(files.current()).not.toBe(first)
  writeFileSync(join(inUse, 'tls.key'), 'rubbish')
  for (let i = 0; i < 10; i++) {
    later(1000)
    files.look()
  }
  expect(log.named('tls.files.broken')).toMatchObject([
    { level: 'error', fields: { problem: expect.stringContaining('no private key') as string } },
  ])
  rmSync(inUse, { recursive: true })
  later(1000)
  files.look()
  expect(files.current().notAfterMs).toBeGreaterThan(first.notAfterMs)
})

test('a set of another node is not taken', () => {
  const files = open()
  use('other-node')
  for (let i = 0; i < 3; i++) {
    later(1000)
    expect(files.current().node).toBe('a')
  }
  expect(log.named('tls.files.broken')).toMatchObject([{ fields: { problem: 'names another node node=b' } }])
})

test('the end is announced two weeks ahead, daily, and said when it has come', () => {
  const files = open()
  later(85 * 24 * HOUR_MS)
  files.look()
  expect(log.events).toEqual([])
  later(2 * 24 * HOUR_MS)
  files.look()
  files.look()
  const [soon, ...more] = log.named('tls.certificate.ends_soon')
  expect([soon?.level, more.length]).toEqual(['warning', 0])
  // Thirteen days; the certificate was made a moment before or after this file's clock began.
  expect([311, 312]).toContain(soon?.fields['leftHours'])
  later(24 * HOUR_MS)
  files.look()
  expect(log.named('tls.certificate.ends_soon')).toHaveLength(2)
  later(13 * 24 * HOUR_MS)
  files.look()
  expect(log.named('tls.certificate.expired')).toMatchObject([{ level: 'error' }])
})
