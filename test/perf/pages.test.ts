// Proves that figures go between their marks and nowhere else, again and again, and that a page or a file of results that
// does not fit is refused.
import { pageWith, parseResults } from './pages.ts'
import { joined } from './report.ts'
import { ALL_TARGETS } from './targets.ts'

const part = {
  ratios: { readHitQd32: 0.5 },
  ratioSpreads: {},
  tables: [{ title: 'Pauses', columns: ['s'], lines: [[1]] }],
}
const keys = ALL_TARGETS.map(({ key }) => key)
const results = { machine: { cpu: 'Abacus' }, ...joined([part], keys) }

const PAGE = `# Page

before
<!-- bench machine -->
old
<!-- bench end -->
between
<!-- bench tables -->
<!-- bench end -->
after
`

test('what stands between the marks is replaced, everything else stays; a second time changes nothing', () => {
  const page = pageWith(PAGE, results)
  expect(page).toBe(`# Page

before
<!-- bench machine -->

Machine: cpu Abacus.

<!-- bench end -->
between
<!-- bench tables -->

Pauses:

| s |
| --- |
| 1 |

<!-- bench end -->
after
`)
  expect(pageWith(page, results)).toBe(page)
})

test('figures with a dollar sign in them are no pattern', () => {
  const page = pageWith(PAGE, { ...results, machine: { cpu: "$& $1 $'" } })
  expect(page).toContain("Machine: cpu $& $1 $'.")
})

test('a page without marks, with one that has no end, or with one for nothing known is refused', () => {
  expect(() => pageWith('text', results)).toThrow('has no <!-- bench')
  expect(() => pageWith(`${PAGE}<!-- bench rows -->\n`, results)).toThrow('without <!-- bench end -->')
  expect(() => pageWith(`<!-- bench rows -->\n${PAGE}`, results)).toThrow('without <!-- bench end -->')
  expect(() => pageWith('<!-- bench wishes -->\n<!-- bench end -->', results)).toThrow('asks for wishes; there are')
})

test('results of another version are refused, as is what is none', () => {
  expect(parseResults(JSON.stringify(results))).toEqual(results)
  const row = {
    subject: 'floor',
    title: 'C floor',
    workload: '4 KiB random read QD1',
    direction: 'read',
    queueDepth: 1,
  }
  expect(() => parseResults(JSON.stringify({ ...results, rows: [row] }))).toThrow('another version')
  expect(() => parseResults('{}')).toThrow('another version')
  expect(() => parseResults('nothing')).toThrow(SyntaxError)
})
