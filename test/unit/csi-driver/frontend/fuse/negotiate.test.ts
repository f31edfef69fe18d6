// Proves what is taken of what the kernel offers in INIT, and that a kernel which would lose data is refused.
import fc from 'fast-check'
import { CacheError } from '../../../../../base/errors.ts'
import { negotiate } from '../../../../../csi-driver/frontend/fuse/negotiate.ts'

const options = { sessionHex: '0123456789abcdef', maskResend: false }
/** Linux 6.18. */
const offer = { major: 7, minor: 45, flags: 0x73ff_fffb, flags2: 0x5fd }

test('a current kernel: what is needed and nothing more', () => {
  expect(negotiate(offer, options)).toEqual({
    minor: 40,
    flags: 0x4060_8021,
    flags2: 0x80,
    maxWrite: 1 << 20,
    resend: true,
    sessionHex: options.sessionHex,
  })
})

test('a kernel before 6.9, and one that is made to look like it, have no RESEND', () => {
  expect(negotiate({ ...offer, minor: 39, flags2: 0x5d }, options)).toMatchObject({
    resend: false,
    flags2: 0,
    minor: 39,
  })
  expect(negotiate(offer, { ...options, maskResend: true })).toMatchObject({ resend: false, flags2: 0 })
})

test('without MAX_PAGES a request holds 128 KiB', () => {
  expect(negotiate({ ...offer, flags: offer.flags & ~0x40_0000 }, options)).toMatchObject({ maxWrite: 128 << 10 })
})

test.each([
  [{ ...offer, flags: offer.flags & ~0x8000 }, 'CACHE_FUSE_NO_ASYNC_DIO'],
  [{ ...offer, minor: 31 }, 'CACHE_FUSE_VERSION'],
  [{ ...offer, major: 8 }, 'CACHE_FUSE_VERSION'],
])('%j is refused with %s and a remedy', (bad, code) => {
  const refused = negotiate(bad, options)
  expect(refused).toMatchObject({ code, kind: 'invalid' })
  expect(refused instanceof CacheError && refused.remedy).toBeTruthy()
})

test('never takes what is not offered, never a page cache, always ASYNC_DIO', () => {
  const word = fc.nat(0xffff_ffff)
  fc.assert(
    fc.property(word, word, fc.nat(60), (flags, flags2, minor) => {
      const session = negotiate({ major: 7, minor, flags, flags2 }, options)
      if (session instanceof CacheError) return
      expect(session.flags & ~flags).toBe(0)
      expect(session.flags2 & ~flags2).toBe(0)
      expect(session.flags & 0x8000).toBe(0x8000)
      expect(session.flags & (0x1_0000 | 0x1000)).toBe(0)
    }),
  )
})
