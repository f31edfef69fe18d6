// Line charts below and beside one another, as one SVG that can be read on light and on dark pages. Pure.

export interface Line {
  readonly label: string
  /** Colour class of the style sheet below: 0 to 3. */
  readonly colour: number
  /** One value for each second; NaN leaves a gap. */
  readonly values: readonly number[]
}

export interface Chart {
  readonly title: string
  /** With the unit. */
  readonly axis: string
  readonly scale: 'linear' | 'log'
  readonly lines: readonly Line[]
}

const WIDTH = 420
const HEIGHT = 170
const LEFT = 76
const TOP = 44
const BOTTOM = 40
const GAP = 24
const TICKS = 4

const STYLE = `
svg { font: 11px sans-serif; }
.page { fill: #fff; } text { fill: #222; } .grid { stroke: #ddd; } .frame { fill: none; stroke: #999; }
.line { fill: none; stroke-width: 1.5; }
.c0 { stroke: #0b62c4; } .c1 { stroke: #c2410c; } .c2 { stroke: #15803d; } .c3 { stroke: #777; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  .page { fill: #15181d; } text { fill: #ddd; } .grid { stroke: #333; } .frame { stroke: #777; }
  .c0 { stroke: #6cb2ff; } .c1 { stroke: #ff9a5c; } .c2 { stroke: #6ee787; } .c3 { stroke: #999; }
}
`

/** Columns of charts, each over its own seconds. */
export function plotOf(columns: readonly (readonly Chart[])[]): string {
  const rows = Math.max(...columns.map((charts) => charts.length))
  const width = columns.length * (LEFT + WIDTH + GAP)
  const height = rows * (TOP + HEIGHT + BOTTOM)
  const charts = columns.flatMap((column, x) =>
    column.map((chart, y) => {
      const at = `translate(${x * (LEFT + WIDTH + GAP) + LEFT} ${y * (TOP + HEIGHT + BOTTOM) + TOP})`
      return `<g transform="${at}">\n${chartOf(chart)}\n</g>`
    }),
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<style>${STYLE}</style>`,
    `<rect class="page" width="${width}" height="${height}"/>`,
    ...charts,
    '</svg>\n',
  ].join('\n')
}

interface Range {
  readonly low: number
  readonly high: number
  readonly ticks: readonly number[]
}

/** A linear axis begins at 0; a logarithmic one has a tick for each power of ten. */
export function rangeOf(values: readonly number[], scale: Chart['scale']): Range {
  const shown = values.filter((value) => Number.isFinite(value) && (scale === 'linear' || value > 0))
  const most = Math.max(...shown, 1e-3)
  if (scale === 'linear') {
    const step = roundStep(most / TICKS)
    const steps = Math.ceil(most / step)
    return { low: 0, high: steps * step, ticks: Array.from({ length: steps + 1 }, (_, i) => i * step) }
  }
  const first = Math.floor(Math.log10(Math.min(...shown, most)))
  const last = Math.max(first + 1, Math.ceil(Math.log10(most)))
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i))
  return { low: 10 ** first, high: 10 ** last, ticks }
}

/** 1, 2 or 5 times a power of ten, at least `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step))
  return power * ([1, 2, 5].find((factor) => factor * power >= step) ?? 10)
}

function chartOf({ title, axis, scale, lines }: Chart): string {
  const seconds = Math.max(...lines.map(({ values }) => values.length))
  const range = rangeOf(
    lines.flatMap(({ values }) => values),
    scale,
  )
  const across = rangeOf([seconds], 'linear')
  const xOf = (second: number): number => (second / across.high) * WIDTH
  const yOf = (value: number): number => HEIGHT * (1 - shareOf(value, range, scale))
  return [
    `<text x="0" y="-28" font-weight="bold">${title}</text>`,
    ...legendOf(lines),
    ...range.ticks.flatMap((tick) => [
      `<line class="grid" x1="0" x2="${WIDTH}" y1="${at(yOf(tick))}" y2="${at(yOf(tick))}"/>`,
      `<text x="-6" y="${at(yOf(tick) + 4)}" text-anchor="end">${tickText(tick)}</text>`,
    ]),
    ...across.ticks.map((tick) => `<text x="${at(xOf(tick))}" y="${HEIGHT + 14}" text-anchor="middle">${tick}</text>`),
    `<text x="${WIDTH / 2}" y="${HEIGHT + 28}" text-anchor="middle">seconds</text>`,
    `<text transform="translate(-58 ${HEIGHT / 2}) rotate(-90)" text-anchor="middle">${axis}</text>`,
    `<rect class="frame" width="${WIDTH}" height="${HEIGHT}"/>`,
    ...lines.map(({ colour, values }) => `<path class="line c${colour}" d="${pathOf(values, xOf, yOf)}"/>`),
  ].join('\n')
}

function legendOf(lines: readonly Line[]): string[] {
  const step = WIDTH / lines.length
  return lines.flatMap(({ label, colour }, i) => [
    `<line class="line c${colour}" x1="${at(i * step)}" x2="${at(i * step + 18)}" y1="-14" y2="-14"/>`,
    `<text x="${at(i * step + 23)}" y="-10">${label}</text>`,
  ])
}

function shareOf(value: number, { low, high }: Range, scale: Chart['scale']): number {
  if (scale === 'linear') return (value - low) / (high - low)
  return Math.max(0, Math.log10(value / low) / Math.log10(high / low))
}

/** Drawn in the middle of each second. */
export function pathOf(
  values: readonly number[],
  xOf: (second: number) => number,
  yOf: (value: number) => number,
): string {
  let pen = 'M'
  const words: string[] = []
  for (const [second, value] of values.entries()) {
    if (Number.isFinite(value)) words.push(`${pen}${at(xOf(second + 0.5))} ${at(yOf(value))}`)
    pen = Number.isFinite(value) ? 'L' : 'M'
  }
  return words.join('')
}

function at(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function tickText(value: number): string {
  return value >= 1000 ? value.toLocaleString('en') : String(Number(value.toPrecision(3)))
}
