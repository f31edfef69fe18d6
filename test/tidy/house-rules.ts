// The house rules that no other tool knows, each a pure function from text (or names) to a list of complaints.
//
// An empty list means that the rule is kept. A complaint says where and what to do. Nothing here reads a file:
// tidy.test.ts holds the rules against this repository, house-rules.test.ts against texts that are known to be bad.

import { posix } from 'node:path'

export const FILE_LINES_MAX = 500
export const BLOB_BYTES_MAX = 1024 * 1024
export const CHANGELOG_HEADINGS = ['On-disk format', 'Wire protocol', 'CRDs', 'Behaviour', 'Internals'] as const

/** A line of text that breaks a rule. */
interface Finding {
  readonly line: number
  readonly text: string
}

function findLines(text: string, pattern: RegExp): Finding[] {
  return text
    .split('\n')
    .map((line, index) => ({ line: index + 1, text: line.trim() }))
    .filter((finding) => pattern.test(finding.text))
}

/** Source code: what a person writes and a machine runs. */
export function isSource(path: string): boolean {
  return /\.(ts|mts|mjs|cjs|js|sh|pl|c|h)$/.test(path) || path.startsWith('bin/') || path === '.ci/run'
}

/** A source file opens (after `#!`) with a comment that says what it owns. */
export function missingHeader(text: string): string[] {
  const first = text.replace(/^#!.*\n/, '')
  return /^(\/\/|\/\*+|#)[ \t]*[^\s*/]/.test(first) || /^\/\*\*?\n \*? *\w/.test(first)
    ? []
    : ['opens without a comment that says what the file owns']
}

export function tooLong(text: string): string[] {
  const lines = text.split('\n').length - 1
  return lines > FILE_LINES_MAX ? [`has ${lines} lines, ${FILE_LINES_MAX} at most: split it by what it defines`] : []
}

/** Marks of unfinished work, spelt so that this file does not hold them. */
const LEFTOVER = /\b(TO[D]O|FIX[M]E|X[X]X)\b/

export function leftovers(text: string): string[] {
  return findLines(text, LEFTOVER).map(({ line, text }) => `line ${line}: unfinished work: ${text}`)
}

/** Tests left out or singled out; a test that cannot run here says why through test/run/requires.ts. */
const FOCUS =
  /\b(?:test|it|describe)\.(?:\w+\.)*(?:only|skip|todo)\b[\w.]*\(|^\s*(?:xit|fit|xtest|xdescribe|fdescribe)\s*\(/

export function focusedTests(text: string): string[] {
  return findLines(text, FOCUS).map(({ line, text }) => `line ${line}: focused or skipped test: ${text}`)
}

const MACHINE_PATH = /(?<![\w.\-/}~])\/(?:work|root)\//

export function machinePaths(text: string): string[] {
  return findLines(text, MACHINE_PATH).map(({ line, text }) => `line ${line}: path of one machine: ${text}`)
}

/** A name that says nothing invites everything. */
export function emptyName(path: string): string[] {
  const name = posix.basename(path).split('.')[0] ?? ''
  if (name === 'index' && isSource(path)) return ['is a barrel: import the file that defines the thing']
  return /^(utils?|helpers?|misc|common|shared)$/.test(name)
    ? [`is called "${name}": name it after what it defines`]
    : []
}

/** test/unit/a/b.test.ts tests a/b.ts (or a/b.sh, a/b.c, a/b). */
export function unmirroredTest(path: string, allPaths: ReadonlySet<string>): string[] {
  const mirrored = /^test\/unit\/(.+)\.test\.ts$/.exec(path)?.[1]
  if (mirrored === undefined)
    return path.startsWith('test/unit/') ? ['is no test: test/unit holds a/b.test.ts only'] : []
  const sources = ['.ts', '.sh', '.c', ''].map((extension) => mirrored + extension)
  return sources.some((source) => allPaths.has(source)) ? [] : [`has no source ${mirrored}.ts`]
}

export function tooLarge(path: string, bytes: number): string[] {
  if (path === 'package-lock.json' || bytes <= BLOB_BYTES_MAX) return []
  return [`has ${bytes} bytes, ${BLOB_BYTES_MAX} at most`]
}

/** The text of a document without fenced blocks and inline code, line numbers kept. */
function prose(markdown: string): string {
  let fenced = false
  const lines = markdown.split('\n').map((line) => {
    const fence = /^\s*(```|~~~)/.test(line)
    if (fence) fenced = !fenced
    return fence || fenced ? '' : line.replace(/`[^`]*`/g, '')
  })
  return lines.join('\n')
}

export function titles(markdown: string): string[] {
  const found = findLines(prose(markdown), /^# \S/)
  if (found.length !== 1) return [`has ${found.length} titles ("# …"), needs exactly one`]
  return /^# \S/.test(markdown.trimStart()) ? [] : ['does not open with its title']
}

/** Links to files that are not there; `exists` is asked with paths relative to the repository. */
export function brokenLinks(path: string, markdown: string, exists: (path: string) => boolean): string[] {
  const complaints: string[] = []
  for (const [, target = ''] of prose(markdown).matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)) {
    if (/^([a-z]+:|#)/.test(target)) continue
    const file = posix.normalize(posix.join(posix.dirname(path), decodeURI(target.split('#')[0] ?? '')))
    if (!exists(file)) complaints.push(`links to ${target}, which does not exist`)
  }
  return complaints
}

/** Unreleased comes first, and every release has the five headings or fewer, in order, and no others. */
export function changelogShape(markdown: string): string[] {
  const complaints: string[] = []
  const [, ...releases] = prose(markdown).split(/^## /m)
  if (!releases[0]?.startsWith('Unreleased\n')) complaints.push('the first release is not "## Unreleased"')
  for (const [index, release] of releases.entries()) {
    const name = release.split('\n')[0] ?? ''
    const headings = [...release.matchAll(/^### (.+)$/gm)].map((match) => match[1] ?? '')
    const expected = index === 0 ? [...CHANGELOG_HEADINGS] : CHANGELOG_HEADINGS.filter((h) => headings.includes(h))
    if (headings.join() !== expected.join()) {
      complaints.push(`${name}: headings are ${headings.join(', ')}; expected ${expected.join(', ')}`)
    }
  }
  return complaints
}

interface Lock {
  readonly packages: Record<string, { resolved?: string; optionalDependencies?: Record<string, string> }>
}

/** The lock file names no registry host, and every optional package: `npm ci` refuses a lock that leaves one out. */
export function lockProblems(text: string): string[] {
  const { packages } = JSON.parse(text) as Lock
  const locked = new Set(Object.keys(packages).map((path) => path.replace(/^.*node_modules\//, '')))
  return Object.entries(packages).flatMap(([path, { resolved, optionalDependencies = {} }]) => [
    ...(resolved === undefined ? [] : [`${path} names a host: ${resolved}`]),
    ...Object.keys(optionalDependencies)
      .filter((name) => !locked.has(name))
      .map(
        (name) => `${path} has the optional package ${name}, which is not locked: run npm install on a full registry`,
      ),
  ])
}
