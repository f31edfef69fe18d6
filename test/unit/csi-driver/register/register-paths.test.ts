// Proves that the names of register files sort like their versions, up to the largest version there can be.
import fc from 'fast-check'
import { generationName, registerPathsOf } from '../../../../csi-driver/register/register-paths.ts'

test('names under the state directory', () => {
  const paths = registerPathsOf('/var/lib/forebay')
  expect(paths.directory).toBe('/var/lib/forebay/registers')
  expect(paths.recordFile('tank', 12)).toBe('/var/lib/forebay/registers/tank/tank.0000000000000012')
})

test('the order of names is the order of versions', () => {
  const version = fc.nat({ max: Number.MAX_SAFE_INTEGER })
  fc.assert(fc.property(version, version, (a, b) => generationName(a) < generationName(b) === a < b))
})
