// Runs the test suites and ends with one line over all of them: `N passed, N failed, N skipped`.
//
//     run-suites.ts                          every suite of suites.ts
//     run-suites.ts --suite lint,types       only these
//     run-suites.ts --file PATH [--name RE]  one test file, or one test of it
//
// Output of the tools streams through. Exit status: 0 all passed, 1 something failed, 2 wrong call, 130 interrupted.

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { PROJECT_ROOT } from '../tidy/planted-tree.ts'
import { type ChecksSuite, type JestSuite, type ScriptSuite, type Suite, SUITES, suiteOfFile } from './suites.ts'
import { type JestReport, lineOf, sumOf, type Tally, tallyOfJest, tallyOfScript } from './tally.ts'

const TOOLS = join(PROJECT_ROOT, 'node_modules/.bin')
const ENVIRONMENT = {
  ...process.env,
  PATH: [dirname(process.execPath), TOOLS, process.env['PATH'] ?? ''].join(delimiter),
}

// The first Ctrl-C goes to the running tool, too, which cleans up; then no further suite is started.
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => (interrupted = true))

interface Ran {
  readonly succeeded: boolean
  readonly output: string
}

/** Runs a command to its end, streaming what it prints; stdout is also returned when `keep` is set. */
async function run(command: string, args: readonly string[], env = ENVIRONMENT, keep = false): Promise<Ran> {
  const child = spawn(command, args, {
    cwd: PROJECT_ROOT,
    env,
    stdio: ['ignore', keep ? 'pipe' : 'inherit', 'inherit'],
  })
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-65_536)
    process.stdout.write(text)
  })
  const { promise, resolve: settle } = Promise.withResolvers<boolean>()
  child.on('error', (error) => {
    console.error(`${command}: ${error.message}`)
    settle(false)
  })
  child.on('close', (code) => settle(code === 0))
  return { succeeded: await promise, output }
}

async function runChecks(suite: ChecksSuite): Promise<Tally> {
  const failures: string[] = []
  for (const [tool, ...args] of suite.commands) {
    const { succeeded } = await run(join(TOOLS, tool), args)
    if (!succeeded) failures.push(`${tool} complains, see above`)
    if (interrupted) break
  }
  return {
    passed: suite.commands.length - failures.length,
    failed: failures.length,
    skipped: [],
    problems: failures,
  }
}

async function runJest(suite: JestSuite): Promise<Tally> {
  const folder = mkdtempSync(join(tmpdir(), 'forebay-test-'))
  const report = join(folder, 'report.json')
  try {
    const jest = join(PROJECT_ROOT, 'node_modules/jest/bin/jest.js')
    const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning']
    const env = { ...ENVIRONMENT, NODE_OPTIONS: [process.env['NODE_OPTIONS'] ?? '', ...flags].join(' ').trim() }
    const { succeeded } = await run(
      process.execPath,
      [jest, ...suite.args, '--json', '--outputFile', report],
      env,
      false,
    )
    const text = existsSync(report) ? readFileSync(report, 'utf8') : '{"testResults":[]}'
    return tallyOfJest(JSON.parse(text) as JestReport, succeeded)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function runScript(suite: ScriptSuite): Promise<Tally> {
  const args = ['--disable-warning=ExperimentalWarning', join(PROJECT_ROOT, suite.file), ...suite.args]
  const { succeeded, output } = await run(process.execPath, args, ENVIRONMENT, true)
  return tallyOfScript(output, succeeded)
}

async function runSuite(suite: Suite): Promise<Tally> {
  console.log(`\n── ${suite.name}`)
  const startedMs = performance.now()
  const tally = await (suite.kind === 'checks'
    ? runChecks(suite)
    : suite.kind === 'jest'
      ? runJest(suite)
      : runScript(suite))
  for (const title of tally.skipped) console.log(`skipped: ${title}`)
  for (const problem of tally.problems) console.log(`failed: ${problem}`)
  console.log(`── ${suite.name}: ${lineOf(tally)} (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`)
  return tally
}

function refuse(message: string): never {
  console.error(`run-suites: ${message}`)
  process.exit(2)
}

function chosenSuites(): readonly Suite[] {
  const options = { suite: { type: 'string' }, file: { type: 'string' }, name: { type: 'string' } } as const
  const { suite, file, name } = parseArgs({ options }).values
  if (file !== undefined) {
    const path = relative(PROJECT_ROOT, resolve(file))
    if (!existsSync(join(PROJECT_ROOT, path))) refuse(`no test file ${file}`)
    return [suiteOfFile(path, name)]
  }
  if (suite === undefined) return SUITES
  return suite.split(',').map((wanted) => {
    const found = SUITES.find((candidate) => candidate.name === wanted)
    return found ?? refuse(`no suite ${wanted}; there are ${SUITES.map((candidate) => candidate.name).join(', ')}`)
  })
}

const tallies: Tally[] = []
for (const suite of chosenSuites()) {
  if (!interrupted) tallies.push(await runSuite(suite))
}
const total = sumOf(tallies)
if (interrupted) console.log('\ninterrupted: not every test was run')
console.log(`\n${lineOf(total)}`)
process.exitCode = interrupted ? 130 : total.failed > 0 || total.passed === 0 ? 1 : 0
