// Proves that the counts of `make test` are right, and that a run which went wrong is never counted as a success.

import { lineOf, sumOf, tallyOfJest, tallyOfScript } from './tally.ts'

const file = (status: string, ...tests: string[]) => ({
  name: 'a.test.ts',
  status,
  assertionResults: tests.map((test) => ({ status: test, fullName: `a ${test}` })),
})

describe('tally of Jest', () => {
  test('counts passed, failed and skipped', () => {
    const report = { testResults: [file('passed', 'passed', 'pending'), file('failed', 'passed', 'failed', 'todo')] }
    expect(tallyOfJest(report, false)).toEqual({
      passed: 2,
      failed: 1,
      skipped: ['a pending', 'a todo'],
      problems: [],
    })
  })

  test('counts a file that does not load as a failure', () => {
    const tally = tallyOfJest({ testResults: [file('passed', 'passed'), file('failed')] }, false)
    expect(lineOf(tally)).toBe('1 passed, 1 failed, 0 skipped')
    expect(tally.problems).toEqual(['a.test.ts did not load or end'])
  })

  test('counts a run without tests as a failure', () => {
    expect(tallyOfJest({ testResults: [] }, true)).toMatchObject({ failed: 1, problems: ['no test ran'] })
  })

  test('counts an error outside of the tests as a failure', () => {
    expect(tallyOfJest({ testResults: [file('passed', 'passed')] }, false)).toMatchObject({ passed: 1, failed: 1 })
  })
})

describe('tally of a script', () => {
  test('reads the last line', () => {
    const output = 'seed 1\nseed 2\n{"passed":5,"failed":0,"skipped":1,"reason":"no disk"}\n'
    const tally = tallyOfScript(output, true)
    expect(tally).toEqual({ passed: 5, failed: 0, skipped: ['case 1 [skipped: no disk]'], problems: [] })
  })

  test.each(['', 'crashed', 'null', '[]', '{"passed":1}', '{"passed":-1,"failed":0}', '{"passed":"5","failed":0}'])(
    'counts %j as a failure',
    (output) => {
      expect(tallyOfScript(output, true)).toMatchObject({ passed: 0, failed: 1 })
    },
  )

  test('counts an error after a good summary as a failure', () => {
    expect(tallyOfScript('{"passed":5,"failed":0}', false)).toMatchObject({ passed: 5, failed: 1 })
  })

  test('counts nothing run as a failure', () => {
    expect(tallyOfScript('{"passed":0,"failed":0}', true)).toMatchObject({ failed: 1 })
  })
})

test('suites add up', () => {
  const one = { passed: 1, failed: 2, skipped: ['x'], problems: ['p'] }
  expect(lineOf(sumOf([one, one]))).toBe('2 passed, 4 failed, 2 skipped')
})
