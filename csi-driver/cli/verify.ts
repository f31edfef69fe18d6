// `forebay verify`: every invariant that can be checked while nobody serves the volume. Never writes.
import { CacheError } from '../../base/errors.ts'
import { SILENT_LOG } from '../../base/log.ts'
import { pathSetting } from '../../base/setting-kinds.ts'
import { BackingStore, compareIdentity } from '../backing/backing-store.ts'
import { EdgeHashes } from '../engine/edge-hashes.ts'
import { RecoveredRequests } from '../engine/recovered-requests.ts'
import { replay } from '../engine/replay.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { openBacking } from '../io/real/open-backing.ts'
import { systemClock } from '../io/real/system-clock.ts'
import { JOURNAL_INVARIANTS } from '../journal/invariants.ts'
import { readJournalImage } from '../journal/journal-image.ts'
import type { Superblock } from '../journal/journal.ts'
import { FileRegister } from '../register/file-register.ts'
import type { RegisterRecord } from '../register/record.ts'
import { type CacheAtRest, openCacheAtRest } from './cache-at-rest.ts'
import { defineCommand, EXIT_FAILED, EXIT_OK, EXIT_REFUSED, stateDirSchema } from './command.ts'
import { cachePositional } from './inspect.ts'
import { waitingTimers } from './loop-host.ts'
import { stateDirectoryOf } from './volume-call.ts'
import { registerPathsOfVolume } from './volume-list.ts'

/** One check and what it found; `skipped` says why it could not be made. */
interface Verdict {
  readonly name: string
  readonly findings: readonly string[]
  readonly skipped?: string
}

export const verifyCommand = defineCommand({
  name: 'verify',
  summary: 'Check every invariant of a cache that can be checked at rest',
  positionals: [cachePositional],
  schema: {
    backing: pathSetting({
      default: null,
      defaultText: 'none',
      help: 'Compare with this backing too: its identity, size, and the hashes of its first and last MiB.',
      why: '',
    }),
    ...stateDirSchema,
  },
  description: [
    'Checks the superblocks, the chain of batches, the checksums of every record, that the log fits the register of the volume, and, with --backing, that the backing is the one of this cache and that nobody else has written to its edges. Prints a line for each check: ok, skipped, or BROKEN with what was found. Opens everything for reading only.',
    'The volume must not be served meanwhile.',
  ],
  exits: [
    [EXIT_OK, 'every check that was made holds'],
    [EXIT_FAILED, 'something is broken'],
    [EXIT_REFUSED, 'bad input, no Forebay cache, or it is being served'],
  ],
  examples: [
    ['forebay verify /var/cache/forebay/db1 --backing /dev/vg/db1', 'After a power loss, before serving again:'],
  ],
  async run({ positionals, settings, terminal }) {
    const [given = ''] = positionals
    const cache = await openCacheAtRest(given)
    if (cache.served) {
      throw new CacheError('invalid', 'CACHE_IN_USE', `the cache is being served path=${given}`, {
        remedy: 'Stop the volume first: what changes cannot be verified.',
      })
    }
    const verdicts = [
      ...(await journalVerdicts(cache)),
      await registerVerdict(cache.superblock, stateDirectoryOf(settings.stateDir)),
      ...(await backingVerdicts(cache, settings.backing)),
    ]
    for (const verdict of verdicts) terminal.out(verdictText(verdict))
    const broken = verdicts.filter(({ findings }) => findings.length > 0).length
    terminal.out(`verified cache=${given} checks=${verdicts.length} broken=${broken}\n`)
    return broken === 0 ? EXIT_OK : EXIT_FAILED
  },
})

function verdictText({ name, findings, skipped }: Verdict): string {
  if (skipped !== undefined) return `skipped  ${name}: ${skipped}\n`
  return findings.length === 0
    ? `ok       ${name}\n`
    : findings.map((finding) => `BROKEN   ${name}: ${finding}\n`).join('')
}

async function journalVerdicts({ storage, memory }: CacheAtRest): Promise<Verdict[]> {
  const image = await readJournalImage({ storage, memory })
  return JOURNAL_INVARIANTS.map(({ name, check }) => ({ name, findings: check(image) }))
}

async function registerVerdict(superblock: Superblock | null, stateDirectory: string): Promise<Verdict> {
  const name = 'log-fits-the-register'
  if (superblock === null) return { name, findings: [], skipped: 'no valid superblock' }
  const { volumeName: volume } = superblock
  const paths = await registerPathsOfVolume(stateDirectory, volume)
  try {
    const register = new FileRegister({ processes: new RealProcesses(), paths, volume })
    const record = await register.read()
    if (record === null) return { name, findings: [], skipped: `no register of ${volume} in ${paths.directory}` }
    return { name, findings: registerFindings(superblock, record) }
  } catch (error) {
    return { name, findings: [error instanceof Error ? error.message : String(error)] }
  }
}

/** What must hold between a cache at rest and the register (PROTOCOL.md 1.4, 2.1). Pure. */
export function registerFindings(superblock: Superblock, record: RegisterRecord): string[] {
  const findings: string[] = []
  const demand = (holds: boolean, finding: string): void => {
    if (!holds) findings.push(finding)
  }
  const { epoch, registerNonce, storeUuid, incarnation, volumeUuid } = superblock
  demand(
    volumeUuid === record.volumeUuid,
    `cache is of another volume cache=${volumeUuid} register=${record.volumeUuid}`,
  )
  demand(
    registerNonce === record.registerNonce,
    `register was replaced cache=${registerNonce} register=${record.registerNonce}`,
  )
  demand(epoch <= record.epoch, `log is newer than the register log=${epoch} register=${record.epoch}`)
  const listed = record.members.some((member) => member.storeUuid === storeUuid && member.incarnation === incarnation)
  demand(!record.dirty || listed, 'cache is stale: the dirty volume is kept by another one')
  return findings
}

async function backingVerdicts(cache: CacheAtRest, backingPath: string | null): Promise<Verdict[]> {
  const names = ['backing-is-the-one-of-this-cache', 'backing-edges-are-untouched'] as const
  const skip = (reason: string): Verdict[] => names.map((name) => ({ name, findings: [], skipped: reason }))
  const { superblock } = cache
  if (backingPath === null) return skip('no --backing given')
  if (superblock === null) return skip('no valid superblock')
  const { device, identity } = await openBacking({ path: backingPath, processes: new RealProcesses(), readOnly: true })
  const comparison = compareIdentity(superblock.backing, identity)
  const backing = new BackingStore({ device, clock: systemClock, timers: waitingTimers, log: SILENT_LOG })
  const difference = comparison === 'other' ? -1 : await edgeDifference(cache, superblock, backing)
  device.close(() => {})
  return [
    { name: names[0], findings: comparison === 'same' ? [] : [`backing is ${comparison} path=${backingPath}`] },
    { name: names[1], findings: difference < 0 ? [] : [`somebody else wrote to the backing block=${difference}`] },
  ]
}

/** First block of the edges that differs although the log does not hold it; -1 where there is none. */
async function edgeDifference(cache: CacheAtRest, superblock: Superblock, backing: BackingStore): Promise<number> {
  const { storage, memory } = cache
  const recovered = new RecoveredRequests(0n)
  const { tables } = await replay({ storage, memory, superblock, ackedSeqKnown: 0, acceptDataLoss: true, recovered })
  return new EdgeHashes(backing, memory).firstDifference(superblock.edgeHashes, tables)
}
