// Holds the house rules against every file of this repository.
//
// Which files: those that git tracks; in a copy without git, all that are not installed or produced. Each rule reports
// all its complaints at once, as `path: complaint`.

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import * as rules from './house-rules.ts'
import { PROJECT_ROOT } from './planted-tree.ts'

const PRODUCED = new Set(['.git', 'node_modules', 'dist', 'coverage', 'test-results'])

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (PRODUCED.has(entry.name)) return []
    return entry.isDirectory() ? walk(path) : [relative(PROJECT_ROOT, path)]
  })
}

function trackedFiles(): string[] {
  try {
    const output = execFileSync('git', ['ls-files', '-z'], { cwd: PROJECT_ROOT, encoding: 'utf8', stdio: 'pipe' })
    return output.split('\0').filter((path) => path !== '' && existsSync(join(PROJECT_ROOT, path)))
  } catch {
    return walk(PROJECT_ROOT)
  }
}

const paths = trackedFiles()
const pathSet = new Set(paths)
const read = (path: string): string => readFileSync(join(PROJECT_ROOT, path), 'utf8')
const isText = (path: string): boolean => !/\.(bin|png|ico|gz)$/.test(path)
const isTest = (path: string): boolean => path.endsWith('.test.ts')
const isMarkdown = (path: string): boolean => path.endsWith('.md')

/** All complaints of `rule` over the files that `which` picks; picking none is a complaint, too. */
function complaints(which: (path: string) => boolean, rule: (path: string) => string[]): string[] {
  const picked = paths.filter(which)
  if (picked.length === 0) return ['no file was looked at']
  return picked.flatMap((path) => rule(path).map((complaint) => `${path}: ${complaint}`))
}

describe('tidy', () => {
  test('every source file opens with a comment that says what it owns', () => {
    expect(complaints(rules.isSource, (path) => rules.missingHeader(read(path)))).toEqual([])
  })

  test('no source file is too long', () => {
    expect(complaints(rules.isSource, (path) => rules.tooLong(read(path)))).toEqual([])
  })

  test('nothing is left unfinished', () => {
    expect(complaints(isText, (path) => rules.leftovers(read(path)))).toEqual([])
  })

  test('no test is focused or skipped', () => {
    expect(complaints(isTest, (path) => rules.focusedTests(read(path)))).toEqual([])
  })

  test('no file names a path of one machine', () => {
    expect(complaints(isText, (path) => rules.machinePaths(read(path)))).toEqual([])
  })

  test('every file is named after what it defines', () => {
    expect(complaints(() => true, rules.emptyName)).toEqual([])
  })

  test('every unit test has its source', () => {
    expect(complaints(isTest, (path) => rules.unmirroredTest(path, pathSet))).toEqual([])
  })

  test('no large file', () => {
    const size = (path: string): number => statSync(join(PROJECT_ROOT, path)).size
    expect(
      complaints(
        () => true,
        (path) => rules.tooLarge(path, size(path)),
      ),
    ).toEqual([])
  })

  test('every document has one title', () => {
    expect(complaints(isMarkdown, (path) => rules.titles(read(path)))).toEqual([])
  })

  test('every link to a file resolves', () => {
    const exists = (path: string): boolean => existsSync(join(PROJECT_ROOT, path))
    expect(complaints(isMarkdown, (path) => rules.brokenLinks(path, read(path), exists))).toEqual([])
  })

  test('the lock file is whole and names no host', () => {
    expect(rules.lockProblems(read('package-lock.json'))).toEqual([])
  })

  test('the changelog has its shape', () => {
    expect(rules.changelogShape(read('CHANGELOG.md'))).toEqual([])
  })
})
