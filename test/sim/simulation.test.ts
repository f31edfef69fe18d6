// Proves the simulator itself with the small reference volume: right as it is it passes, two runs of one seed give one
// trace, and with a planted bug it fails by the checker that stands for it.
import { type ReferenceBug } from './reference-volume.ts'
import { main, runSeeds } from './run-seeds.ts'
import { incidentNamed } from './scenario.ts'
import { Simulation } from './simulation.ts'
import { referenceSubject } from './subject.ts'

function seeds(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `reference-${i}`)
}

async function firstViolation(bug: ReferenceBug, count: number): Promise<string> {
  for (const seed of seeds(count)) {
    const { violations } = await new Simulation(seed, referenceSubject(bug)).run()
    if (violations[0] !== undefined) return violations[0].checker
  }
  return 'none'
}

describe('a volume that is right', () => {
  test('passes every seed, twice with the same trace', async () => {
    const summary = await runSeeds(seeds(40), referenceSubject('none'))
    expect(summary.failures).toEqual([])
    expect(summary.passed).toBe(40)
    expect(summary.repeated).toBe(4)
    expect(summary.faults['process-crashes']).toBeGreaterThan(10)
    expect(summary.faults['power-cuts']).toBeGreaterThan(10)
  }, 120_000)

  test('has another trace for another seed', async () => {
    const [first, second] = await Promise.all(
      ['a', 'b'].map((seed) => new Simulation(seed, referenceSubject('none')).run()),
    )
    expect(first?.traceHash).not.toBe(second?.traceHash)
  })
})

const CAUGHT: readonly (readonly [ReferenceBug, readonly string[]])[] = [
  ['ack-before-log-write', ['ack']],
  ['trim-before-flush', ['trim', 'survivors', 'durability', 'generation']],
  ['wrong-buffer', ['buffers']],
  ['two-destages', ['backing-writes']],
  ['stale-after-settle', ['durability', 'trim', 'order', 'generation']],
  ['clean-too-early', ['clean']],
  ['lost-wakeup', ['liveness']],
  ['torn-frame-accepted', ['foreign-read', 'foreign-write', 'survivors', 'ack', 'durability']],
]

describe('a volume with a bug', () => {
  test.each(CAUGHT)(
    '%s is found',
    async (bug, checkers) => {
      expect(checkers).toContain(await firstViolation(bug, 150))
    },
    240_000,
  )
})

describe('the command line', () => {
  async function run(...args: string[]): Promise<{ status: number; lines: string[] }> {
    const lines: string[] = []
    const status = await main(args, (line) => lines.push(line))
    return { status, lines }
  }

  test('names the seed and the command first and last', async () => {
    const { status, lines } = await run('--seed', 'x7', '--reference')
    expect(status).toBe(0)
    expect(lines[0]).toContain('first=x7')
    expect(lines.at(-1)).toBe('repeat: test/sim/run.ts --seed x7 --reference')
  })

  test('names the failed seed last and ends with status 1', async () => {
    const { status, lines } = await run('--seeds', '20', '--stop', '--reference', 'ack-before-log-write')
    expect(status).toBe(1)
    expect(lines.at(-1)).toMatch(/^failed seed=\d+ repeat: test\/sim\/run\.ts --seed \d+ --trace$/)
  })

  test.each([[['--sed', '1']], [[]], [['--seeds', 'many']], [['--seeds', '1', '--incidents', 'earthquake']]])(
    'refuses %j',
    async (args) => {
      expect((await run(...args)).status).toBe(2)
    },
  )

  test('knows incidents by name', () => {
    expect(incidentNamed('power-cut')).toBe('power-cut')
    expect(incidentNamed('nonsense')).toBeUndefined()
  })
})
