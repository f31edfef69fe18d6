// The results as a Markdown page for the terminal: the machine, the ratios with their targets, the rows.
import { ABSOLUTE_TARGETS, isReached, RATIO_RULES, type Results, type Spread, type Target } from './report.ts'

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
  const value = results.ratios[target.key] ?? Number.NaN
  const spread = results.ratioSpreads[target.key]
  const sign = target.bound === 'at least' ? '≥' : '≤'
  return line([
    `\`${target.key}\``,
    target.meaning.replaceAll('|', String.raw`\|`),
    spread === undefined ? figure(value) : withSpread({ median: value, min: spread[0], max: spread[1] }),
    `${sign} ${target.value}`,
    isReached(target, value) ? 'yes' : '**no**',
  ])
}

export function markdownOf(results: Results): string {
  const machine = Object.entries(results.machine).map(([name, value]) => `${name} ${value}`)
  return [
    `Machine: ${machine.join('; ')}.`,
    '',
    line(['key', 'figure', 'median (least–greatest)', 'target', 'reached']),
    line(['---', '---', '---:', '---:', '---']),
    ...[...RATIO_RULES, ...ABSOLUTE_TARGETS].map((target) => targetLine(target, results)),
    '',
    line(['workload', 'subject', 'IOPS', 'p50 µs', 'p99 µs', 'p99.9 µs', 'CPU µs per I/O']),
    line(['---', '---', '---:', '---:', '---:', '---:', '---:']),
    ...results.rows.map((row) =>
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
    '',
  ].join('\n')
}
