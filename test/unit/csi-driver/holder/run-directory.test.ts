// Proves that lock names are one per thing: different storages never share one, a name cannot leave the directory, and
// no name is longer than a file system takes.
import fc from 'fast-check'
import {
  runDirectory,
  storageLockFile,
  volumeLockFile,
  type StorageIdentity,
} from '../../../../csi-driver/holder/run-directory.ts'

const identities: fc.Arbitrary<StorageIdentity> = fc.oneof(
  fc.record({ kind: fc.constant('block' as const), major: fc.nat(999), minor: fc.nat(999) }),
  fc.record({
    kind: fc.constant('file' as const),
    directoryDevice: fc.nat(),
    directoryInode: fc.nat(),
    name: fc.string({ minLength: 1, maxLength: 255, unit: 'binary' }).filter((name) => !/[/\0]/.test(name)),
  }),
)

test('a lock file stays in its directory and fits a file name', () => {
  fc.assert(
    fc.property(identities, (identity) => {
      const file = storageLockFile(identity)
      expect(file).toMatch(/^\/run\/forebay\/locks\/[^/\n]+\.lock$/)
      return Buffer.byteLength(file.slice(file.lastIndexOf('/') + 1)) <= 255
    }),
  )
})

test('different storages have different locks', () => {
  fc.assert(
    fc.property(identities, identities, (a, b) => {
      const same = JSON.stringify(a) === JSON.stringify(b)
      expect(storageLockFile(a) === storageLockFile(b)).toBe(same)
    }),
  )
  const long = { kind: 'file', directoryDevice: 1, directoryInode: 2 } as const
  const [a, b] = ['a', 'b'].map((end) => storageLockFile({ ...long, name: 'x'.repeat(254) + end }))
  expect(a).not.toBe(b)
})

test('names', () => {
  expect(runDirectory('db1')).toBe('/run/forebay/volumes/db1')
  expect(volumeLockFile('db1')).toBe('/run/forebay/locks/volume-db1.lock')
  expect(storageLockFile({ kind: 'block', major: 8, minor: 17 })).toBe('/run/forebay/locks/storage-block-8-17.lock')
})
