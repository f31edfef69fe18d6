// Proves that no named rule is left out: each name in brackets of docs/decisions/0001 has a switch, and each switch changes
// something. That a rule switched off is missed is shown for every switch by the explorer suite (run.ts), and for some of
// the quickest here. The tables that are explored are those of the product: a row exchanged there changes what is found.
import { readFileSync } from 'node:fs'
import { showSwitch } from './cases.ts'
import { PRODUCT_TABLES, withRows } from './model/rules.ts'
import { EXHAUSTED, LARGE } from './scenarios.ts'
import { SWITCHES } from './switches.ts'

const PROTOCOL = new URL('../../docs/decisions/0001-replication-protocol.md', import.meta.url)
const QUICK = [
  'h-settle-get0',
  'h-supersede-before',
  'h-unk-freeze',
  'h-uncommitted-read',
  'h-reconcile',
  'h-handoff-nowait',
]

describe('switches', () => {
  test('every named rule of the protocol has one', () => {
    const rules = readFileSync(PROTOCOL, 'utf8').split('## 10.')[0] ?? ''
    const named = [...rules.matchAll(/\[(h-[^\]]+)\]/g)].flatMap(([, names = '']) => names.split(', '))
    expect(named.length).toBeGreaterThan(25)
    const names = SWITCHES.map(({ name }) => name)
    expect(named.filter((name) => !names.includes(name))).toEqual([])
    expect(new Set(names).size).toBe(names.length)
  })

  test.each(SWITCHES.map((one) => [one.name, one] as const))(
    '%s changes a row or a flag that there is',
    (_, { rows, flags }) => {
      expect(Object.keys(rows ?? {}).length + Object.keys(flags ?? {}).length).toBeGreaterThan(0)
      expect(() => withRows(PRODUCT_TABLES, rows ?? {})).not.toThrow()
    },
  )

  test('a row that there is not is refused', () => {
    expect(() => withRows(PRODUCT_TABLES, { 'append/nonsense': 'store' })).toThrow('there is no row append/nonsense')
  })

  test.each(QUICK)('%s off is missed, in force it is not', (name) => {
    const one = SWITCHES.find((entry) => entry.name === name)
    if (one === undefined) throw new Error(`there is no switch ${name}`)
    const { passed, line, trace } = showSwitch(one)
    expect({ passed, line, steps: trace.length > 0 }).toEqual({ passed: true, line, steps: true })
  })

  test('scenarios have names of their own', () => {
    const names = [...EXHAUSTED, ...LARGE, ...SWITCHES.map(({ scenario }) => scenario)].map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })
})
