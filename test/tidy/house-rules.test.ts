// Proves that each house rule sees what it forbids and lets its good neighbour pass.

import {
  BLOB_BYTES_MAX,
  brokenLinks,
  CHANGELOG_HEADINGS,
  changelogShape,
  emptyName,
  FILE_LINES_MAX,
  focusedTests,
  isSource,
  leftovers,
  lockProblems,
  machinePaths,
  missingHeader,
  titles,
  tooLarge,
  tooLong,
  unmirroredTest,
} from './house-rules.ts'

const PATHS = new Set(['base/units.ts', 'csi-driver/holder/holder.sh', 'docs/formats/journal.md'])
const sections = CHANGELOG_HEADINGS.map((heading) => `### ${heading}\n`).join('\n')

// Bad texts are put together from halves where a whole one would be found in this very file.
const whole = (...halves: string[]): string => halves.join('')
const root = whole('/ro', 'ot/')
const only = whole('on', 'ly')
const skip = whole('sk', 'ip')

const lock = (packages: object): string => JSON.stringify({ packages })
const native = { optionalDependencies: { '@a/native': '1.0.0' } }

const BAD: Record<string, string[]> = {
  'no header': missingHeader("import { a } from './a.ts'\n"),
  'no header after #!': missingHeader('#!/bin/sh\nset -eu\n'),
  'an empty comment as header': missingHeader('//\nconst a = 1\n'),
  'a file too long': tooLong('x\n'.repeat(FILE_LINES_MAX + 1)),
  'a leftover mark': leftovers(`// ${whole('TO', 'DO')}: later`),
  'a leftover mark in capitals': leftovers(`# ${whole('FIX', 'ME')}`),
  'three crosses': leftovers(`/* ${whole('XX', 'X')} */`),
  'a focused test': focusedTests(`test.${only}('a', () => {})`),
  'a focused table': focusedTests(`describe.${only}.each(ROWS)('a', () => {})`),
  'a skipped test': focusedTests(`  it.${skip}('a', () => {})`),
  'a test crossed out': focusedTests(whole('x', "it('a', () => {})")),
  'a path of one machine': machinePaths(`see "${root}forebay"`),
  'a path of one machine at the start': machinePaths(whole('/wo', 'rk/main')),
  'a barrel': emptyName('base/index.ts'),
  'an empty name': emptyName('csi-driver/engine/utils.ts'),
  'an empty name with a suffix': emptyName('base/helpers.test.ts'),
  'a test without source': unmirroredTest('test/unit/base/gone.test.ts', PATHS),
  'no test in test/unit': unmirroredTest('test/unit/base/units.ts', PATHS),
  'a large blob': tooLarge('docs/picture.png', BLOB_BYTES_MAX + 1),
  'no title': titles('## Part\n'),
  'two titles': titles('# One\n\n# Two\n'),
  'a title that comes late': titles('Text.\n\n# One\n'),
  'a broken link': brokenLinks('docs/a.md', '[gone](formats/gone.md)', (path) => PATHS.has(path)),
  'a link out of the folder': brokenLinks('docs/a.md', '[gone](../../x.md#part)', (path) => PATHS.has(path)),
  'a lock that names a host': lockProblems(lock({ 'node_modules/a': { resolved: 'http://host/a.tgz' } })),
  'a lock with a gap': lockProblems(lock({ 'node_modules/a': native })),
  'a changelog without Unreleased': changelogShape(`# Changelog\n\n## 1.0.0\n${sections}`),
  'a changelog with a heading too few': changelogShape('# Changelog\n\n## Unreleased\n\n### Behaviour\n'),
  'a changelog with a heading too many': changelogShape(`# Changelog\n\n## Unreleased\n${sections}\n### Fun\n`),
}

const GOOD: Record<string, string[]> = {
  'a header': missingHeader('// Owns a thing.\n'),
  'a header after #!': missingHeader('#!/bin/sh\n# Owns a thing.\n'),
  'a block of lines as header': missingHeader('/*\n * Owns a thing.\n */\n'),
  'a block as header': missingHeader('/* Owns a thing. */\n'),
  'a file just short enough': tooLong('x\n'.repeat(FILE_LINES_MAX)),
  'a template for mktemp': leftovers('mktemp -d /tmp/forebay.XXXXXX'),
  'a call named skip': focusedTests('cursor.skip(4)'),
  'a table of tests': focusedTests("test.each(ROWS)('%s', () => {})"),
  'a path below another': machinePaths('cd "$HOME/work/main" && ls ./root/ src/root/'),
  'a barrel that is a page': emptyName('csi-driver/observe/dashboard/index.html'),
  'a name': emptyName('base/units.ts'),
  'a mirrored test': unmirroredTest('test/unit/base/units.test.ts', PATHS),
  'a mirrored test of a script': unmirroredTest('test/unit/csi-driver/holder/holder.test.ts', PATHS),
  'a test elsewhere': unmirroredTest('test/property/gone.test.ts', PATHS),
  'a large lock file': tooLarge('package-lock.json', BLOB_BYTES_MAX + 1),
  'one title, and one in a block': titles('# One\n\n```sh\n# comment\n```\n'),
  'links that resolve': brokenLinks(
    'docs/a.md',
    '[here](formats/journal.md#x) [up](../base/units.ts) [web](https://example.org) [in](#part) `[no](link.md)`',
    (path) => PATHS.has(path),
  ),
  'a full lock': lockProblems(lock({ 'node_modules/a': native, 'node_modules/b/node_modules/@a/native': {} })),
  'a changelog': changelogShape(`# Changelog\n\n## Unreleased\n${sections}\n## 1.0.0\n\n### Behaviour\n`),
}

describe('house rules', () => {
  test.each(Object.keys(BAD))('see %s', (name) => {
    expect(BAD[name]).toHaveLength(1)
  })

  test.each(Object.keys(GOOD))('let pass %s', (name) => {
    expect(GOOD[name]).toEqual([])
  })

  test('know what source is', () => {
    const paths = ['base/a.ts', 'bin/forebay', '.ci/run', 'test/b.c', 'README.md', 'package.json', 'crds/x.yaml']
    expect(paths.filter(isSource)).toEqual(['base/a.ts', 'bin/forebay', '.ci/run', 'test/b.c'])
  })
})
