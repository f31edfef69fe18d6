// Proves: what the product prints is read back; series of one histogram and engines one after the other are added up;
// a quantile is the bound of the bucket in which it lies.
import { MetricsRegistry } from '../../base/metrics.ts'
import { countOf, parseScrape, quantileOf, sumOfBuckets } from './scrape.ts'

const BOUNDS = [0.01, 0.1, 1]

function registryWith(minor: readonly number[], major: readonly number[]): string {
  const registry = new MetricsRegistry()
  const declared = { name: 'forebay_pause_seconds', help: 'Pauses.' }
  registry.gauge({ name: 'forebay_dirty_bytes', help: 'Dirty.', labels: { volume: 'a' } }).value = 4096
  for (const [kind, observed] of [['minor', minor] as const, ['major', major] as const]) {
    const histogram = registry.histogram({ ...declared, labels: { volume: 'a', kind } }, BOUNDS)
    for (const value of observed) histogram.observe(value)
  }
  return registry.render()
}

test('values and histograms', () => {
  const { values, buckets } = parseScrape(registryWith([0.005, 0.005, 0.05], [0.5]))
  expect(values.get('forebay_dirty_bytes')).toBe(4096)
  expect([...(buckets.get('forebay_pause_seconds') ?? [])]).toEqual([
    [0.01, 2],
    [0.1, 3],
    [1, 4],
    [Infinity, 4],
  ])
})

test('quantiles, over two engines', () => {
  const parts = [registryWith([0.005, 0.005], []), registryWith([0.05], [3])].map((text) => parseScrape(text).buckets)
  const sum = sumOfBuckets(parts).get('forebay_pause_seconds')
  expect(countOf(sum)).toBe(4)
  expect([0.5, 0.75, 0.999].map((share) => quantileOf(sum, share))).toEqual([0.01, 0.1, Infinity])
  expect(quantileOf(undefined, 0.5)).toBeNaN()
})
