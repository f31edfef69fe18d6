// Proves: flags win over the file and the file over defaults; every problem is reported at once; unknown names get a
// suggestion; nothing that a file may hold makes the reader throw; printers and parsers agree.
import * as fc from 'fast-check'

import {
  addressSetting,
  choiceSetting,
  durationSetting,
  integerSetting,
  parseAddress,
  parseDuration,
  parseSize,
  pathSetting,
  printAddress,
  printDuration,
  printSize,
  requiredSetting,
  sizeSetting,
  switchSetting,
  textSetting,
} from '../../../base/setting-kinds.ts'
import { flagName, nearestName, readSettings, splitArguments } from '../../../base/settings.ts'
import { helpText, problemsText, referenceText } from '../../../base/settings-text.ts'

const words = { help: 'What it does.', why: 'Because.' }
const SCHEMA = {
  backing: requiredSetting(pathSetting({ ...words, default: null })),
  cacheSize: sizeSetting({ ...words, min: 64 * 1024 ** 2, max: 1024 ** 4, multipleOf: 4096, default: 4 * 1024 ** 3 }),
  dirtyAge: durationSetting({ ...words, min: 1000, max: 3_600_000, default: 30_000 }),
  writePolicy: choiceSetting({ ...words, choices: ['write-back', 'write-through'], default: 'write-back' }),
  metrics: addressSetting({ ...words, default: null, defaultText: 'none' }),
  allowVolatile: switchSetting(words),
  workers: integerSetting({ ...words, min: 1, max: 64, default: 16 }),
  label: textSetting({ ...words, default: 'x', maxLength: 5, pattern: /^[a-z]+$/, allowed: '1 to 5 small letters' }),
}

test('flags win over the file, the file over defaults', () => {
  const { settings, problems, given } = readSettings(SCHEMA, {
    flags: [
      { name: 'backing', text: '/dev/sda' },
      { name: 'dirty-age', text: '5s' },
    ],
    file: { name: 'f.yaml', content: { dirtyAge: '10s', cacheSize: '1GiB', allowVolatile: true, workers: 3 } },
  })
  expect(problems).toEqual([])
  expect(settings).toEqual({
    backing: '/dev/sda',
    cacheSize: 1024 ** 3,
    dirtyAge: 5000,
    writePolicy: 'write-back',
    metrics: null,
    allowVolatile: true,
    workers: 3,
    label: 'x',
  })
  expect(Object.isFrozen(settings)).toBe(true)
  expect([...given].toSorted()).toEqual(['allowVolatile', 'backing', 'cacheSize', 'dirtyAge', 'workers'])
})

test('types follow the schema', () => {
  const { settings } = readSettings(SCHEMA, {})
  const size: number = settings.cacheSize
  const policy: 'write-back' | 'write-through' = settings.writePolicy
  const metrics: { host: string; port: number } | null = settings.metrics
  expect([size, policy, metrics]).toEqual([4 * 1024 ** 3, 'write-back', null])
})

test('every problem at once, each with place, value and remedy', () => {
  const { problems } = readSettings(SCHEMA, {
    flags: [
      { name: 'cache-sise', text: '1GiB' },
      { name: 'dirty-age', text: '30' },
      { name: 'metrics', text: 'here' },
      { name: 'write-policy', text: 'fast' },
      { name: 'label', text: 'UPPER' },
      { name: 'workers', text: '65' },
      { name: 'workers', text: '1' },
    ],
    file: { name: 'f.yaml', content: { cacheSize: '1MiB', alowVolatile: true, backing: ['x'], zzz: 1 } },
  })
  expect(problemsText(problems)).toMatchInlineSnapshot(`
"cacheSize in f.yaml is too small; at least 64MiB given="1MiB"
alowVolatile in f.yaml is unknown; did you mean allowVolatile?
backing in f.yaml must be a single value
zzz in f.yaml is unknown
--cache-sise is unknown; did you mean cache-size?
--dirty-age needs one of the units ms, s, min, h, for example 30s given="30"
--metrics is not ADDR:PORT, for example 127.0.0.1:9750 given="here"
--write-policy is none of write-back, write-through given="fast"
--label must be 1 to 5 small letters given="UPPER"
--workers is too large; at most 64 given="65"
--workers is given more than once
--backing is required; What it does.
"
`)
})

test('a file of any content never throws and never passes unnoticed', () => {
  fc.assert(
    fc.property(fc.anything(), (content) => {
      const { problems } = readSettings(SCHEMA, { file: { name: 'f', content } })
      expect(problems.length).toBeGreaterThan(0)
    }),
  )
  for (const content of [{ __proto__: null, constructor: 1 }, { toString: 'x' }, JSON.parse('{"__proto__":"x"}')]) {
    expect(readSettings(SCHEMA, { file: { name: 'f', content } }).problems).toHaveLength(2)
  }
})

test('any text of a flag parses or is a problem', () => {
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(SCHEMA)), fc.string(), (key, text) => {
      const result = readSettings(SCHEMA, { flags: [{ name: flagName(key), text }] })
      expect(result.given.has(key as 'backing')).toBe(true)
    }),
  )
})

test('sizes and durations round-trip', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      expect(parseSize(printSize(value))).toEqual({ ok: true, value })
      expect(parseDuration(printDuration(value))).toEqual({ ok: true, value })
    }),
  )
  expect(parseSize('1.5GiB')).toEqual({ ok: true, value: 1.5 * 1024 ** 3 })
  expect(parseSize('1.3B').ok).toBe(false)
  expect(parseSize('4 gb').ok).toBe(false)
  expect(parseSize('-1').ok).toBe(false)
  expect(parseSize('99999999TiB').ok).toBe(false)
  expect(parseDuration('0.5s')).toEqual({ ok: true, value: 500 })
})

test('addresses round-trip', () => {
  for (const text of ['127.0.0.1:9750', '[::1]:0', 'host.example:65535']) {
    const parsed = parseAddress(text)
    expect(parsed.ok && printAddress(parsed.value)).toBe(text)
  }
  expect(parseAddress(':80')).toEqual({ ok: true, value: { host: '::', port: 80 } })
  for (const text of ['', ':', '::1:80', '1.2.3.4', 'a:99999', 'a b:1']) expect(parseAddress(text).ok).toBe(false)
})

test('arguments are split', () => {
  expect(
    splitArguments(SCHEMA, ['vol', '--cache-size', '1GiB', '--allow-volatile', 'x', '--dirty-age=5s', '--', '--y']),
  ).toEqual({
    positionals: ['vol', 'x', '--y'],
    flags: [
      { name: 'cache-size', text: '1GiB' },
      { name: 'allow-volatile', text: '' },
      { name: 'dirty-age', text: '5s' },
    ],
    problems: [],
  })
  expect(splitArguments(SCHEMA, ['-x', '--backing', '--allow-volatile']).problems).toEqual([
    { where: '-x', problem: 'is not a flag; flags begin with --' },
    { where: '--backing', problem: 'needs a value: PATH' },
  ])
})

test('suggestions', () => {
  expect(nearestName('writ-policy', ['write-policy', 'cache'])).toBe('write-policy')
  expect(nearestName('qqqqq', ['write-policy', 'cache'])).toBeNull()
  expect(nearestName('x'.repeat(100_000), ['write-policy'])).toBeNull()
})

test('help and reference name every setting', () => {
  const help = helpText(SCHEMA)
  const reference = referenceText(SCHEMA)
  for (const key of Object.keys(SCHEMA)) {
    expect(help).toContain(`--${flagName(key)}`)
    expect(reference).toContain(`\`${key}\``)
  }
  expect(help).toContain('Default: 4GiB.')
  expect(Math.max(...help.split('\n').map((line) => line.length))).toBeLessThanOrEqual(78)
})
