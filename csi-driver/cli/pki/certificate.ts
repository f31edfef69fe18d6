// One certificate, signed: what stands in those of the CA and of the nodes, and the call of `openssl ca` that makes one.
// Keys are EC P-256, made by Node. A certificate begins an hour before it was made, so that hosts whose clocks differ by
// less accept a fresh one.
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Openssl } from './openssl.ts'

export interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

export interface Signer {
  readonly certificate: string
  readonly key: string
}

export interface Wanted {
  readonly kind: 'authority' | 'node'
  /** Common name; at most COMMON_NAME_CHARACTERS_MAX. */
  readonly commonName: string | null
  /** The DNS name of a node; of no meaning for an authority. */
  readonly dnsName: string
  readonly validity: Validity
}

/** RFC 5280, ub-common-name. */
export const COMMON_NAME_CHARACTERS_MAX = 64
const CLOCK_DIFFERENCE_MS = 3_600_000
const DAY_MS = 86_400_000

export function validityOf(nowMs: number, days: number): Validity {
  return { notBefore: new Date(nowMs - CLOCK_DIFFERENCE_MS), notAfter: new Date(nowMs + days * DAY_MS) }
}

export function newKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString()
}

/** Signs a certificate for `key`; `signer` null: by itself. Returns PEM. */
export async function signCertificate(
  openssl: Openssl,
  key: string,
  signer: Signer | null,
  wanted: Wanted,
): Promise<string> {
  const configuration = await openssl.put('openssl.cnf', configurationOf(openssl, wanted))
  await openssl.put('index.txt', '')
  const keyFile = await openssl.put('subject.key', key)
  const request = openssl.path('subject.csr')
  const out = openssl.path('subject.crt')
  await openssl.run(['req', '-new', '-batch', '-config', configuration, '-key', keyFile, '-out', request])
  const signing =
    signer === null
      ? ['-selfsign', '-keyfile', keyFile]
      : [
          ...['-cert', await openssl.put('signer.crt', signer.certificate)],
          ...['-keyfile', await openssl.put('signer.key', signer.key)],
        ]
  await openssl.run([
    ...['ca', '-batch', '-config', configuration, '-in', request, '-out', out, '-notext'],
    ...['-startdate', utcTime(wanted.validity.notBefore), '-enddate', utcTime(wanted.validity.notAfter)],
    ...signing,
  ])
  return readFile(out, 'utf8')
}

/** YYYYMMDDHHMMSSZ */
function utcTime(date: Date): string {
  return `${date.toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`
}

function configurationOf(openssl: Openssl, { kind, commonName, dnsName }: Wanted): string {
  const extensions =
    kind === 'authority'
      ? ['basicConstraints = critical, CA:TRUE, pathlen:0', 'keyUsage = critical, keyCertSign, cRLSign']
      : [
          'basicConstraints = critical, CA:FALSE',
          'keyUsage = critical, digitalSignature',
          'extendedKeyUsage = serverAuth, clientAuth',
          `subjectAltName = DNS:${dnsName}`,
          'authorityKeyIdentifier = keyid',
        ]
  return [
    '[req]',
    'prompt = no',
    'distinguished_name = subject',
    'string_mask = utf8only',
    '[subject]',
    'O = Forebay',
    ...(commonName === null ? [] : [`CN = ${commonName}`]),
    '[ca]',
    'default_ca = this',
    '[this]',
    `new_certs_dir = ${openssl.directory}`,
    `database = ${openssl.path('index.txt')}`,
    'rand_serial = yes',
    'default_md = sha256',
    'policy = any',
    'x509_extensions = extensions',
    'unique_subject = no',
    '[any]',
    'organizationName = supplied',
    'commonName = optional',
    '[extensions]',
    'subjectKeyIdentifier = hash',
    ...extensions,
    '',
  ].join('\n')
}
