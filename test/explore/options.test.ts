// Proves that the command line means what run.ts says, and that nonsense is refused.
import { explore } from './program.ts'
import { type Options, parseOptions } from './options.ts'
import { SWITCHES } from './switches.ts'

function optionsOf(...args: string[]): Options {
  const options = parseOptions(args)
  if (typeof options === 'string') throw new Error(options)
  return options
}

const counts = ({ exhausted, large, switches, walks, live }: Options): number[] =>
  [exhausted, large, switches, walks, live].map((part) => part.length)

describe('options of the explorer', () => {
  test('nothing means everything', () => {
    expect(counts(optionsOf()).every((count) => count > 0)).toBe(true)
    expect(optionsOf().switches).toEqual(SWITCHES)
  })

  test('a scenario is chosen by the beginning of its name', () => {
    const { exhausted, large, statesMax, exhaustMax } = optionsOf('--scenario', 'x1-cut', '--states-max', '1000')
    expect([exhausted.map(({ name }) => name), large.length, statesMax, exhaustMax]).toEqual([
      ['x1-cut'],
      0,
      1000,
      1000,
    ])
  })

  test('walks, liveness and switches stand alone', () => {
    expect(counts(optionsOf('--walk', '42'))).toEqual([0, 0, 0, optionsOf('--walk', '42').walks.length, 0])
    expect(optionsOf('--walk', '42').seed).toBe('42')
    expect(optionsOf('--live', '--samples', '5').samples).toBe(5)
    expect(optionsOf('--switch', 'h-reap').switches.map(({ name }) => name)).toEqual(['h-reap'])
    expect(optionsOf('--switch').switches).toEqual(SWITCHES)
  })

  test.each([
    ['--scenario', 'nothing'],
    ['--switch', 'nothing'],
    ['--states-max', '0'],
    ['--steps', 'many'],
    ['--wrong'],
  ])('refuses %s %s', (...args) => {
    const lines: string[] = []
    expect(explore(args, (line) => lines.push(line))).toBe(2)
    expect(lines).toHaveLength(1)
  })

  test('a run prints a line for each case and a summary', () => {
    const lines: string[] = []
    expect(explore(['--scenario', 'x1-bypass', '--json'], (line) => lines.push(line))).toBe(0)
    expect(lines[0]).toMatch(/^x1-bypass +states \d+ depth \d+ exhausted$/)
    expect(JSON.parse(lines.at(-1) ?? '')).toEqual({ passed: 1, failed: 0, skipped: 0 })
  })
})
