// Proves recovery at every scheduling step of one recorded workload: reads, writes, zeroes and flushes under a switch to
// write-through, a drain and a switch back. The engine's first life is repeated once for each of its steps (an I/O
// submitted, a reply, a timer, a register call) and dies there, before or after the step's effect, alone or with the
// power; then a successor opens, the users go on, every sector is read, and the volume is closed.
import { KIB, SECTOR_BYTES } from '../../base/units.ts'
import { openVolume } from '../../csi-driver/engine/volume.ts'
import type { Incident, Scenario } from './scenario.ts'
import type { PlannedDeath, RunResult } from './run-result.ts'
import { Simulation } from './simulation.ts'
import { engineSubject } from './subject.ts'

const SEED = 'every-step'
const INCIDENTS: readonly Incident[] = ['switch-policy', 'drain', 'switch-policy']
const SIZE_BYTES = 256 * KIB
/** The workload must be worth its name. */
const STEPS_MIN = 300

function recorded(scenario: Scenario): Scenario {
  return {
    ...scenario,
    budget: 'within',
    cache: { ...scenario.cache, latencyMs: 0.1, synchronousShare: 0 },
    backing: { ...scenario.backing, sizeBytes: SIZE_BYTES, volatileCache: true, latencyMs: 2 },
    settings: {
      ...scenario.settings,
      resource: 'flash',
      writePolicy: 'write-back',
      backingIdentity: { ...scenario.settings.backingIdentity, sizeBytes: SIZE_BYTES },
    },
    workload: {
      ...scenario.workload,
      sectors: SIZE_BYTES / SECTOR_BYTES,
      depth: 4,
      readShare: 0.3,
      zeroShare: 0.1,
      flushShare: 0.05,
    },
    incidents: INCIDENTS.map((incident) => ({ afterOperations: 8, incident })),
    ending: 'close',
  }
}

async function run(death: PlannedDeath | null): Promise<{ result: RunResult; steps: number }> {
  const simulation = new Simulation(SEED, { ...engineSubject(openVolume), change: recorded })
  simulation.plannedDeath = death
  return { result: await simulation.run(), steps: simulation.stepsOfFirstLife }
}

describe('a crash at every step', () => {
  test.each([
    ['of the engine', 'process'],
    ['of the machine', 'power'],
  ] as const)(
    '%s loses nothing',
    async (_name, kind) => {
      const { result, steps } = await run(null)
      expect(result.violations).toEqual([])
      expect(steps).toBeGreaterThan(STEPS_MIN)
      const failures: string[] = []
      for (let step = 1; step <= steps; step++) {
        const { violations } = (await run({ step, afterEffect: step % 2 === 0, kind })).result
        if (violations[0] !== undefined)
          failures.push(`step ${step}: ${violations[0].checker}: ${violations[0].message}`)
      }
      expect(failures).toEqual([])
    },
    600_000,
  )
})
