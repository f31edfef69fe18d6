// Counts what a suite reports: tests passed, failed and skipped, with the title of each one skipped.
//
// Nothing that went wrong may count as nothing: a test file that does not load, a suite without tests, a summary that
// is missing and an exit status that contradicts the counts are failures here.

export interface Tally {
  readonly passed: number
  readonly failed: number
  /** Titles; a title of a skipped test ends with its reason. */
  readonly skipped: readonly string[]
  /** What is wrong with the run itself, in words. */
  readonly problems: readonly string[]
}

/** The part of Jest's `--json` report that is read here. */
export interface JestReport {
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly status: string
    readonly assertionResults: ReadonlyArray<{ readonly status: string; readonly fullName: string }>
  }>
}

function judged(tally: Tally, succeeded: boolean): Tally {
  const problems = [...tally.problems]
  if (tally.passed + tally.failed + tally.skipped.length + problems.length === 0) problems.push('no test ran')
  if (!succeeded && tally.failed + problems.length === 0) problems.push('ended with an error though no test failed')
  return { ...tally, failed: tally.failed + problems.length, problems }
}

export function tallyOfJest(report: JestReport, succeeded: boolean): Tally {
  const tests = report.testResults.flatMap((file) => file.assertionResults)
  const failed = tests.filter((test) => test.status === 'failed').length
  const passed = tests.filter((test) => test.status === 'passed').length
  const skipped = tests.filter((test) => test.status !== 'failed' && test.status !== 'passed')
  const problems = report.testResults
    .filter((file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'))
    .map((file) => `${file.name} did not load or end`)
  return judged({ passed, failed, skipped: skipped.map((test) => test.fullName), problems }, succeeded)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

/** Reads the summary of a script from the last line of its output. */
export function tallyOfScript(output: string, succeeded: boolean): Tally {
  const lastLine = output.trimEnd().split('\n').at(-1) ?? ''
  let summary: Record<string, unknown> = {}
  try {
    summary = JSON.parse(lastLine) as Record<string, unknown>
  } catch {
    // Falls through to the problem below: a script that died before its summary is a failure, not an empty success.
  }
  const { passed, failed, skipped = 0 } = summary ?? {}
  if (!isCount(passed) || !isCount(failed) || !isCount(skipped)) {
    const problems = ['its last line is no summary {"passed":…,"failed":…,"skipped":…}']
    return judged({ passed: 0, failed: 0, skipped: [], problems }, succeeded)
  }
  const reason = typeof summary['reason'] === 'string' ? summary['reason'] : 'no reason given'
  const titles = Array.from({ length: skipped }, (_, index) => `case ${index + 1} [skipped: ${reason}]`)
  return judged({ passed, failed, skipped: titles, problems: [] }, succeeded)
}

export function sumOf(tallies: readonly Tally[]): Tally {
  return {
    passed: tallies.reduce((sum, tally) => sum + tally.passed, 0),
    failed: tallies.reduce((sum, tally) => sum + tally.failed, 0),
    skipped: tallies.flatMap((tally) => tally.skipped),
    problems: tallies.flatMap((tally) => tally.problems),
  }
}

export function lineOf(tally: Tally): string {
  return `${tally.passed} passed, ${tally.failed} failed, ${tally.skipped.length} skipped`
}
