// `forebay upgrade`: a new engine process takes over under load. The new build proves itself first, without touching
// the volume; only then is the old engine asked to make room.
import { access, constants } from 'node:fs/promises'
import path from 'node:path'
import { CacheError } from '../../base/errors.ts'
import { durationSetting, pathSetting } from '../../base/setting-kinds.ts'
import { RealProcesses } from '../io/real/exec.ts'
import type { VolumeStatus } from '../observe/status.ts'
import {
  defineCommand,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_OK,
  EXIT_REFUSED,
  stateDirSchema,
  volumePositional,
} from './command.ts'
import { productRoot } from './product.ts'
import { pause } from './terminal.ts'
import { connectVolume, readStatus, stateDirectoryOf, waitForVolume, type VolumeTarget } from './volume-call.ts'

const SELF_TEST_TIMEOUT_MS = 60_000
/** Replay of a full log at 200 MB/s takes seconds; beyond this something is wrong. */
const TAKEOVER_WAIT_MS = 60_000
const POLL_MS = 50

export const upgradeCommand = defineCommand({
  name: 'upgrade',
  summary: 'Replace the engine process of a running volume, under load',
  positionals: [volumePositional],
  schema: {
    build: pathSetting({
      default: null,
      defaultText: 'the build that this command belongs to',
      help: 'Root directory of the build whose engine takes over.',
      why: 'To upgrade from the old command, or to go back.',
    }),
    quiesce: durationSetting({
      default: 10_000,
      min: 100,
      max: 600_000,
      help: 'On kernels that cannot send requests again: how long to wait for a moment without open requests. With an NBD export: how long to wait until clients have taken their answers.',
      why: 'Without such a moment the upgrade gives up and the old engine serves on; NBD clients lose their connections all the same.',
    }),
    ...stateDirSchema,
  },
  description: [
    'First runs the self-test of the new build, which opens neither cache nor backing; when it fails the old engine is kept. Then the old engine finishes what it has begun and ends, and the holder starts the new one, which goes on with the same device. Applications see a pause, never an error.',
    'The clients of an NBD export lose their connections when the old engine has answered what they had sent, and have to connect again.',
    'The holder itself, a small shell, is replaced only by `forebay stop` and `forebay serve`.',
  ],
  exits: [
    [EXIT_OK, 'the new engine serves'],
    [EXIT_FAILED, 'the self-test failed or the engine refused: the old engine serves on'],
    [EXIT_REFUSED, 'bad input, or the volume is not served here'],
    [EXIT_INTERRUPTED, 'no longer waiting'],
  ],
  examples: [['/opt/forebay-0.2/bin/forebay upgrade db1', 'Move a volume to a new version:']],
  async run({ positionals, settings, terminal }) {
    const [volume = ''] = positionals
    const build = path.resolve(settings.build ?? productRoot())
    await checkBuild(build)
    const target = { volume, stateDirectory: stateDirectoryOf(settings.stateDir), terminal }
    const client = await connectVolume(target)
    const before = await readStatus(client)
    await runSelfTest(build, before)
    const waited = await waitForVolume(target, client, {
      call: { method: 'upgrade', build, quiesceMs: settings.quiesce },
      label: `upgrade ${volume}`,
      onInterrupt: `no longer waiting; look at \`forebay status ${volume}\``,
    })
    client.close()
    if ('status' in waited) return waited.status
    const after = await waitForSuccessor(target, before)
    if (after === null) return EXIT_INTERRUPTED
    const { enginePid, run, version } = after
    terminal.out(`upgraded volume=${volume} engine=${enginePid ?? '?'} run=${run} version=${version} build=${build}\n`)
    return EXIT_OK
  },
})

async function checkBuild(build: string): Promise<void> {
  try {
    await access(path.join(build, 'bin', 'forebay'), constants.X_OK)
    await access(path.join(build, 'csi-driver', 'main.ts'), constants.R_OK)
  } catch (cause) {
    const message = `not a build of Forebay build=${build}`
    const remedy = 'Give --build the directory that holds bin/forebay.'
    throw new CacheError('invalid', 'CACHE_BUILD', message, { cause, remedy })
  }
}

/** A volume that is an NBD export needs nothing of FUSE, which may not even be there: then it is enough that the build runs. */
async function runSelfTest(build: string, { volume, connections }: VolumeStatus): Promise<void> {
  const command = [path.join(build, 'bin', 'forebay'), ...(connections === null ? ['self-test'] : ['serve', '--help'])]
  // Without ours, the new build finds the Node that it pins.
  const result = await new RealProcesses().run(command, { timeoutMs: SELF_TEST_TIMEOUT_MS, env: { FOREBAY_NODE: '' } })
  if (result.exitCode === 0) return
  const cause = `${result.stderr}${result.stdout}`.trim() || `no answer within ${SELF_TEST_TIMEOUT_MS} ms`
  throw new CacheError('retry', 'CACHE_SELF_TEST', `the new build failed its self-test build=${build}\n${cause}\n`, {
    remedy: `The engine of volume=${volume} was left as it is.`,
  })
}

/** The status of the new engine; null when interrupted. */
async function waitForSuccessor(target: VolumeTarget, before: VolumeStatus): Promise<VolumeStatus | null> {
  const deadline = performance.now() + TAKEOVER_WAIT_MS
  while (!target.terminal.interrupted.aborted) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
    const now = await successorStatus(target, before)
    if (now !== null) return now
    if (performance.now() > deadline) {
      const message = `the new engine does not answer volume=${target.volume} waitedMs=${TAKEOVER_WAIT_MS}`
      const remedy = 'Its holder goes on starting it. Look at the output of `forebay serve`.'
      throw new CacheError('unknown-outcome', 'CACHE_TAKEOVER', message, { remedy })
    }
    // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
    await pause(POLL_MS, target.terminal.interrupted)
  }
  return null
}

async function successorStatus(target: VolumeTarget, before: VolumeStatus): Promise<VolumeStatus | null> {
  try {
    const client = await connectVolume(target)
    const now = await readStatus(client)
    client.close()
    return now.enginePid === before.enginePid || now.state === 'starting' ? null : now
  } catch {
    // Between two engines nobody listens.
    return null
  }
}
