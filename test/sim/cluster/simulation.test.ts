// Proves the simulator of a cluster itself: the product passes its first seeds, two runs of a seed are the same run, what
// the readers of disks find is what the product finds there, and the command line names seed and command.
import { Receiver } from '../../../csi-driver/replica/receiver.ts'
import type { StoredVolume } from '../../../csi-driver/replica/store/stored-volume.ts'
import { openVolume } from '../../../csi-driver/engine/volume.ts'
import { StoreOnDisk } from './store-on-disk.ts'
import { clusterIncidentNamed } from './incident-names.ts'
import { main, runClusterSeeds } from './run-seeds.ts'
import { focusedOn } from './scenario.ts'
import { ClusterSimulation, type ClusterSubject } from './simulation.ts'

const SUBJECT: ClusterSubject = { openVolume, change: (scenario) => scenario, wholeTrace: false }
const LIMIT_MS = 120_000

function seeds(count: number, name = 'cluster'): string[] {
  return Array.from({ length: count }, (_, i) => `${name}-${i}`)
}

describe('a run', () => {
  test(
    'passes, twice with the same trace, and meets takeovers, restarts, losses and cuts',
    async () => {
      const summary = await runClusterSeeds(seeds(30), SUBJECT, { onResult: () => undefined, failuresMax: 10 })
      expect(summary.failures).toEqual([])
      expect(summary.repeated).toBe(3)
      expect(summary.faults['opened']).toBeGreaterThan(40)
      expect(summary.faults['restarted']).toBeGreaterThan(5)
      expect(summary.faults['fenced-hosts']).toBeGreaterThan(10)
      expect(summary.faults['batches-trimmed']).toBeGreaterThan(100)
      expect(summary.faults['compressed-batches']).toBeGreaterThan(10)
      expect(summary.faults['sectors-judged']).toBeGreaterThan(100_000)
    },
    LIMIT_MS,
  )

  test('has another trace for another seed', async () => {
    const [first, second] = await Promise.all(
      seeds(2, 'trace').map((seed) => new ClusterSimulation(seed, SUBJECT).run()),
    )
    expect(first?.traceHash).not.toBe(second?.traceHash)
  })
})

test(
  'a reader of a disk finds what the store that runs on it knows to be there',
  async () => {
    let compared = 0
    for (const seed of seeds(4, 'readers')) {
      const simulation = new ClusterSimulation(seed, {
        ...SUBJECT,
        change: (scenario) => focusedOn(scenario, ['takeover', 'peer-crash', 'engine-crash', 'store-loss']),
      })
      const { cluster } = simulation
      let events = 0
      // Between events nothing is half done; a store whose write is in flight says less than its disk.
      cluster.checkers.push({
        name: 'readers',
        rule: '',
        afterEvent: () => {
          if (++events % 50 !== 0) return
          for (const copy of cluster.copies) {
            if (!(copy instanceof StoreOnDisk) || copy.disk.inFlight.size > 0) continue
            const peer = [...cluster.peers.values()].find(({ host }) => host.store === copy.disk)
            const volume = peer?.store?.volumes()[0]
            if (volume === undefined || !(peer?.receiver instanceof Receiver)) continue
            expectSame(copy, volume)
            compared++
          }
        },
      })
      const { violations } = await simulation.run()
      expect(violations).toEqual([])
    }
    expect(compared).toBeGreaterThan(100)
  },
  LIMIT_MS,
)

/** What the reader of the disk finds is what the store says that it holds. */
function expectSame(copy: StoreOnDisk, { state: { log }, incarnation }: StoredVolume): void {
  expect(copy.head?.incarnation).toBe(incarnation)
  expect(copy.head?.log?.tailBatchSeq).toBe(log?.tail.batchSeq)
  expect(copy.head?.log?.logUuid).toBe(log?.lineage.at(-1)?.logUuid)
  if (log !== null && log.pending === null) expect(copy.lastBatchSeq).toBe(log.lastBatchSeq)
}

describe('the command line', () => {
  async function run(...args: string[]): Promise<{ status: number; lines: string[] }> {
    const lines: string[] = []
    const status = await main(args, (line) => lines.push(line))
    return { status, lines }
  }

  test('names the seed and the command first and last', async () => {
    const { status, lines } = await run('--seed', 'x7')
    expect(status).toBe(0)
    expect(lines[0]).toContain('first=x7')
    expect(lines.at(-1)).toBe('repeat: test/sim/cluster/run.ts --seed x7')
  })

  test.each([[['--sed', '1']], [[]], [['--seeds', 'many']], [['--seeds', '1', '--incidents', 'earthquake']]])(
    'refuses %j',
    async (args) => {
      expect((await run(...args)).status).toBe(2)
    },
  )

  test('knows incidents by name', () => {
    expect(clusterIncidentNamed('two-takeovers')).toBe('two-takeovers')
    expect(clusterIncidentNamed('nonsense')).toBeUndefined()
  })
})
