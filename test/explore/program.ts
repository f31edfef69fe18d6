// A run of the explorer from its words to its exit status: all cases, one line each, traces of what failed and of every
// switch, the table of switches, a summary.
import { readFileSync, writeFileSync } from 'node:fs'
import {
  type CaseResult,
  exhaust,
  type OnLevel,
  searchLarge,
  showLiveness,
  showSwitch,
  type SwitchResult,
  walkThrough,
} from './cases.ts'
import type { Scenario } from './model/model.ts'
import { type Options, parseOptions } from './options.ts'
import { EXHAUSTED, LARGE } from './scenarios.ts'
import { withMarked } from '../run/marked-page.ts'
import { type Switch, SWITCHES } from './switches.ts'

export type Print = (line: string) => void

const PAGE = new URL('../../docs/explanation/explorer.md', import.meta.url)
const MARKS = {
  begin: '<!-- switches: made by `node test/explore/run.ts --write-docs` -->',
  end: '<!-- end of switches -->',
}

interface Tally {
  passed: number
  failed: number
  states: number
}

/** Exit status: 0 all passed, 1 something failed, 2 wrong call. */
export function explore(args: readonly string[], print: Print): number {
  const options = parseOptions(args)
  if (typeof options === 'string') {
    print(options)
    return 2
  }
  if (options.list) {
    list(print)
    return 0
  }
  const startMs = performance.now()
  const tally = run(options, print)
  const seconds = (performance.now() - startMs) / 1000
  const rate = Math.round(tally.states / seconds)
  print(`${tally.states} states and steps in ${seconds.toFixed(0)} s, ${rate} a second`)
  if (options.json) print(JSON.stringify({ passed: tally.passed, failed: tally.failed, skipped: 0 }))
  else print(`${tally.passed} passed, ${tally.failed} failed`)
  return tally.failed === 0 ? 0 : 1
}

function run(options: Options, print: Print): Tally {
  const tally: Tally = { passed: 0, failed: 0, states: 0 }
  const { seed, steps, samples, statesMax, exhaustMax } = options
  const note = (make: (onLevel?: OnLevel) => CaseResult, alwaysTrace = false): void => {
    const result = options.progress ? make(progressTo(print)) : make()
    tally[result.passed ? 'passed' : 'failed']++
    tally.states += result.states
    print(`${result.name.padEnd(22)} ${result.line}`)
    if (alwaysTrace || !result.passed) for (const line of result.trace) print(`    ${line}`)
  }
  for (const scenario of options.exhausted) note((onLevel) => exhaust(scenario, exhaustMax, onLevel))
  for (const scenario of options.large) note((onLevel) => searchLarge(scenario, statesMax, onLevel))
  for (const scenario of options.walks) note(() => walkThrough(scenario, { seed, steps }))
  for (const scenario of options.live) note(() => showLiveness(scenario, { seed, samples }))
  const shown: [Switch, SwitchResult][] = []
  for (const one of options.switches) {
    note(() => {
      const result = showSwitch(one)
      shown.push([one, result])
      return result
    }, true)
  }
  if (shown.length > 1) for (const line of tableOf(shown)) print(line)
  if (options.writeDocs && tally.failed === 0) writeDocs(shown)
  return tally
}

function progressTo(print: Print): OnLevel {
  return (depth, states, width) => print(`    level ${depth}: ${states} states, ${width} of them new`)
}

function list(print: Print): void {
  for (const scenario of [...EXHAUSTED, ...LARGE]) print(describe(scenario))
  for (const { name, rule, scenario } of SWITCHES) print(`${name} (rule ${rule}) in ${describe(scenario)}`)
}

function describe({ name, replicas, budgets }: Scenario): string {
  const faults = Object.entries(budgets).map(([budget, count]) => `${count} ${budget}`)
  return `${name}: ${replicas} replicas, ${faults.join(', ')}`
}

/** One line for each switch, as in the documentation. */
function tableOf(shown: readonly (readonly [Switch, SwitchResult])[]): string[] {
  const rows = shown.map(([{ name, rule, scenario, rows = {}, flags = {} }, { steps, statesOff, violation }]) => {
    const what = [...Object.keys(rows).map((row) => `\`${row}\``), ...Object.keys(flags).map((flag) => `(${flag})`)]
    return `| ${name} | ${rule} | ${what.join(', ')} | ${scenario.name} | ${steps} | ${statesOff} | ${violation} |`
  })
  return [
    '| switch | rule | rows (flags of the model) | scenario | steps | states | what breaks |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ]
}

function writeDocs(shown: readonly (readonly [Switch, SwitchResult])[]): void {
  writeFileSync(PAGE, withMarked(readFileSync(PAGE, 'utf8'), MARKS, tableOf(shown).join('\n')))
}
