// Proves that a configuration file is read as YAML into plain values, that mistakes of form are one problem, and that
// no text whatever makes the reader throw.
import fc from 'fast-check'
import { readSettings } from '../../../base/settings.ts'
import { serveSchema } from '../../../csi-driver/config.ts'
import { CONFIG_FILE_BYTES_MAX, readConfigText } from '../../../csi-driver/config-file.ts'

const settingsOf = (text: string) => {
  const file = readConfigText('f.yaml', text)
  if ('where' in file) throw new Error(file.problem)
  return readSettings(serveSchema, { flags: [{ name: 'dirty-age', text: '9s' }], file })
}

test('keys are flags in camel case; flags win', () => {
  const { settings, problems } = settingsOf(
    'backing: /dev/sdb\ncache: /c\ncacheSize: 1GiB\ndirtyAge: 5s\nsectorSize: 4096\nformatCache: true\n',
  )
  expect(problems).toEqual([])
  expect(settings).toMatchObject({
    backing: '/dev/sdb',
    cacheSize: 2 ** 30,
    dirtyAge: 9000,
    sectorSize: '4096',
    formatCache: true,
  })
})

test('unknown keys and wrong values are named with the file', () => {
  const { problems } = settingsOf('backing: /dev/sdb\ncache: /c\ncachSize: 1GiB\nresource: tape\nnode: [a]\n')
  expect(problems.map(({ where, problem }) => `${where} ${problem}`)).toEqual([
    'cachSize in f.yaml is unknown; did you mean cacheSize?',
    expect.stringContaining('resource in f.yaml is none of flash, memory'),
    'node in f.yaml must be a single value',
  ])
})

test.each([
  ['a: b: c', 'is not valid YAML'],
  ['a: 1\na: 2', 'is not valid YAML'],
  ['a: &x 1\nb: *x', 'is not valid YAML'],
  ['\t- x', 'is not valid YAML'],
  ['x'.repeat(CONFIG_FILE_BYTES_MAX + 1), 'is too large'],
])('%p is refused', (text, expected) => {
  expect(readConfigText('f.yaml', text)).toEqual({ where: '--config', problem: expect.stringContaining(expected) })
})

test('an empty file has no settings', () => {
  expect(settingsOf('').problems.map(({ where }) => where)).toEqual(['--backing', '--cache'])
})

test('no text makes it throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const file = readConfigText('f', text)
      if ('content' in file) readSettings(serveSchema, { file })
    }),
  )
})
