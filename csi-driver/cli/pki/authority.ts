// A private CA in a directory: ca.crt and ca.key, and what it issues: one directory for each node with ca.crt, tls.crt
// and tls.key, as --tls-dir wants it. A set appears whole or not at all (made aside, then renamed), files have mode
// 0600, nothing that exists is written over.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { CacheError } from '../../../base/errors.ts'
import type { Processes } from '../../io/process.ts'
import { errnoName } from '../../io/real/errno.ts'
import {
  COMMON_NAME_CHARACTERS_MAX,
  newKey,
  signCertificate,
  type Signer,
  type Validity,
  validityOf,
} from './certificate.ts'
import { withOpenssl } from './openssl.ts'

export const AUTHORITY_DAYS = 3650
/** Two years and a quarter; the end is announced two weeks ahead. */
export const NODE_DAYS = 825

const AUTHORITY_FILES = ['ca.crt', 'ca.key'] as const

/** Makes a CA in `directory`, which must be empty or not exist. Throws CacheError. */
export async function initAuthority(processes: Processes, directory: string, nowMs: number): Promise<void> {
  await newSet(directory, async () => {
    const { certificate, key } = await makeAuthority(processes, validityOf(nowMs, AUTHORITY_DAYS))
    return { 'ca.crt': certificate, 'ca.key': key }
  })
}

/** Issues the set of one node into `out`, which must be empty or not exist. Returns the end of its life. */
export async function issueNode(
  processes: Processes,
  wanted: { readonly directory: string; readonly node: string; readonly out: string; readonly nowMs: number },
): Promise<Date> {
  const authority = await readAuthority(wanted.directory, wanted.nowMs)
  const end = new X509Certificate(authority.certificate).validToDate
  const { notBefore, notAfter } = validityOf(wanted.nowMs, NODE_DAYS)
  const validity = { notBefore, notAfter: notAfter < end ? notAfter : end }
  await newSet(wanted.out, () => makeNodeSet(processes, authority, wanted.node, validity))
  return validity.notAfter
}

export async function makeAuthority(processes: Processes, validity: Validity): Promise<Signer> {
  const key = newKey()
  const wanted = { kind: 'authority', commonName: 'Forebay CA', dnsName: '', validity } as const
  return { key, certificate: await withOpenssl(processes, (openssl) => signCertificate(openssl, key, null, wanted)) }
}

/** Texts of ca.crt, tls.crt and tls.key. */
export async function makeNodeSet(
  processes: Processes,
  authority: Signer,
  node: string,
  validity: Validity,
): Promise<Record<'ca.crt' | 'tls.crt' | 'tls.key', string>> {
  const key = newKey()
  const commonName = node.length <= COMMON_NAME_CHARACTERS_MAX ? node : null
  const wanted = { kind: 'node', commonName, dnsName: node, validity } as const
  const certificate = await withOpenssl(processes, (openssl) => signCertificate(openssl, key, authority, wanted))
  return { 'ca.crt': authority.certificate, 'tls.crt': certificate, 'tls.key': key }
}

async function readAuthority(directory: string, nowMs: number): Promise<Signer> {
  const [certificate = '', key = ''] = await Promise.all(
    AUTHORITY_FILES.map((name) => readAuthorityFile(path.join(directory, name))),
  )
  let problem: string | null
  try {
    const parsed = new X509Certificate(certificate)
    if (!parsed.ca) problem = 'ca.crt is not the certificate of a CA'
    else if (!parsed.checkPrivateKey(createPrivateKey(key))) problem = 'ca.key is not the key of ca.crt'
    else if (parsed.validToDate.getTime() <= nowMs) problem = `the CA ended on ${parsed.validToDate.toISOString()}`
    else problem = null
  } catch (error) {
    problem = `ca.crt or ca.key is damaged cause=${String(error)}`
  }
  if (problem === null) return { certificate, key }
  throw new CacheError('invalid', 'CACHE_PKI_AUTHORITY', `${problem} directory=${directory}`, {
    remedy: 'Make a new CA elsewhere with `forebay pki init --dir PATH` and issue every node anew from it.',
  })
}

async function readAuthorityFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const cause = errnoName(error)
    throw new CacheError('invalid', 'CACHE_PKI_AUTHORITY', `there is no CA file=${file} cause=${cause}`, {
      remedy: 'Make one with `forebay pki init`, on one host only, or name its directory with --dir.',
      cause: error,
    })
  }
}

/** Writes the files that `make` returns to a new directory. */
async function newSet(directory: string, make: () => Promise<Readonly<Record<string, string>>>): Promise<void> {
  await refuseFilled(directory)
  const parent = path.dirname(directory)
  let aside: string | null = null
  try {
    await mkdir(parent, { recursive: true })
    aside = await mkdtemp(path.join(parent, '.forebay-pki-'))
    for (const [name, text] of Object.entries(await make())) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- two or three small files
      await writeFile(path.join(aside, name), text, { mode: 0o600, flag: 'wx', flush: true })
    }
    // Onto nothing or an empty directory; one that was filled meanwhile is refused by the kernel.
    await rename(aside, directory)
  } catch (error) {
    if (aside !== null) await rm(aside, { recursive: true, force: true })
    if (error instanceof CacheError) throw error
    const cause = errnoName(error)
    throw new CacheError('invalid', 'CACHE_PKI_WRITE', `cannot be written directory=${directory} cause=${cause}`, {
      remedy: 'Choose a directory that is empty or does not exist, on a disk with room; run as root.',
      cause: error,
    })
  }
}

async function refuseFilled(directory: string): Promise<void> {
  let names: string[]
  try {
    names = await readdir(directory)
  } catch (error) {
    if (errnoName(error) === 'ENOENT') return
    names = ['?']
  }
  if (names.length === 0) return
  throw new CacheError('invalid', 'CACHE_PKI_EXISTS', `there is something already directory=${directory}`, {
    remedy: 'Nothing is written over: choose a directory that is empty or does not exist.',
  })
}
