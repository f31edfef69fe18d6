// The results in Markdown, for the terminal and for pages of the documentation: the machine, the ratios with their targets,
// the rows, the tables of single parts.
import type { Results, Row, Spread, Table } from './report.ts'
import { ALL_TARGETS, isReached, type Target } from './targets.ts'
import type { WorkloadName } from './workloads.ts'

/** What a page may ask for. `headline`: the rows that say most, in fewer columns. */
export const SECTIONS = ['machine', 'targets', 'headline', 'rows', 'tables'] as const
export type Section = (typeof SECTIONS)[number]

const HEADLINE: readonly WorkloadName[] = ['read32', 'write32', 'flushedWrite32']

function figure(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (Math.abs(value) >= 1000) return Math.round(value).toString()
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2)
}

function withSpread({ median, min, max }: Spread): string {
  return `${figure(median)} (${figure(min)}–${figure(max)})`
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function targetLine(target: Target, results: Results): string {
  const value = results.ratios[target.key] ?? null
  const spread = results.ratioSpreads[target.key]
  const shown =
    value === null
      ? '-'
      : spread === undefined
        ? figure(value)
        : withSpread({ median: value, min: spread[0], max: spread[1] })
  const [sign, reached] =
    target.bound === 'none'
      ? ['-', '-']
      : [
          `${target.bound === 'at least' ? '≥' : '≤'} ${target.value}`,
          value === null ? '-' : isReached(target, value) ? 'yes' : '**no**',
        ]
  return line([`\`${target.key}\``, target.meaning.replaceAll('|', String.raw`\|`), shown, sign, reached])
}

function tableFigure(value: number): string {
  return Number.isInteger(value) ? String(value) : figure(value)
}

function tableLines({ title, columns, lines }: Table): string[] {
  const shown = lines.map((cells) => line(cells.map((cell) => (typeof cell === 'number' ? tableFigure(cell) : cell))))
  return ['', `${title}:`, '', line(columns), line(columns.map(() => '---')), ...shown]
}

interface Column {
  readonly title: string
  readonly of: (row: Row) => string
}

function served(spread: Spread | null): string {
  return spread === null ? '-' : withSpread(spread)
}

const IOPS: Column = { title: 'IOPS', of: ({ iops }) => withSpread(iops) }
const MEGABYTES: Column = { title: 'MB/s', of: ({ megabytesPerSecond }) => withSpread(megabytesPerSecond) }
const P50: Column = { title: 'p50 µs', of: ({ p50Micros }) => withSpread(p50Micros) }
const P99: Column = { title: 'p99 µs', of: ({ p99Micros }) => withSpread(p99Micros) }
const P999: Column = { title: 'p99.9 µs', of: ({ p999Micros }) => withSpread(p999Micros) }
const CPU: Column = { title: 'CPU µs per I/O', of: ({ cpuMicros }) => served(cpuMicros) }
const RESIDENT: Column = { title: 'RSS MiB', of: ({ residentMiB }) => served(residentMiB) }
const EARLY: Column = {
  title: 'acknowledges before durable',
  of: ({ direction, acknowledgesEarly }) => (direction === 'read' ? '-' : acknowledgesEarly),
}

function rowLines(rows: readonly Row[], columns: readonly Column[]): string[] {
  if (rows.length === 0) return []
  return [
    '',
    line(['workload', 'subject', ...columns.map(({ title }) => title)]),
    line(['---', '---', ...columns.map(() => '---:')]),
    ...rows.map((row) => line([row.workload, row.title, ...columns.map(({ of }) => of(row))])),
  ]
}

const SECTION_LINES: Readonly<Record<Section, (results: Results) => string[]>> = {
  machine({ machine }) {
    const facts = Object.entries(machine).map(([name, value]) => `${name} ${value}`)
    return [`Machine: ${facts.join('; ')}.`]
  },
  targets(results) {
    return [
      line(['key', 'figure', 'median (least–greatest)', 'target', 'reached']),
      line(['---', '---', '---:', '---:', '---']),
      ...ALL_TARGETS.map((target) => targetLine(target, results)),
    ]
  },
  headline({ rows }) {
    const some = HEADLINE.flatMap((workload) => rows.filter(({ name }) => name === workload))
    return rowLines(some, [IOPS, P50, P99, CPU, EARLY])
  },
  rows({ rows }) {
    const latencies = [P50, P99, P999, CPU, RESIDENT, EARLY]
    const isLarge = ({ name }: Row): boolean => name.startsWith('sequential')
    return [
      ...rowLines(
        rows.filter((row) => !isLarge(row)),
        [IOPS, ...latencies],
      ),
      ...rowLines(rows.filter(isLarge), [MEGABYTES, ...latencies]),
    ]
  },
  tables: ({ tables }) => tables.flatMap((table) => tableLines(table)),
}

/** Without empty lines around it. */
export function sectionOf(section: Section, results: Results): string {
  return SECTION_LINES[section](results).join('\n').trim()
}

/** Everything, for the terminal. */
export function markdownOf(results: Results): string {
  const sections = SECTIONS.filter((section) => section !== 'headline')
  return `${sections.map((section) => sectionOf(section, results)).join('\n\n')}\n`
}
