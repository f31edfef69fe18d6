// Certificates for tests: a CA and --tls-dir directories of nodes, right ones and wrong ones, made as `forebay pki`
// makes them. Needs the program openssl.
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeAuthority, makeNodeSet } from '../../csi-driver/cli/pki/authority.ts'
import { signCertificate, type Signer, type Validity, validityOf } from '../../csi-driver/cli/pki/certificate.ts'
import { withOpenssl } from '../../csi-driver/cli/pki/openssl.ts'
import { RealProcesses } from '../../csi-driver/io/real/exec.ts'

const processes = new RealProcesses()
const DAY_MS = 86_400_000

/** From `fromDays` to `toDays` of now. */
export function days(fromDays: number, toDays: number): Validity {
  const now = Date.now()
  return { notBefore: new Date(now + fromDays * DAY_MS), notAfter: new Date(now + toDays * DAY_MS) }
}

export class TestAuthority {
  readonly signer: Signer

  private constructor(signer: Signer) {
    this.signer = signer
  }

  static async make(validity = validityOf(Date.now(), 365)): Promise<TestAuthority> {
    return new TestAuthority(await makeAuthority(processes, validity))
  }

  /** Writes ca.crt, tls.crt and tls.key of a node. Returns the directory. */
  async issue(directory: string, node: string, validity = validityOf(Date.now(), 30)): Promise<string> {
    return writeSet(directory, await makeNodeSet(processes, this.signer, node, validity))
  }

  /** A certificate with anything in it, for a key of its own. */
  async sign(dnsName: string, commonName: string | null): Promise<{ certificate: string; key: string }> {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const wanted = { kind: 'node', commonName, dnsName, validity: validityOf(Date.now(), 30) } as const
    const certificate = await withOpenssl(processes, (openssl) => signCertificate(openssl, key, this.signer, wanted))
    return { certificate, key }
  }
}

export function writeSet(directory: string, files: Readonly<Record<string, string>>): string {
  mkdirSync(directory, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text, { mode: 0o600 })
  return directory
}
