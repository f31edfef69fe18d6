// `make torture`: a campaign of faults on three hosts of this machine, with raw writes and with a database. Prints each
// round, then what was killed how often, what was acknowledged, what is missing of it, and the longest pause.
//
//   torture.ts [--kills N] [--seed N] [--load table|raw|both]
//
// Exit status 0: nothing was lost; 1: something was, or did not come back.
import { parseArgs } from 'node:util'
import { obstacleOfHosts } from '../integration/hosts/harness/hosts.ts'
import { LostError } from '../integration/hosts/harness/lost-error.ts'
import { type CampaignReport, runCampaign } from './campaign.ts'
import { FAULT_NAMES, FAULTS } from './schedule.ts'

const KILLS_DEFAULT = '200'

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const complain = (line: string): void => void process.stderr.write(`${line}\n`)

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: KILLS_DEFAULT },
    seed: { type: 'string' },
    load: { type: 'string', default: 'both' },
  },
})
const kills = Number(values.kills)
const seed = Number(values.seed ?? Date.now() % 1_000_000)

function refuse(message: string): never {
  complain(`torture: ${message}`)
  process.exit(2)
}

if (!Number.isInteger(kills) || kills < 1) refuse(`--kills is no number of kills given=${values.kills}`)
if (!Number.isInteger(seed) || seed < 0) refuse(`--seed is no number given=${values.seed}`)
const { load } = values
if (load !== 'table' && load !== 'raw' && load !== 'both') refuse(`--load is none of table, raw, both given=${load}`)
const obstacle = obstacleOfHosts('blkdiscard', 'mkfs.ext4')
if (obstacle !== undefined) refuse(`cannot run here: ${obstacle}`)

function print(report: CampaignReport): void {
  for (const fault of FAULT_NAMES) {
    const kind = FAULTS[fault].kill ? 'killed' : 'no kill'
    say(`  ${fault.padEnd(16)} ${kind.padEnd(8)} ${String(report.rounds.get(fault) ?? 0).padStart(4)}`)
  }
  say(`kills                    ${report.kills}`)
  say(`acknowledged writes      ${report.acknowledgedWrites}`)
  say(`committed transactions   ${report.acknowledgedTransactions}`)
  say('lost                     0')
  say(`longest pause            ${(report.longestPauseMs / 1000).toFixed(1)} s (${report.longestPauseFault ?? ''})`)
}

say(`torture: seed ${seed}, ${kills} kills; repeat with: make torture KILLS=${kills} SEED=${seed}`)
try {
  print(await runCampaign({ seed, kills, load, say }))
} catch (error) {
  complain(error instanceof Error ? error.message : String(error))
  const lost = error instanceof Error && error.cause instanceof LostError
  say(`torture: ${lost ? 'something was LOST' : 'FAILED'}: make torture KILLS=${kills} SEED=${seed}`)
  process.exitCode = 1
}
