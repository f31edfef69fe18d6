// Proves that every set of files that cannot work is refused before it is used, each with one code and a remedy, and
// which name a certificate gives its node.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { makeNodeSet } from '../../../../../csi-driver/cli/pki/authority.ts'
import { RealProcesses } from '../../../../../csi-driver/io/real/exec.ts'
import {
  checkTlsTexts,
  readTlsTexts,
  type TlsIdentity,
  type TlsTexts,
} from '../../../../../csi-driver/io/real/tls-identity.ts'
import { days, TestAuthority } from '../../../../tls/test-authority.ts'

const directory = mkdtempSync(join(tmpdir(), 'forebay-identity-'))
afterAll(() => rmSync(directory, { recursive: true }))

let authority: TestAuthority
let other: TestAuthority
let good: TlsTexts

beforeAll(async () => {
  authority = await TestAuthority.make()
  other = await TestAuthority.make()
  good = await set(authority)
})

const set = (one: TestAuthority, validity = days(-1, 30)): Promise<TlsTexts> =>
  makeNodeSet(new RealProcesses(), one.signer, 'host-a', validity)

const check = (texts: Partial<TlsTexts>): TlsIdentity => checkTlsTexts({ ...good, ...texts }, '/tls', Date.now())

const refusal = (code: string): object => ({ kind: 'invalid', code, remedy: expect.any(String) })

test('a good set', () => {
  expect(check({}).node).toBe('host-a')
})

test('several CAs in one file, the right one anywhere: how a CA is replaced', () => {
  expect(check({ 'ca.crt': `${other.signer.certificate}\n${authority.signer.certificate}` }).node).toBe('host-a')
})

test('files that cannot be read', () => {
  expect(() => readTlsTexts(join(directory, 'none'))).toThrow(
    expect.objectContaining(refusal('CACHE_TLS_UNREADABLE')) as Error,
  )
  writeFileSync(join(directory, 'ca.crt'), 'x'.repeat(300_000))
  expect(() => readTlsTexts(directory)).toThrow('too large')
})

test.each<[string, () => Promise<Partial<TlsTexts>>, string]>([
  ['a certificate that is none', async () => ({ 'tls.crt': 'hello' }), 'CACHE_TLS_UNREADABLE'],
  [
    'a damaged certificate',
    async () => ({ 'tls.crt': '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n' }),
    'CACHE_TLS_UNREADABLE',
  ],
  ['a CA that is none', async () => ({ 'ca.crt': '' }), 'CACHE_TLS_UNREADABLE'],
  ['a key that is none', async () => ({ 'tls.key': 'hello' }), 'CACHE_TLS_UNREADABLE'],
  ['the key of another certificate', async () => ({ 'tls.key': (await set(authority))['tls.key'] }), 'CACHE_TLS_KEY'],
  ['another CA', async () => ({ 'ca.crt': other.signer.certificate }), 'CACHE_TLS_OTHER_CA'],
  ['expired', () => set(authority, days(-30, -1)), 'CACHE_TLS_EXPIRED'],
  ['not yet valid', () => set(authority, days(1, 30)), 'CACHE_TLS_NOT_YET_VALID'],
  [
    'a CA that has ended',
    async () => {
      const ended = await TestAuthority.make(days(-30, -1))
      return { ...(await set(ended)), 'ca.crt': ended.signer.certificate }
    },
    'CACHE_TLS_EXPIRED',
  ],
])('%s', async (_, make, code) => {
  const texts = await make()
  expect(() => check(texts)).toThrow(expect.objectContaining(refusal(code)) as Error)
})

test.each<[string, string | null, string | null]>([
  ['host-a', null, 'host-a'],
  ['host-a,DNS:host-a.example', 'host-a', 'host-a'],
  ['host-a,DNS:host-a.example', 'host-a.example', 'host-a.example'],
  ['host-a', 'somebody', 'host-a'],
  ['host-a,DNS:host-b', null, null],
  ['host-a,DNS:host-b', 'host-c', null],
  ['*.example', 'host', null],
  ['*.example,DNS:host-a', 'host-a', 'host-a'],
])('DNS:%s with common name %s names node %s', async (dnsNames, commonName, node) => {
  const made = await authority.sign(dnsNames, commonName)
  const texts = { 'tls.crt': made.certificate, 'tls.key': made.key }
  if (node === null) expect(() => check(texts)).toThrow(expect.objectContaining(refusal('CACHE_TLS_NO_NAME')) as Error)
  else expect(check(texts).node).toBe(node)
})

test('a certificate that is for clients or servers only', async () => {
  const made = await authority.sign('host-a\nextendedKeyUsage = clientAuth', 'host-a')
  expect(() => check({ 'tls.crt': made.certificate, 'tls.key': made.key })).toThrow(
    expect.objectContaining(refusal('CACHE_TLS_PURPOSE')) as Error,
  )
})
