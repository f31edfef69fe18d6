// Proves what a failed TLS connection means to its caller: EACCES for whatever somebody refused, ETIMEDOUT for a
// handshake without end, the errno for the rest; and that clocks are named where they may be the cause.
import { tlsIoError, tlsReason } from '../../../../../csi-driver/io/real/tls-errors.ts'

test.each<[string, string, RegExp]>([
  ['CERT_HAS_EXPIRED', 'EACCES', /has expired, or the clocks of the two hosts are far apart/],
  ['CERT_NOT_YET_VALID', 'EACCES', /not valid yet, or the clocks/],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'EACCES', /of another CA/],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'EACCES', /of another CA/],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'EACCES', /of another CA/],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'EACCES', /of another CA/],
  ['INVALID_PURPOSE', 'EACCES', /not for client and server/],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'EACCES', /asks for our certificate/],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'EACCES', /does not accept our certificate/],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'EACCES', /finds our certificate expired, or the clocks/],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'EACCES', /does not speak TLS 1\.3/],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'EACCES', /does not speak TLS code/],
  ['ERR_SSL_SOMETHING_NEW', 'EACCES', /code=ERR_SSL_SOMETHING_NEW/],
  ['ERR_TLS_HANDSHAKE_TIMEOUT', 'ETIMEDOUT', /took too long/],
  ['ECONNREFUSED', 'ECONNREFUSED', /code=ECONNREFUSED/],
  ['ECONNRESET', 'ECONNRESET', /broke off/],
  ['whatever', 'EIO', /code=whatever/],
])('%s', (code, errno, reason) => {
  const error = Object.assign(new Error('x'), { code })
  expect(tlsIoError(error, 'connect failed node=b')).toMatchObject({
    code: errno,
    message: expect.stringMatching(/^connect failed node=b (reason|errno)=/) as string,
  })
  expect(tlsReason(error)).toMatch(reason)
})

test('what is no error', () => {
  expect(tlsReason('text')).toBe('text')
  expect(tlsReason(new Error('words'))).toBe('words')
  expect(tlsIoError(null, 'x').code).toBe('EIO')
})
