// Proves: a database on a volume with one copy survives twenty kills of hosts, engines and stores, and a few freezes and
// cut wires between them; sqlite's own check finds nothing, and no committed transaction is missing. `make torture` is
// the long one.
//
// FOREBAY_SEED=N repeats a schedule.
import { testOn } from '../../run/requires.ts'
import { runCampaign } from '../../torture/campaign.ts'
import { obstacleOfHosts } from './harness/hosts.ts'

const KILLS = 20
const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const onKernel = testOn(obstacleOfHosts('mkfs.ext4'))

onKernel(`${KILLS} kills under a database`, async () => {
  const lines: string[] = []
  const say = (line: string): number => lines.push(line)
  try {
    const report = await runCampaign({ seed: SEED, kills: KILLS, load: 'table', say })
    const pause = (report.longestPauseMs / 1000).toFixed(1)
    process.stdout.write(
      `campaign: seed=${SEED} kills=${report.kills} transactions=${report.acknowledgedTransactions} lost=0 ` +
        `longest-pause=${pause} s (${report.longestPauseFault ?? ''})\n`,
    )
    expect(report.acknowledgedTransactions).toBeGreaterThan(KILLS)
  } catch (error) {
    process.stdout.write(`${lines.join('\n')}\n`)
    throw error
  }
})
