// Proves: the tables name every policy, mark the best in bold, show the distance to the optimum; the page takes them; a
// trace is a function of its seed.
import { type Comparison, markdownTable, pageWith, plainTable } from './comparison.ts'
import { makeTrace, TRACES } from './traces.ts'

const COMPARISON: Comparison = {
  slots: 10_000,
  lines: [
    { trace: 'even', ratios: [0.1234, 0.5, 0.12342], optimum: 0.1 },
    { trace: 'loop', ratios: [1, 1, 0.25], optimum: 0.2 },
  ],
}

describe('tables', () => {
  test('as Markdown', () => {
    expect(markdownTable(COMPARISON).split('\n')).toEqual([
      '| 10,000 blocks | S3-FIFO | LRU | ARC | optimum | S3-FIFO over it |',
      '| --- | ---: | ---: | ---: | ---: | ---: |',
      '| even | **12.3** | 50.0 | **12.3** | 10.0 | +2.3 |',
      '| loop | 100.0 | 100.0 | **25.0** | 20.0 | +80.0 |',
    ])
  })

  test('for the terminal', () => {
    expect(plainTable(COMPARISON).split('\n')[1]).toBe('even              12.3   50.0  12.3     10.0             +2.3')
  })
})

test('the page takes the tables between its marks', () => {
  const page = 'a\n<!-- miss ratios: made by `make bench-policies` -->\nold\n<!-- end of miss ratios -->\nb\n'
  const taken = pageWith(page, [COMPARISON])
  expect(taken).toContain(`\n\n${markdownTable(COMPARISON)}\n\n`)
  expect(taken).not.toContain('old')
  expect(() => pageWith('no marks', [COMPARISON])).toThrow('the page needs the lines')
})

describe('traces', () => {
  test.each(TRACES)('$name: the same for the same seed', (named) => {
    const trace = makeTrace(named, 'a', 2000)
    expect(trace).toHaveLength(2000)
    expect(makeTrace(named, 'a', 2000)).toEqual(trace)
  })

  test('another seed is another trace', () => {
    const zipf = TRACES[0] as (typeof TRACES)[number]
    expect(makeTrace(zipf, 'a', 2000)).not.toEqual(makeTrace(zipf, 'b', 2000))
  })
})
