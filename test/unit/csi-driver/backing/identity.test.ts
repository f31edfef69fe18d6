// Proves: each difference between the device that is there and the one of the volume has its own refusal with a remedy.
import { compareIdentity, identityError } from '../../../../csi-driver/backing/identity.ts'
import type { BackingIdentity } from '../../../../csi-driver/io/backing-identity.ts'

const stored: BackingIdentity = { kind: 'block', id: 'wwid:naa.1', sizeBytes: 8192 }

test.each([
  ['same', {}, null],
  ['grown', { sizeBytes: 12_288 }, 'CACHE_BACKING_GROWN'],
  ['shrunk', { sizeBytes: 4096 }, 'CACHE_BACKING_SHRUNK'],
  ['other', { id: 'wwid:naa.2' }, 'CACHE_BACKING_OTHER'],
  ['other', { kind: 'file' }, 'CACHE_BACKING_OTHER'],
] as const)('%s', (comparison, change, code) => {
  const found: BackingIdentity = { ...stored, ...change }
  expect(compareIdentity(stored, found)).toBe(comparison)
  const error = identityError('/dev/x', stored, found)
  expect(error?.code ?? null).toBe(code)
  if (error !== null) {
    expect(error.message).toContain('/dev/x')
    expect(error.remedy).toMatch(/\.$/)
  }
})
