// Proves that the CA and the certificates are what nodes need, by Node's own reading and by `openssl verify`; that
// names are checked, nothing is written over, and a set is there whole or not at all.
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runCommandLine } from '../../../../csi-driver/cli/main.ts'
import { initAuthority, issueNode } from '../../../../csi-driver/cli/pki/authority.ts'
import { validityOf } from '../../../../csi-driver/cli/pki/certificate.ts'
import { RealProcesses } from '../../../../csi-driver/io/real/exec.ts'
import type { Processes } from '../../../../csi-driver/io/process.ts'

const directory = fs.mkdtempSync(path.join(tmpdir(), 'forebay-pki-test-'))
afterAll(() => fs.rmSync(directory, { recursive: true }))
let count = 0
const fresh = (): string => path.join(directory, String(++count))
const read = (...parts: string[]): string => fs.readFileSync(path.join(...parts), 'utf8')

async function forebay(...words: string[]): Promise<{ status: number; out: string; err: string }> {
  let out = ''
  let err = ''
  const terminal = {
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
    interactive: false,
    interrupted: new AbortController().signal,
    holdInterrupts() {},
  }
  return { status: await runCommandLine(words, terminal), out, err }
}

test('init and issue make what openssl accepts for both uses', async () => {
  const dir = fresh()
  expect(await forebay('pki', 'init', '--dir', dir)).toMatchObject({ status: 0 })
  expect(await forebay('pki', 'issue', 'host-a', '--dir', dir)).toMatchObject({ status: 0 })
  const out = path.join(dir, 'host-a')
  expect(fs.readdirSync(out).toSorted()).toEqual(['ca.crt', 'tls.crt', 'tls.key'])
  for (const file of [path.join(dir, 'ca.key'), ...fs.readdirSync(out).map((name) => path.join(out, name))]) {
    expect(fs.statSync(file).mode & 0o777).toBe(0o600)
  }
  expect(fs.statSync(dir).mode & 0o777).toBe(0o700)
  const leaf = new X509Certificate(read(out, 'tls.crt'))
  const authority = new X509Certificate(read(out, 'ca.crt'))
  expect(leaf.checkIssued(authority) && leaf.verify(authority.publicKey)).toBe(true)
  expect(leaf.subjectAltName).toBe('DNS:host-a')
  expect(leaf.subject).toContain('CN=host-a')
  expect([leaf.ca, authority.ca]).toEqual([false, true])
  expect(leaf.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1')
  expect(leaf.serialNumber).not.toBe(authority.serialNumber)
  for (const purpose of ['sslserver', 'sslclient']) {
    const words = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', path.join(out, 'ca.crt')]
    expect(execFileSync('openssl', [...words, path.join(out, 'tls.crt')], { encoding: 'utf8' })).toContain('OK')
  }
  const text = execFileSync('openssl', ['x509', '-in', path.join(dir, 'ca.crt'), '-noout', '-text'], {
    encoding: 'utf8',
  })
  expect(text).toContain('CA:TRUE, pathlen:0')
  expect(text).toContain('Certificate Sign, CRL Sign')
  // What is issued cannot issue.
  const inner = path.join(fresh(), 'inner')
  fs.mkdirSync(inner, { recursive: true })
  fs.copyFileSync(path.join(out, 'tls.crt'), path.join(inner, 'ca.crt'))
  fs.copyFileSync(path.join(out, 'tls.key'), path.join(inner, 'ca.key'))
  expect((await forebay('pki', 'issue', 'x', '--dir', inner)).err).toContain('not the certificate of a CA')
})

test('a fresh certificate is valid on hosts whose clocks are an hour behind, and no longer than its CA', async () => {
  const now = Date.now()
  const { notBefore, notAfter } = validityOf(now, 825)
  expect([now - notBefore.getTime(), notAfter.getTime() - now]).toEqual([3_600_000, 825 * 86_400_000])
  const dir = fresh()
  const processes = new RealProcesses()
  const late = now - 3649 * 86_400_000
  await initAuthority(processes, dir, late)
  const end = await issueNode(processes, { directory: dir, node: 'n', out: path.join(dir, 'n'), nowMs: now })
  expect(end).toEqual(new X509Certificate(read(dir, 'ca.crt')).validToDate)
  await expect(
    issueNode(processes, { directory: dir, node: 'n', out: path.join(dir, 'm'), nowMs: now + 2 * 86_400_000 }),
  ).rejects.toMatchObject({ code: 'CACHE_PKI_AUTHORITY' })
})

test('a name too long for a common name stands in the DNS name only', async () => {
  const dir = fresh()
  const node = `${'long-'.repeat(20)}name.example`
  await forebay('pki', 'init', '--dir', dir)
  expect(await forebay('pki', 'issue', node, '--dir', dir)).toMatchObject({ status: 0 })
  const leaf = new X509Certificate(read(dir, node, 'tls.crt'))
  expect([leaf.subjectAltName, leaf.subject]).toEqual([`DNS:${node}`, 'O=Forebay'])
})

test('nothing is written over', async () => {
  const dir = fresh()
  await forebay('pki', 'init', '--dir', dir)
  await forebay('pki', 'issue', 'a', '--dir', dir)
  const before = [read(dir, 'ca.key'), read(dir, 'a', 'tls.key')]
  expect((await forebay('pki', 'init', '--dir', dir)).err).toContain('CACHE_PKI_EXISTS')
  expect(await forebay('pki', 'issue', 'a', '--dir', dir)).toMatchObject({ status: 2 })
  expect(await forebay('pki', 'issue', 'b', '--dir', dir, '--out', path.join(dir, 'a'))).toMatchObject({ status: 2 })
  expect([read(dir, 'ca.key'), read(dir, 'a', 'tls.key')]).toEqual(before)
  const empty = fresh()
  fs.mkdirSync(empty)
  expect(await forebay('pki', 'issue', 'b', '--dir', dir, '--out', empty)).toMatchObject({ status: 0 })
})

test.each([
  [['pki'], 'init|issue is missing'],
  [['pki', 'make'], 'must be init or issue'],
  [['pki', 'issue'], 'NODE is missing'],
  [['pki', 'init', 'node'], 'one word too many'],
  [['pki', 'init', '--out', '/x'], '--out is for issue only'],
  [['pki', 'issue', 'a,DNS:b'], 'NODE must be'],
  [['pki', 'issue', '../a'], 'NODE must be'],
  [['pki', 'issue', 'a b'], 'NODE must be'],
  [['pki', 'issue', '$ENV::x'], 'NODE must be'],
  [['pki', 'issue', 'a', '--dir', '/nonexistent'], 'there is no CA'],
  [['pki', 'init', '--dir', '/proc/self/x'], 'cannot be written'],
])('%j is refused', async (words, problem) => {
  const { status, err } = await forebay(...words)
  expect(status).toBe(2)
  expect(err).toContain(problem)
})

test('a damaged CA, a key of another CA', async () => {
  const dir = fresh()
  const other = fresh()
  await forebay('pki', 'init', '--dir', dir)
  await forebay('pki', 'init', '--dir', other)
  fs.copyFileSync(path.join(other, 'ca.key'), path.join(dir, 'ca.key'))
  expect((await forebay('pki', 'issue', 'a', '--dir', dir)).err).toContain('ca.key is not the key of ca.crt')
  fs.writeFileSync(path.join(dir, 'ca.crt'), 'rubbish')
  expect((await forebay('pki', 'issue', 'a', '--dir', dir)).err).toContain('damaged')
  expect(fs.readdirSync(dir).toSorted()).toEqual(['ca.crt', 'ca.key'])
})

test('openssl missing or failing: said, and nothing is left behind', async () => {
  const dir = path.join(fresh(), 'pki')
  const failing = (exitCode: number): Processes => ({
    run: () => Promise.resolve({ exitCode, stdout: '', stderr: 'first\nunable to load key\n' }),
  })
  await expect(initAuthority(failing(127), dir, Date.now())).rejects.toMatchObject({
    code: 'CACHE_PKI_OPENSSL',
    remedy: 'Install it with: apt-get install openssl',
  })
  await expect(initAuthority(failing(1), dir, Date.now())).rejects.toThrow('unable to load key')
  expect(fs.readdirSync(path.dirname(dir))).toEqual([])
})
