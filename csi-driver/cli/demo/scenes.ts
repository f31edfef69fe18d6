// The demo, scene by scene: one database, one slow disk that three hosts reach, and what becomes of both. Each scene
// says what it is about, does it with the commands that users type, and returns what it has measured.
import path from 'node:path'
import type { Ms } from '../../../base/units.ts'
import { type Client, type CommitRate, type Load } from './client.ts'
import type { DemoHost } from './demo-host.ts'
import { DemoVolume } from './demo-volume.ts'
import { nothingIsWrong } from './ledger.ts'
import { count, findingsText, rateText, type Results, seconds } from './results.ts'
import { command, demoError, type Stage, tryCommand } from './stage.ts'
import { Timeline } from './timeline.ts'

/** Until a volume with replicas is in write-back: the first time at once, later after some quiet seconds. */
const WRITE_BACK_LIMIT_MS: Ms = 60_000

export interface Cast {
  readonly stage: Stage
  readonly client: Client
  readonly directory: string
  /** The device of the slow disk. */
  readonly backing: string
  /** Of each measurement. */
  readonly durationMs: Ms
}

/** An ext4 is made, and the database on it, without Forebay. */
export async function slowDiskAlone(cast: Cast, host: DemoHost): Promise<CommitRate> {
  const { stage, backing } = cast
  stage.say('\n1  The slow disk alone. SQLite on ext4; each commit waits until the disk has it.\n')
  await host.command('mkfs.ext4', '-q', backing)
  await host.command('mount', backing, host.path('mnt'))
  const rate = await measure(cast, await cast.client.begin(host))
  await host.command('umount', host.path('mnt'))
  stage.say(`   ${rateText(rate)}`)
  return rate
}

export async function localWriteBack(cast: Cast, host: DemoHost): Promise<CommitRate> {
  const { stage, backing } = cast
  stage.say('\n2  Forebay in front of it: writes are acknowledged once they are in the cache of this host.\n')
  const volume = await DemoVolume.start({ stage, host, backing, peers: [] })
  await volume.mount()
  const rate = await measure(cast, await cast.client.begin(host))
  stage.say(`   ${rateText(rate)}`)
  await volume.stop()
  return rate
}

async function measure({ stage, durationMs }: Cast, load: Load): Promise<CommitRate> {
  const fromMs = performance.now()
  await stage.pause(durationMs)
  load.check()
  const rate = load.rate(fromMs, performance.now())
  await load.end()
  return rate
}

/** Ends with the death of the host, at the moment that is returned. */
export async function ownerDies(
  cast: Cast,
  host: DemoHost,
  peers: readonly DemoHost[],
): Promise<{ readonly rate: CommitRate; readonly diedAtMs: Ms }> {
  const { stage, backing, client, durationMs } = cast
  stage.say('\n3  The same with one replica: acknowledged once a second host has it too. Then the host dies.\n')
  const volume = await DemoVolume.start({ stage, host, backing, peers })
  const replica = await volume.untilReplicated(WRITE_BACK_LIMIT_MS)
  stage.say(`   write-back, replica on ${replica}`)
  await volume.mount()
  const load = await client.begin(host)
  const fromMs = performance.now()
  await stage.pause(durationMs)
  load.check()
  const rate = load.rate(fromMs, performance.now())
  stage.say(`   ${rateText(rate)}\n`)
  const diedAtMs = performance.now()
  await host.powerOff()
  await load.over()
  stage.say(`   ${host.name} is dead: its network is cut, every process is killed with -9.`)
  stage.say(`   Acknowledged until then: ${count(client.acknowledged)} commits.`)
  return { rate, diedAtMs }
}

export interface TakenOver {
  readonly volume: DemoVolume
  readonly load: Load
  readonly results: Results['takeover']
}

/** Another host goes on: with the same volume, file system and database. */
export async function takeOver(
  cast: Cast,
  host: DemoHost,
  peers: readonly DemoHost[],
  diedAtMs: Ms,
): Promise<TakenOver> {
  const { stage, backing, client, directory } = cast
  stage.say(`\n4  ${host.name} takes over, once the fence command says that the old owner is off.\n`)
  // A real one asks a power strip or a management board; here a host has a file while it has power.
  const fenceCommand = `test ! -e ${path.join(directory, 'power')}/$NODE && echo $NODE is off`
  const volume = await DemoVolume.start({ stage, host, backing, peers, fenceCommand })
  const readyMs = performance.now() - diedAtMs
  stage.say(`   ${volume.logged('fence.command_ended')}`)
  await volume.mount()
  const firstLoad = await client.begin(host)
  const firstCommitMs = firstLoad.firstAtMs - diedAtMs
  stage.say(
    `   Ready ${seconds(readyMs)} after the death of the owner, first new commit after ${seconds(firstCommitMs)}.`,
  )
  await firstLoad.end()
  const findings = await client.check((...words) => host.command(...words), host.path('mnt/bank.db'))
  stage.say('   The database against what its client knows:')
  for (const line of findingsText(findings, client.acknowledged)) stage.say(`     ${line}`)
  if (!nothingIsWrong(findings)) throw demoError('acknowledged commits were lost in the takeover, see above')
  return { volume, load: await client.begin(host), results: { readyMs, firstCommitMs, findings } }
}

/** The host that holds the only replica dies under load; the third one takes its place. */
export async function replicaDies(
  cast: Cast,
  { volume, load }: TakenOver,
  hosts: readonly DemoHost[],
  fullRate: number,
): Promise<Results['peerLoss']> {
  const { stage, durationMs } = cast
  const replica = await volume.untilReplicated(WRITE_BACK_LIMIT_MS)
  stage.say(`\n5  The replica is on ${replica}, and ${replica} dies under load. Commits in each second:\n`)
  const victim = hosts.find(({ name }) => name === replica)
  if (victim === undefined) throw demoError(`no host is called ${replica}`)
  const timeline = new Timeline({ stage, load, fullRate })
  await timeline.follow((elapsedMs) => elapsedMs >= durationMs / 2)
  const diedAtMs = performance.now()
  await victim.powerOff()
  stage.say(`            ${victim.name} is dead`)
  let said = ''
  let returnedAtMs: Ms | null = null
  await timeline.follow(async (elapsedMs) => {
    const now = await replicationText(volume, replica)
    if (now !== null && now !== said) stage.say(`            ${now}`)
    said = now ?? said
    if (said.startsWith('write-back')) returnedAtMs ??= performance.now()
    if (elapsedMs > WRITE_BACK_LIMIT_MS) throw demoError(`no other replica within ${WRITE_BACK_LIMIT_MS / 1000} s`)
    return returnedAtMs !== null && performance.now() - returnedAtMs >= durationMs / 2
  })
  return { pauseMs: load.longestPauseMs(diedAtMs), returnMs: (returnedAtMs ?? 0) - diedAtMs }
}

/** How writes are acknowledged now, and why; null while nothing has changed since the loss of `lost`. */
async function replicationText(volume: DemoVolume, lost: string): Promise<string | null> {
  const status = await volume.status()
  if (status === null) return null
  if (status.effectiveWritePolicy === 'write-through') {
    return `write-through: ${status.reason?.replace(/ peers=.*$/s, '') ?? 'no replica'}`
  }
  const replica = status.inSync.map(({ node }) => node).find((node) => node !== volume.host.name)
  return replica === undefined || replica === lost ? null : `write-back, replica on ${replica}`
}

export async function cleanStop(
  { stage }: Cast,
  { volume, load }: TakenOver,
  hosts: readonly DemoHost[],
): Promise<void> {
  stage.say('\n6  A clean stop: what the slow disk lacks is written to it, and all hosts are switched off.\n')
  await load.end()
  await volume.stop()
  for (const host of hosts) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- three
    await host.powerOff()
  }
}

/** Looks at the slow disk without Forebay. */
export async function slowDiskAtEnd({ stage, client, backing }: Cast, mountPoint: string): Promise<Results['end']> {
  stage.say('   What the slow disk alone holds:')
  const checked = await tryCommand('e2fsck', '-fn', backing)
  const fileSystemProblem = checked.status === 0 ? null : `${checked.stdout}${checked.stderr}`
  stage.say(`     e2fsck: ${fileSystemProblem === null ? 'clean' : `NOT CLEAN\n${fileSystemProblem}`}`)
  await command('mount', '-o', 'ro', backing, mountPoint)
  const { acknowledged } = client
  const run = ([program = '', ...words]: string[]): Promise<string> => command(program, ...words)
  const findings = await client.check((...words) => run(words), path.join(mountPoint, 'bank.db'), 'read-only')
  for (const line of findingsText(findings, acknowledged)) stage.say(`     ${line}`)
  await command('umount', mountPoint)
  return { fileSystemProblem, acknowledged, findings }
}
