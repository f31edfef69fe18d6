// The results as a Markdown page for the terminal: the machine, the ratios with their targets, the rows.
import type { Results, Row, Spread, Table } from './report.ts'
import { ALL_TARGETS, isReached, type Target } from './targets.ts'

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

function rowLines(rows: readonly Row[]): string[] {
  if (rows.length === 0) return []
  return [
    line(['workload', 'subject', 'IOPS', 'p50 µs', 'p99 µs', 'p99.9 µs', 'CPU µs per I/O']),
    line(['---', '---', '---:', '---:', '---:', '---:', '---:']),
    ...rows.map((row) =>
      line([
        row.workload,
        row.title,
        withSpread(row.iops),
        withSpread(row.p50Micros),
        figure(row.p99Micros.median),
        figure(row.p999Micros.median),
        row.cpuMicros === null ? '-' : withSpread(row.cpuMicros),
      ]),
    ),
  ]
}

export function markdownOf(results: Results): string {
  const machine = Object.entries(results.machine).map(([name, value]) => `${name} ${value}`)
  return [
    `Machine: ${machine.join('; ')}.`,
    '',
    line(['key', 'figure', 'median (least–greatest)', 'target', 'reached']),
    line(['---', '---', '---:', '---:', '---']),
    ...ALL_TARGETS.map((target) => targetLine(target, results)),
    '',
    ...rowLines(results.rows),
    ...results.tables.flatMap((table) => tableLines(table)),
    '',
  ].join('\n')
}
