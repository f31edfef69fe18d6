// Who this node is towards others: ca.crt, tls.crt and tls.key of one directory, read whole and checked before anything
// uses them, so that what cannot work is said at the start and not by a failed handshake.
// The name of a node is a DNS name of its certificate: the one that is also its common name, or else the only one.
import { constants, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'

import { CacheError } from '../../../base/errors.ts'
import type { Ms } from '../../../base/units.ts'
import { NODE_NAME_PATTERN } from '../peer-network.ts'
import { errnoName } from './errno.ts'

export const TLS_FILES = ['ca.crt', 'tls.crt', 'tls.key'] as const
export type TlsFile = (typeof TLS_FILES)[number]

/** A file larger than this holds something else. */
const FILE_BYTES_MAX = 256 * 1024
/** Certificates of a file that are looked at. */
const CERTIFICATES_MAX = 32
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'

export interface TlsIdentity {
  readonly node: string
  /** For both directions: TLS 1.3, our key and chain, the CA that others must be of. */
  readonly options: SecureContextOptions
  /** Made of them, for connections that we begin. */
  readonly context: SecureContext
  readonly notBeforeMs: Ms
  readonly notAfterMs: Ms
}

export type TlsTexts = Readonly<Record<TlsFile, string>>

/** AES with 128 bits first: a quarter less CPU per byte than with 256, and nobody breaks either. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256'

export function readTlsTexts(tlsDir: string): TlsTexts {
  const read = (file: TlsFile): string => {
    const path = join(tlsDir, file)
    let text: string
    try {
      text = readFileSync(path, 'utf8')
    } catch (error) {
      throw problem('CACHE_TLS_UNREADABLE', `cannot be read file=${path} errno=${errnoName(error)}`, {
        remedy: `--tls-dir must hold ${TLS_FILES.join(', ')}. Make them with: forebay pki issue NODE`,
        cause: error,
      })
    }
    if (text.length > FILE_BYTES_MAX) throw problem('CACHE_TLS_UNREADABLE', `is too large file=${path}`, {})
    return text
  }
  return { 'ca.crt': read('ca.crt'), 'tls.crt': read('tls.crt'), 'tls.key': read('tls.key') }
}

/** Throws CacheError 'invalid' with a remedy for the first thing that is wrong. */
export function checkTlsTexts(texts: TlsTexts, tlsDir: string, wallMs: Ms): TlsIdentity {
  const path = (file: TlsFile): string => join(tlsDir, file)
  const authorities = certificatesOf(texts['ca.crt'], path('ca.crt'))
  const chain = certificatesOf(texts['tls.crt'], path('tls.crt'))
  const leaf = chain[0] as X509Certificate
  const key = keyOf(texts['tls.key'], path('tls.key'))
  if (!leaf.checkPrivateKey(key)) {
    throw problem('CACHE_TLS_KEY', `is not the key of the certificate file=${path('tls.key')}`, {
      remedy: `Put the certificate and the key that were made together into ${tlsDir}.`,
    })
  }
  const node = nodeNameOf(leaf)
  if (node === null) {
    throw problem('CACHE_TLS_NO_NAME', `names no node file=${path('tls.crt')} names="${leaf.subjectAltName ?? ''}"`, {
      remedy: 'The certificate needs one DNS name (subjectAltName), which is the name of the node.',
    })
  }
  checkPurpose(leaf, path('tls.crt'))
  for (const certificate of trustPath(chain, authorities, path)) checkValidity(certificate, wallMs, tlsDir)
  const options: SecureContextOptions = {
    ca: texts['ca.crt'],
    cert: texts['tls.crt'],
    key: texts['tls.key'],
    ciphers: CIPHERS,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // With it a resumed session would need a cache in the server, and there is none.
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
  return {
    node,
    options,
    context: contextOf(options, tlsDir),
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
  }
}

/** The node that a certificate names, or null. */
export function nodeNameOf(certificate: X509Certificate): string | null {
  // Names with unusual characters are quoted there; none of them can be a node's.
  const names = (certificate.subjectAltName ?? '')
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '"')
    .split(', ')
    .flatMap((entry) => (entry.startsWith('DNS:') ? [entry.slice('DNS:'.length)] : []))
    .filter((name) => NODE_NAME_PATTERN.test(name))
  const commonNames = certificate.subject.split('\n').flatMap((line) => (line.startsWith('CN=') ? [line.slice(3)] : []))
  const [only, second] = names
  if (only === undefined) return null
  if (second === undefined) return only
  return names.find((name) => commonNames.length === 1 && commonNames[0] === name) ?? null
}

function problem(code: `CACHE_${string}`, message: string, options: { remedy?: string; cause?: unknown }): CacheError {
  return new CacheError('invalid', code, message, options)
}

const UNREADABLE_REMEDY = { remedy: 'Make the files anew with: forebay pki issue NODE' }

function certificatesOf(text: string, path: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  try {
    const certificates = blocks.slice(0, CERTIFICATES_MAX).map((block) => new X509Certificate(block))
    if (certificates.length > 0) return certificates
  } catch (error) {
    throw problem('CACHE_TLS_UNREADABLE', `holds a damaged certificate file=${path}`, {
      ...UNREADABLE_REMEDY,
      cause: error,
    })
  }
  throw problem('CACHE_TLS_UNREADABLE', `holds no certificate in PEM form file=${path}`, UNREADABLE_REMEDY)
}

function keyOf(text: string, path: string): KeyObject {
  try {
    return createPrivateKey(text)
  } catch (error) {
    throw problem('CACHE_TLS_UNREADABLE', `holds no private key in PEM form without password file=${path}`, {
      ...UNREADABLE_REMEDY,
      cause: error,
    })
  }
}

function checkPurpose(leaf: X509Certificate, path: string): void {
  // Absent means: for everything.
  const purposes: readonly string[] | undefined = leaf.keyUsage
  if (purposes === undefined || [CLIENT_AUTH, SERVER_AUTH].every((one) => purposes.includes(one))) return
  throw problem('CACHE_TLS_PURPOSE', `is not for both client and server authentication file=${path}`, {
    remedy:
      'A node both connects and is connected to: the certificate needs the extended key usages clientAuth and serverAuth.',
  })
}

/** From our certificate up to one of the authorities; throws when there is no way. */
function trustPath(
  chain: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
  path: (file: TlsFile) => string,
): X509Certificate[] {
  const way: X509Certificate[] = [chain[0] as X509Certificate]
  for (let last = way[0]; last !== undefined && way.length <= CERTIFICATES_MAX; last = way.at(-1)) {
    const subject = last
    const issued = (issuer: X509Certificate): boolean => subject.checkIssued(issuer) && subject.verify(issuer.publicKey)
    const authority = authorities.find(issued)
    if (authority !== undefined) return [...way, authority]
    const between = chain.slice(1).find((one) => !way.includes(one) && issued(one))
    if (between === undefined) break
    way.push(between)
  }
  throw problem('CACHE_TLS_OTHER_CA', `is not of the CA in ${path('ca.crt')} file=${path('tls.crt')}`, {
    remedy: 'All nodes need certificates of one CA: copy ca.crt, tls.crt and tls.key as one set made by it.',
  })
}

function checkValidity(certificate: X509Certificate, wallMs: Ms, tlsDir: string): void {
  const clock = `clock=${new Date(wallMs).toISOString()}`
  const subject = certificate.subject.replaceAll('\n', ', ')
  if (certificate.validToDate.getTime() <= wallMs) {
    throw problem(
      'CACHE_TLS_EXPIRED',
      `certificate has expired directory=${tlsDir} subject="${subject}" end=${certificate.validToDate.toISOString()} ${clock}`,
      { remedy: 'Issue a new one: forebay pki issue NODE. If it is not that old, the clock of this host is wrong.' },
    )
  }
  if (certificate.validFromDate.getTime() > wallMs) {
    throw problem(
      'CACHE_TLS_NOT_YET_VALID',
      `certificate is not valid yet directory=${tlsDir} subject="${subject}" begin=${certificate.validFromDate.toISOString()} ${clock}`,
      { remedy: 'The clocks of this host and of the one that issued it are far apart: set them.' },
    )
  }
}

function contextOf(options: SecureContextOptions, tlsDir: string): SecureContext {
  try {
    return createSecureContext(options)
  } catch (error) {
    throw problem('CACHE_TLS_UNREADABLE', `cannot be used for TLS directory=${tlsDir} cause=${String(error)}`, {
      ...UNREADABLE_REMEDY,
      cause: error,
    })
  }
}
