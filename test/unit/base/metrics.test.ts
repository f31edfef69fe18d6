// Proves: the text is what a Prometheus scraper expects, and wrong declarations are refused where they are written.
import { MetricsRegistry, SERIES_MAX } from '../../../base/metrics.ts'

test('renders families in order with labels, values and escapes', () => {
  const registry = new MetricsRegistry()
  const hits = registry.counter({ name: 'forebay_reads_total', help: 'Reads.', labels: { result: 'hit' } })
  registry.counter({ name: 'forebay_reads_total', help: 'Reads.', labels: { result: 'mi"ss\\\n' } })
  const dirty = registry.gauge({ name: 'forebay_dirty_bytes', help: 'User data that only the cache holds.' })
  registry.gaugeFrom({ name: 'forebay_age_seconds', help: 'Age.' }, () => 1.5)
  hits.value++
  hits.value++
  dirty.value = Infinity
  expect(registry.render()).toBe(
    [
      '# HELP forebay_reads_total Reads.',
      '# TYPE forebay_reads_total counter',
      'forebay_reads_total{result="hit"} 2',
      String.raw`forebay_reads_total{result="mi\"ss\\\n"} 0`,
      '# HELP forebay_dirty_bytes User data that only the cache holds.',
      '# TYPE forebay_dirty_bytes gauge',
      'forebay_dirty_bytes +Inf',
      '# HELP forebay_age_seconds Age.',
      '# TYPE forebay_age_seconds gauge',
      'forebay_age_seconds 1.5',
      '',
    ].join('\n'),
  )
})

test('histogram buckets are cumulative and end with +Inf', () => {
  const registry = new MetricsRegistry()
  const histogram = registry.histogram({ name: 'w_seconds', help: 'W.', labels: { op: 'write' } }, [0.1, 1])
  for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe(value)
  expect(registry.render().split('\n').slice(2, -1)).toEqual([
    'w_seconds_bucket{op="write",le="0.1"} 2',
    'w_seconds_bucket{op="write",le="1"} 3',
    'w_seconds_bucket{op="write",le="+Inf"} 4',
    'w_seconds_sum{op="write"} 7.65',
    'w_seconds_count{op="write"} 4',
  ])
})

test('wrong declarations are programmer errors', () => {
  const registry = new MetricsRegistry()
  registry.counter({ name: 'a_total', help: 'A.' })
  expect(() => registry.counter({ name: 'a_total', help: 'A.' })).toThrow('declared twice')
  expect(() => registry.counter({ name: 'a_total', help: 'B.', labels: { x: 'y' } })).toThrow('with a difference')
  expect(() => registry.gauge({ name: 'a_total', help: 'A.', labels: { x: 'y' } })).toThrow('with a difference')
  expect(() => registry.counter({ name: 'b', help: 'B.' })).toThrow('ends in _total')
  expect(() => registry.gauge({ name: 'B b', help: 'B.' })).toThrow('bad metric name')
  expect(() => registry.gauge({ name: 'c', help: 'C.', labels: { 'x y': '' } })).toThrow('bad label name')
  expect(() => registry.histogram({ name: 'd', help: 'D.' }, [2, 1])).toThrow('must ascend')
})

test('the number of series is limited', () => {
  const registry = new MetricsRegistry()
  for (let i = 0; i < SERIES_MAX; i++) registry.gauge({ name: 'g', help: 'G.', labels: { i: String(i) } })
  expect(() => registry.gauge({ name: 'h', help: 'H.' })).toThrow('too many metric series')
})
