// Proves on the running kernel what a volume stands on, with a scratch file in memory behind a connection and a loop
// device of its own. It opens neither cache nor backing, so that a new build can be tried beside a volume in service.
//
// 1. A write that is answered short reaches the application as EIO. (ASYNC_DIO; without it: silent loss.)
// 2. Every flush reaches us. (An FSYNC that was once refused would succeed for ever without us.)
// 3. A discard arrives as a hole to be read as zeros, and is read as zeros.
// 4. Where the kernel offers RESEND: a request that was taken and not answered comes again, marked.
//
// The application's side runs in other processes: a system call of our own would wait for an answer that only the same
// thread can give. Takes about 100 ms.
import type { Clock } from '../../../base/clock.ts'
import { CacheError } from '../../../base/errors.ts'
import type { Ms } from '../../../base/units.ts'
import { BLOCK_BYTES } from '../../../base/units.ts'
import type { FuseChannelKind, FuseDevices } from '../../io/fuse-channel.ts'
import { mountVolume, setUpLoop, volumeFileName } from '../loop/attach.ts'
import { cleanUpPredecessor } from '../loop/cleanup.ts'
import { unmountLazily } from '../loop/connection.ts'
import type { LoopHost } from '../loop/host.ts'
import { delay, tryRun } from '../loop/host.ts'
import { setWriteCache } from '../loop/loop-device.ts'
import { FALLOCATE_PUNCH_HOLE } from './abi.ts'
import type { FuseSession } from './negotiate.ts'
import { TRANSFER_BYTES_MAX } from './negotiate.ts'
import type { PlantedFault } from './scratch-server.ts'
import { ScratchServer } from './scratch-server.ts'

const SCRATCH_VOLUME = 'self-test'
/** Each step is a matter of milliseconds; what takes longer hangs. */
const STEP_TIMEOUT_MS: Ms = 5000
/** Where each step works; apart from one another. */
const FLUSH_AT = 128 * 1024
const DISCARD_AT = 256 * 1024
const DISCARD_BYTES = 64 * 1024
const SHORT_WRITE_AT = 512 * 1024
const HELD_WRITE_AT = 768 * 1024

export interface SelfTestPorts {
  readonly host: LoopHost
  readonly devices: FuseDevices
  readonly clock: Clock
}

export interface SelfTestOptions {
  /** A directory of this test alone; what a killed predecessor left in it is cleaned up first. */
  readonly runDirectory: string
  readonly kind: FuseChannelKind
  /** 16 random hexadecimal digits. */
  readonly sessionHex: string
  readonly maskResend?: boolean
  /** For the test of this test. */
  readonly planted?: PlantedFault
}

export interface SelfTestReport {
  /** What the kernel grants to a connection. `resend` is proven, not only promised. */
  readonly session: FuseSession
  readonly durationMs: Ms
}

interface Scratch {
  readonly host: LoopHost
  readonly server: ScratchServer
  readonly device: string
}

function failure(what: string): CacheError {
  return new CacheError('invalid', 'CACHE_SELF_TEST', `this kernel cannot carry a volume: ${what}`, {
    remedy: 'Use a stock kernel from 5.10 on (6.9 to survive crashes of the engine), with FUSE and loop devices.',
  })
}

/** Runs all checks and takes everything down again. Throws CacheError `invalid` CACHE_SELF_TEST with what failed. */
export async function runSelfTest(ports: SelfTestPorts, options: SelfTestOptions): Promise<SelfTestReport> {
  const { host, devices, clock } = ports
  const startedMs = clock.monotonicMs()
  await cleanUpPredecessor(host, options.runDirectory)
  const fd = devices.open()
  const channel = devices.channel(fd, { kind: options.kind, maxWriteBytes: TRANSFER_BYTES_MAX, busyPollMicros: 0 })
  try {
    const session = await checkAll(ports, options, { fd, channel })
    return { session, durationMs: clock.monotonicMs() - startedMs }
  } finally {
    // Aborts the connection, so that nothing of it can hang, then detaches.
    await cleanUpPredecessor(host, options.runDirectory)
    channel.close()
    await host.files.remove(options.runDirectory)
  }
}

async function checkAll(
  { host }: SelfTestPorts,
  { runDirectory, sessionHex, maskResend = false, planted = 'none' }: SelfTestOptions,
  { fd, channel }: { readonly fd: number; readonly channel: ReturnType<FuseDevices['channel']> },
): Promise<FuseSession> {
  const plan = { volume: SCRATCH_VOLUME, runDirectory, sessionHex, sectorBytes: 512 }
  const name = volumeFileName(SCRATCH_VOLUME, sessionHex)
  let changed = (): void => {}
  const file = { name, shortWriteAt: SHORT_WRITE_AT, heldWriteAt: HELD_WRITE_AT, planted }
  const server = new ScratchServer(channel, file, { sessionHex, maskResend }, () => changed())
  const mounted = await mountVolume(host, plan, fd)
  const initialised = new Promise<void>((resolve) => {
    changed = resolve
  })
  channel.start(server)
  await within(host, initialised, 'no INIT came')
  const { session } = server
  if (session === null || session instanceof Error) throw session ?? failure('no INIT came')
  const device = await setUpLoop(host, `${mounted.mountPoint}/${name}`, plan.sectorBytes)
  await unmountLazily(host, mounted.mountPoint)
  // Whoever had the device before may have left it without flushes.
  await setWriteCache(host, device, 'write back')
  const scratch = { host, server, device }
  await checkShortWrite(scratch)
  await checkFlushes(scratch)
  await checkDiscard(scratch)
  if (session.resend) await checkResend(scratch)
  return session
}

async function within<T>(host: LoopHost, promise: Promise<T>, what: string): Promise<T> {
  const late = delay(host.timers, STEP_TIMEOUT_MS).then((): T => {
    throw failure(what)
  })
  return Promise.race([promise, late])
}

/** Writes one or two blocks of zeros with O_DIRECT from another process. */
function writeBlocks({ host, device }: Scratch, at: number, blocks: number, flags = 'notrunc') {
  const place = [`bs=${blocks * BLOCK_BYTES}`, `seek=${at / (blocks * BLOCK_BYTES)}`, 'count=1']
  const command = ['dd', 'if=/dev/zero', `of=${device}`, ...place, 'oflag=direct', `conv=${flags}`]
  return tryRun(host, command, { timeoutMs: STEP_TIMEOUT_MS })
}

async function checkShortWrite(scratch: Scratch): Promise<void> {
  const good = await writeBlocks(scratch, 0, 2)
  if (good.exitCode !== 0) throw failure(`a plain write failed: ${good.stderr.trim()}`)
  const short = await writeBlocks(scratch, SHORT_WRITE_AT, 2)
  if (short.exitCode === 0) throw failure('a write that was answered short counts as written')
}

async function checkFlushes(scratch: Scratch): Promise<void> {
  // Twice: the first one could be the last that ever comes.
  for (let round = 1; round <= 2; round++) {
    const before = scratch.server.fsyncs
    const written = await writeBlocks(scratch, FLUSH_AT, 1, 'notrunc,fsync')
    if (written.exitCode !== 0 || scratch.server.fsyncs === before) throw failure(`flush ${round} did not reach us`)
  }
}

async function checkDiscard({ host, server, device }: Scratch): Promise<void> {
  server.content.fill(0xff, DISCARD_AT, DISCARD_AT + DISCARD_BYTES)
  const range = ['--offset', String(DISCARD_AT), '--length', String(DISCARD_BYTES)]
  const discarded = await tryRun(host, ['blkdiscard', ...range, device], { timeoutMs: STEP_TIMEOUT_MS })
  const modes = server.fallocateModes
  if (discarded.exitCode !== 0 || modes.length === 0 || modes.some((mode) => mode !== FALLOCATE_PUNCH_HOLE)) {
    throw failure(`a discard did not arrive as a hole modes=${modes.join(',')}`)
  }
  const skip = [`--ignore-initial=${DISCARD_AT}:0`, `--bytes=${DISCARD_BYTES}`]
  const compared = await tryRun(host, ['cmp', ...skip, device, '/dev/zero'], { timeoutMs: STEP_TIMEOUT_MS })
  if (compared.exitCode !== 0) throw failure('a discarded range does not read back as zeros')
}

async function checkResend(scratch: Scratch): Promise<void> {
  const written = await writeBlocks(scratch, HELD_WRITE_AT, 1)
  if (written.exitCode !== 0 || !scratch.server.resent) throw failure('an unanswered request was not sent again')
}
