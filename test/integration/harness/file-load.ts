// Loads for file systems on a volume, and what a tree of files holds, for comparing one with another.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { command } from './test-bed.ts'

const PROGRAM = fileURLToPath(new URL('stress-program.ts', import.meta.url))

export interface StressReport {
  readonly operations: number
  readonly deviceErrors: number
}

/** Several processes at one tree for a while. */
export async function stressTree(directory: string, seed: number, ms: number): Promise<StressReport> {
  mkdirSync(directory, { recursive: true })
  const flags = ['--disable-warning=ExperimentalWarning', PROGRAM, directory, String(ms)]
  const outputs = await Promise.all([1, 2, 3, 4].map((n) => command(process.execPath, ...flags, String(seed * 10 + n))))
  const reports = outputs.map((output) => JSON.parse(output) as StressReport)
  return {
    operations: reports.reduce((sum, report) => sum + report.operations, 0),
    deviceErrors: reports.reduce((sum, report) => sum + report.deviceErrors, 0),
  }
}

/** One line for each name below a directory: kind, path, checksum of its content. */
export function describeTree(root: string): string[] {
  const lines: string[] = []
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const full = path.join(entry.parentPath, entry.name)
    const name = path.relative(root, full)
    if (entry.isSymbolicLink()) lines.push(`link ${name} ${readlinkSync(full)}`)
    else if (entry.isFile()) lines.push(`file ${name} ${createHash('sha1').update(readFileSync(full)).digest('hex')}`)
    else lines.push(`directory ${name}`)
  }
  return lines.toSorted()
}
