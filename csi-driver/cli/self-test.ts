// `forebay self-test`: proves that this build runs on this host, without a volume. `upgrade` asks it of the new build
// before the old engine makes room.
import { randomBytes } from 'node:crypto'
import { CacheError } from '../../base/errors.ts'
import { crc32 } from '../../base/crc32.ts'
import { xxhash64 } from '../../base/xxhash64.ts'
import { runSelfTest } from '../frontend/fuse/self-test.ts'
import { RUNTIME_DIRECTORY } from '../holder/run-directory.ts'
import { SystemAlignedMemory } from '../io/real/aligned-memory.ts'
import { bestChannelKind, createFuseDevices } from '../io/real/fuse-devices.ts'
import { systemClock } from '../io/real/system-clock.ts'
import { defineCommand, EXIT_FAILED, EXIT_OK, EXIT_REFUSED } from './command.ts'
import { hostProblems, readHostFacts, resendNotice } from './host-checks.ts'
import { commandHost } from './loop-host.ts'
import { productRoot, productVersion } from './product.ts'
import type { Terminal } from './terminal.ts'

/** From here on Node strips types by itself and has what the engine uses. */
const NODE_MAJOR_MIN = 24
/** Check values of the two checksums (CRC-32/ISO-HDLC, XXH64 seed 0) over these nine bytes. */
const CHECK_TEXT = Buffer.from('123456789')
const CRC32_CHECK = 0xcbf43926
const XXH64_CHECK = 0x8cb841db40e6ae83n

interface Step {
  readonly name: string
  /** What is wrong; empty when it holds. */
  readonly run: (terminal: Terminal) => Promise<string[]>
}

const STEPS: readonly Step[] = [
  { name: 'node', run: () => Promise.resolve(nodeProblems(process.versions.node)) },
  { name: 'host', run: hostStep },
  { name: 'checksums', run: () => Promise.resolve(checksumProblems()) },
  { name: 'engine', run: engineStep },
  { name: 'front end', run: frontEndStep },
]

export const selfTestCommand = defineCommand({
  name: 'self-test',
  summary: 'Prove that this build runs on this host; touches no volume',
  positionals: [],
  schema: {},
  description: [
    'Checks Node, privileges, kernel and tools, the checksums, that the whole engine loads, and, with a scratch device in memory behind FUSE and loop, that short writes are errors, flushes and discards arrive, and unanswered requests are sent again. It opens neither a cache nor a backing, and takes about a second.',
  ],
  exits: [
    [EXIT_OK, 'everything holds'],
    [EXIT_FAILED, 'something does not, and is named'],
    [EXIT_REFUSED, 'bad input'],
  ],
  examples: [['forebay self-test', 'After an installation:']],
  async run({ terminal }) {
    let failed = false
    for (const { name, run } of STEPS) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- the first failure explains those behind it
      const problems = await run(terminal).catch((error: unknown) => [describe(error)])
      for (const problem of problems) terminal.err(`forebay self-test: ${name}: ${problem}\n`)
      if (problems.length > 0) {
        failed = true
        break
      }
    }
    if (failed) return EXIT_FAILED
    terminal.out(`self-test passed version=${productVersion()} node=${process.versions.node} build=${productRoot()}\n`)
    return EXIT_OK
  },
})

function describe(error: unknown): string {
  if (error instanceof CacheError) return `${error.message} ${error.remedy ?? ''}`
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

export function nodeProblems(version: string): string[] {
  const major = Number.parseInt(version, 10)
  return major >= NODE_MAJOR_MIN ? [] : [`too old; at least ${NODE_MAJOR_MIN}, pinned in package.json found=${version}`]
}

async function hostStep(terminal: Terminal): Promise<string[]> {
  const facts = await readHostFacts()
  const notice = resendNotice(facts.kernelRelease)
  if (notice !== null) terminal.err(`forebay self-test: ${notice}\n`)
  return hostProblems(facts, 'fuse').map(({ where, problem }) => `${where} ${problem}`)
}

function checksumProblems(): string[] {
  const problems: string[] = []
  if (crc32(CHECK_TEXT, 0, CHECK_TEXT.length) !== CRC32_CHECK) problems.push('CRC-32 is wrong')
  if (xxhash64(CHECK_TEXT, 0, CHECK_TEXT.length) !== XXH64_CHECK) problems.push('XXH64 is wrong')
  return problems
}

async function frontEndStep(terminal: Terminal): Promise<string[]> {
  const ports = {
    host: commandHost(terminal),
    devices: createFuseDevices(new SystemAlignedMemory()),
    clock: systemClock,
  }
  // A directory of its own: another self-test may run beside this one.
  const runDirectory = `${RUNTIME_DIRECTORY}/self-test-${process.pid}`
  await runSelfTest(ports, { runDirectory, kind: bestChannelKind(), sessionHex: randomBytes(8).toString('hex') })
  return []
}

/** Loads everything that an engine process loads: a missing or broken file shows here. */
async function engineStep(): Promise<string[]> {
  const { ServedVolume } = await import('../engine-process/served-volume.ts')
  return typeof ServedVolume === 'function' ? [] : ['the engine does not load']
}
