// Proves: axes hold all values with round ticks, gaps stay gaps, and what is drawn is there for both kinds of pages.
import fc from 'fast-check'
import { pathOf, plotOf, rangeOf } from './plot.ts'

const values = fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 20 })

test.each(['linear', 'log'] as const)('a %s axis holds every value between few ticks', (scale) => {
  fc.assert(
    fc.property(values, (some) => {
      const { low, high, ticks } = rangeOf([...some, Number.NaN], scale)
      expect(Math.min(...some)).toBeGreaterThanOrEqual(low * (1 - 1e-9))
      expect(Math.max(...some)).toBeLessThanOrEqual(high * (1 + 1e-9))
      expect(ticks.length).toBeGreaterThan(1)
      expect(ticks.length).toBeLessThan(12)
      expect(ticks[0]).toBeCloseTo(low)
      expect(ticks.at(-1)).toBeCloseTo(high)
    }),
  )
})

test('ticks are 1, 2 or 5 times a power of ten, or powers of ten', () => {
  expect(rangeOf([256], 'linear').ticks).toEqual([0, 100, 200, 300])
  expect(rangeOf([7], 'linear').ticks).toEqual([0, 2, 4, 6, 8])
  expect(rangeOf([0.3, 40, 0], 'log').ticks).toEqual([0.1, 1, 10, 100])
})

test('what is not a number interrupts the line', () => {
  const same = (value: number): number => value
  expect(pathOf([1, 2, Number.NaN, 4], same, same)).toBe('M0.5 1L1.5 2M3.5 4')
})

test('a plot has its titles, axes and lines, and colours for light and dark', () => {
  const line = { label: 'p99', colour: 1, values: [1, 10, 100] }
  const chart = { title: 'latency', axis: 'milliseconds', scale: 'log', lines: [line] } as const
  const svg = plotOf([[chart, chart], [chart]])
  expect(svg.match(/class="line c1" d="M/g)).toHaveLength(3)
  for (const word of ['>latency<', '>milliseconds<', '>seconds<', '>p99<', 'prefers-color-scheme: dark']) {
    expect(svg).toContain(word)
  }
  expect(svg).not.toContain('NaN')
  expect(svg.split('<g ').length).toBe(svg.split('</g>').length)
})
