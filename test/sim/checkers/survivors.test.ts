// Proves the probe of the strong invariant: a machine whose log was overwritten too early, and one whose backing lost
// what was only there, are found by opening a copy of them; a right one is not disturbed and not complained of.
import { createPrng } from '../../../base/prng.ts'
import { KIB } from '../../../base/units.ts'
import { fillSectors } from '../content.ts'
import { LOG_START, withinBudget, drawScenario, type Scenario } from '../scenario.ts'
import { Simulation } from '../simulation.ts'
import { referenceSubject } from '../subject.ts'

function plain(scenario: Scenario): Scenario {
  return { ...withinBudget(scenario), incidents: [{ afterOperations: 40, incident: 'survivors' }] }
}

/** A seed of a volume whose log still holds everything when the probe comes. */
function seedOfFullLog(): string {
  for (let i = 0; ; i++) {
    const { settings, workload } = drawScenario(createPrng(`probe-${i}`).fork('scenario'))
    const keepsAll = settings.dirtyLimitBytes === 512 * KIB && workload.largestBytes === 16 * KIB
    const isPlain = settings.resource === 'flash' && settings.writePolicy === 'write-back'
    if (keepsAll && isPlain && workload.readShare < 0.5) return `probe-${i}`
  }
}

async function run(damage: (simulation: Simulation) => void): Promise<{ found: string[]; probes: number }> {
  const subject = referenceSubject('none')
  const simulation = new Simulation(seedOfFullLog(), { ...subject, change: plain })
  const { survivors } = simulation
  const probe = survivors.probe.bind(survivors)
  survivors.probe = async () => {
    damage(simulation)
    await probe()
  }
  const { violations } = await simulation.run()
  return { found: violations.map(({ checker }) => checker), probes: survivors.probes }
}

describe('a copy of the machine after a power cut', () => {
  test('of a right volume holds everything, and the run goes on', async () => {
    expect(await run(() => undefined)).toEqual({ found: [], probes: 1 })
  })

  test('whose log was overwritten too early is found', async () => {
    const { found } = await run(({ machine }) => machine.cache.visible.fill(0, LOG_START))
    expect(found).toEqual(['survivors'])
  })

  test('whose backing holds what nobody wrote is found', async () => {
    const { found } = await run(({ machine, oracle }) => {
      for (const image of [machine.backing.visible, machine.backing.durable]) {
        fillSectors(image, 0, 999_999, 0, oracle.sectors)
      }
    })
    expect(found).toEqual(['survivors'])
  })
})
