// Runs every policy over every trace and puts the miss ratios into a table: for the terminal and, as Markdown, between
// two marks of docs/explanation/cache-policy.md.
import { withMarked } from '../run/marked-page.ts'
import { arcMisses } from './arc.ts'
import { lruMisses } from './lru.ts'
import { minMisses } from './min.ts'
import { s3FifoMisses } from './read-cache-policy.ts'
import { missCount, type ReplacementPolicy } from './replacement-policy.ts'
import { makeTrace, type NamedTrace } from './traces.ts'

/** The policies that compete, the product's first. */
export const COMPETITORS: Readonly<Record<string, ReplacementPolicy>> = {
  'S3-FIFO': s3FifoMisses,
  LRU: lruMisses,
  ARC: arcMisses,
}

export interface Line {
  readonly trace: string
  /** Misses per read, 0 … 1, in the order of COMPETITORS. */
  readonly ratios: readonly number[]
  /** Of the offline optimum. */
  readonly optimum: number
}

export interface Comparison {
  readonly slots: number
  readonly lines: readonly Line[]
}

export function compareOn(named: NamedTrace, seed: string, slots: number): Line {
  const trace = makeTrace(named, seed)
  const ratio = (policy: ReplacementPolicy): number => missCount(policy(trace, slots)) / trace.length
  return { trace: named.name, ratios: Object.values(COMPETITORS).map(ratio), optimum: ratio(minMisses) }
}

const percent = (ratio: number): string => (100 * ratio).toFixed(1)

/** What the policy misses that the optimum does not, in points. */
function gapCell(ratio: number, optimum: number): string {
  return `+${percent(ratio - optimum)}`
}

function rows({ slots, lines }: Comparison): string[][] {
  const names = Object.keys(COMPETITORS)
  const header = [`${slots.toLocaleString('en-US')} blocks`, ...names, 'optimum', `${names[0]} over it`]
  return [header, ...lines.map((line) => row(line))]
}

/** The least ratio of the competitors is in bold print; ratios that print alike are alike. */
function row({ trace, ratios, optimum }: Line): string[] {
  const least = percent(Math.min(...ratios))
  const cells = ratios.map(percent).map((cell) => (cell === least ? `**${cell}**` : cell))
  return [trace, ...cells, percent(optimum), gapCell(ratios[0] as number, optimum)]
}

export function markdownTable(comparison: Comparison): string {
  const [header = [], ...body] = rows(comparison)
  const rule = header.map((_, column) => (column === 0 ? '---' : '---:'))
  return [header, rule, ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

export function plainTable(comparison: Comparison): string {
  const table = rows(comparison).map((cells) => cells.map((cell) => cell.replaceAll('**', '')))
  const widths = table[0]?.map((_, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0))) ?? []
  const padded = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
  return table.map((cells) => cells.map(padded).join('  ').trimEnd()).join('\n')
}

const MARKS = { begin: '<!-- miss ratios: made by `make bench-policies` -->', end: '<!-- end of miss ratios -->' }

/** The page with these comparisons; throws where it has no marks. */
export function pageWith(page: string, comparisons: readonly Comparison[]): string {
  return withMarked(page, MARKS, comparisons.map(markdownTable).join('\n\n'))
}
