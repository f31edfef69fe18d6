// A small project with planted mistakes, written to a temporary folder and held against the real configuration.
//
// The files live in a table inside each test instead of a folder of fixtures: the reader sees rule and violation side
// by side, and no linter, formatter or house rule ever meets them in this repository.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export const PROJECT_ROOT = join(import.meta.dirname, '../..')

const CONFIGURATION = ['package.json', 'tsconfig.json', '.oxlintrc.json', '.dependency-cruiser.cjs']

/** Writes `files` (path → text) beside the real configuration and returns the folder; the caller removes it. */
export function plantTree(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'forebay-planted-'))
  for (const name of CONFIGURATION) copyFileSync(join(PROJECT_ROOT, name), join(root, name))
  symlinkSync(join(PROJECT_ROOT, 'node_modules'), join(root, 'node_modules'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

export function removeTree(root: string): void {
  rmSync(root, { recursive: true, force: true })
}

/** Runs a tool from node_modules/.bin in `cwd` and returns what it printed; a crash of the tool is an error. */
export function runTool(tool: string, args: readonly string[], cwd: string): string {
  const result = spawnSync(join(PROJECT_ROOT, 'node_modules/.bin', tool), args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (result.error) throw result.error
  if (result.stdout === '') throw new Error(`${tool} printed nothing: ${result.stderr}`)
  return result.stdout
}
