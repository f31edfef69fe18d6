// The identity of --tls-dir over time: read again when the files change, a broken new set leaves the old one in force,
// an end that comes near is said ahead. New connections take the new identity; open ones stay.
// The three files cannot be replaced in one step, so a set counts as broken only when it is still so at a second look.
import { statSync } from 'node:fs'
import { join } from 'node:path'

import type { Clock } from '../../../base/clock.ts'
import { CacheError } from '../../../base/errors.ts'
import type { EventLog } from '../../../base/log.ts'
import type { Ms } from '../../../base/units.ts'
import { checkTlsTexts, readTlsTexts, TLS_FILES, type TlsIdentity } from './tls-identity.ts'

/** Between two looks at the files where nobody connects. */
const LOOK_INTERVAL_MS = 5000
/** Connections that come sooner after a look use what it found. */
const LOOK_AGAIN_MS = 1000
/** The end is announced this long ahead, or in the last fifth of a shorter life. */
const EXPIRY_WARNING_MS = 14 * 86_400_000
const EXPIRY_WARNING_SHARE = 0.2
const EXPIRY_REPEAT_MS = 86_400_000

export class TlsFiles {
  private readonly tlsDir: string
  private readonly clock: Clock
  private readonly log: EventLog
  private identity: TlsIdentity
  /** What the files looked like when `identity` was read. */
  private signature: string
  private brokenSignature = ''
  private saidBroken = false
  private lookedAtMs: Ms
  private warnedAtMs: Ms = Number.NEGATIVE_INFINITY
  private readonly interval: NodeJS.Timeout

  /** Throws CacheError where the files cannot be used. */
  constructor(tlsDir: string, clock: Clock, log: EventLog) {
    this.tlsDir = tlsDir
    this.clock = clock
    this.log = log
    this.signature = this.signatureOf()
    this.identity = checkTlsTexts(readTlsTexts(tlsDir), tlsDir, clock.wallMs())
    this.lookedAtMs = clock.monotonicMs()
    this.warnOfExpiry()
    this.interval = setInterval(() => this.look(), LOOK_INTERVAL_MS)
    this.interval.unref()
  }

  /** The identity to use for a new connection. */
  current(): TlsIdentity {
    if (this.clock.monotonicMs() - this.lookedAtMs >= LOOK_AGAIN_MS) this.look()
    return this.identity
  }

  /** Looks at the files no more. */
  close(): void {
    clearInterval(this.interval)
  }

  /** Reads the files again if they have changed. Never throws. */
  look(): void {
    this.lookedAtMs = this.clock.monotonicMs()
    const signature = this.signatureOf()
    if (signature !== this.signature) this.readAgain(signature)
    this.warnOfExpiry()
  }

  private readAgain(signature: string): void {
    try {
      const identity = checkTlsTexts(readTlsTexts(this.tlsDir), this.tlsDir, this.clock.wallMs())
      if (identity.node !== this.identity.node) {
        throw new CacheError('invalid', 'CACHE_TLS_NODE', `names another node node=${identity.node}`)
      }
      this.identity = identity
      this.signature = signature
      this.warnedAtMs = Number.NEGATIVE_INFINITY
      this.log.event('tls.files.read_again', { tlsDir: this.tlsDir, end: isoDate(identity.notAfterMs) })
    } catch (error) {
      if (signature !== this.brokenSignature) {
        this.brokenSignature = signature
        this.saidBroken = false
      } else if (!this.saidBroken) {
        this.saidBroken = true
        const problem = error instanceof Error ? error.message : String(error)
        this.log.event('tls.files.broken', { tlsDir: this.tlsDir, problem, used: 'the files as they were' }, 'error')
      }
    }
  }

  private warnOfExpiry(): void {
    const { notBeforeMs, notAfterMs } = this.identity
    const leftMs = notAfterMs - this.clock.wallMs()
    const now = this.clock.monotonicMs()
    if (leftMs > Math.min(EXPIRY_WARNING_MS, (notAfterMs - notBeforeMs) * EXPIRY_WARNING_SHARE)) return
    if (now - this.warnedAtMs < EXPIRY_REPEAT_MS) return
    this.warnedAtMs = now
    const fields = { tlsDir: this.tlsDir, end: isoDate(notAfterMs), leftHours: Math.floor(leftMs / 3_600_000) }
    if (leftMs > 0) this.log.event('tls.certificate.ends_soon', fields, 'warning')
    else this.log.event('tls.certificate.expired', fields, 'error')
  }

  /** Changes when a file is replaced or written, also where a link above it is exchanged, as Kubernetes does. */
  private signatureOf(): string {
    return TLS_FILES.map((file) => {
      try {
        const { ino, dev, size, mtimeMs } = statSync(join(this.tlsDir, file))
        return `${dev}:${ino}:${size}:${mtimeMs}`
      } catch {
        return 'none'
      }
    }).join(' ')
  }
}

const isoDate = (ms: Ms): string => new Date(ms).toISOString()
