// What a failed TLS connection means, as an IoError: EACCES where a certificate or the protocol was refused, by us or by
// the other side; ETIMEDOUT for a handshake without end; the errno where the connection itself failed. Certificates
// fail with the codes of OpenSSL's verification (CERT_HAS_EXPIRED), alerts of the other side with ERR_SSL_….
import { IoError } from '../../../base/errors.ts'
import { errnoName } from './errno.ts'

/** Code of a handshake that took longer than its limit. */
export const HANDSHAKE_TIMEOUT_CODE = 'ERR_TLS_HANDSHAKE_TIMEOUT'

const OTHER_CA = "the other side's certificate is of another CA"
const CLOCKS = 'or the clocks of the two hosts are far apart'

/** In words. The first pattern that matches the code counts. */
// biome-ignore format: a table
const REASONS: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^CERT_HAS_EXPIRED$/, `the other side's certificate has expired, ${CLOCKS}`],
  [/^CERT_NOT_YET_VALID$/, `the other side's certificate is not valid yet, ${CLOCKS}`],
  [/SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED/, OTHER_CA],
  [/^INVALID_PURPOSE$/, "the other side's certificate is not for client and server authentication"],
  [/DID_NOT_RETURN_A_CERTIFICATE/, 'the other side showed no certificate'],
  [/ALERT_(UNKNOWN_CA|CERTIFICATE_UNKNOWN|BAD_CERTIFICATE)/, 'the other side does not accept our certificate, which may be of another CA'],
  [/ALERT_CERTIFICATE_EXPIRED/, `the other side finds our certificate expired, ${CLOCKS}`],
  [/ALERT_CERTIFICATE_REQUIRED/, 'the other side asks for our certificate'],
  [/^(ECONNRESET|EPIPE)$/, 'the other side broke off, perhaps since it does not accept our certificate'],
  [/UNSUPPORTED_PROTOCOL|ALERT_PROTOCOL_VERSION/, 'the other side does not speak TLS 1.3'],
  [/WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|UNEXPECTED_MESSAGE|BAD_RECORD_TYPE/, 'the other side does not speak TLS'],
]

const ACCESS = /^ERR_SSL_|^CERT_|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|^INVALID_(CA|PURPOSE)$|^PATH_LENGTH_EXCEEDED$/

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null
  return typeof code === 'string' ? code : ''
}

/** Why a connection failed, for people. */
export function tlsReason(error: unknown): string {
  const code = codeOf(error)
  if (code === HANDSHAKE_TIMEOUT_CODE) return 'the handshake took too long'
  const known = REASONS.find(([pattern]) => pattern.test(code))
  if (known !== undefined) return `${known[1]} code=${code}`
  if (code !== '') return `code=${code}`
  return error instanceof Error ? error.message : String(error)
}

/** `what` says what failed and on what, with values as key=value. */
export function tlsIoError(error: unknown, what: string): IoError {
  const code = codeOf(error)
  if (code === HANDSHAKE_TIMEOUT_CODE) return new IoError('ETIMEDOUT', `${what} reason="${tlsReason(error)}"`)
  if (ACCESS.test(code)) return new IoError('EACCES', `${what} reason="${tlsReason(error)}"`)
  const errno = errnoName(error)
  return new IoError(errno, `${what} errno=${errno}`)
}
