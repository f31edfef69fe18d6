// A volume in memory behind the real front end and a real loop device, as a process of its own: the tests (and a speed
// comparison) drive it through its standard input and read one JSON object per line from its standard output.
//
//   node ram-device.ts '{"volume":"x","runDirectory":"/run/x","sizeBytes":268435456,"kind":"epoll"}'
//   in:  detach | status | write-back | write-through | grow BYTES | clean-up | fail OFFSET |
//        delay MILLISECONDS | stop (as for an upgrade)
//   out: {"event":"ready","device":"/dev/loop0",…} and an answer per command
import { randomBytes } from 'node:crypto'
import { openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { SILENT_LOG } from '../../base/log.ts'
import type { Request } from '../../csi-driver/engine/request.ts'
import { REQUEST_EIO, REQUEST_OK, REQUEST_READ, REQUEST_WRITE, REQUEST_ZERO } from '../../csi-driver/engine/request.ts'
import { FuseFrontend } from '../../csi-driver/frontend/fuse/fuse-frontend.ts'
import type { FuseSession } from '../../csi-driver/frontend/fuse/negotiate.ts'
import { TRANSFER_BYTES_MAX } from '../../csi-driver/frontend/fuse/negotiate.ts'
import type { AttachState } from '../../csi-driver/frontend/loop/attach-state.ts'
import { readAttachState } from '../../csi-driver/frontend/loop/attach-state.ts'
import {
  attachLoop,
  attachStatePath,
  mountVolume,
  reattachLoop,
  volumeFileName,
} from '../../csi-driver/frontend/loop/attach.ts'
import { cleanUpPredecessor } from '../../csi-driver/frontend/loop/cleanup.ts'
import { detachVolume } from '../../csi-driver/frontend/loop/detach.ts'
import { describeHolder } from '../../csi-driver/frontend/loop/holders.ts'
import { resizeLoop, setWriteCache } from '../../csi-driver/frontend/loop/loop-device.ts'
import type { FuseChannelKind } from '../../csi-driver/io/fuse-channel.ts'
import { SystemAlignedMemory } from '../../csi-driver/io/real/aligned-memory.ts'
import { RealProcesses } from '../../csi-driver/io/real/exec.ts'
import { createFuseDevices } from '../../csi-driver/io/real/fuse-devices.ts'
import { systemFiles } from '../../csi-driver/io/real/small-files.ts'
import { systemTimers } from '../../csi-driver/io/real/system-clock.ts'

interface Options {
  readonly volume: string
  readonly runDirectory: string
  readonly sizeBytes: number
  readonly kind: FuseChannelKind
  readonly sectorBytes?: number
  readonly busyPollMicros?: number
  /** Descriptor of /dev/fuse inherited from a holder. */
  readonly fd?: number
  /** Keep answers back by so many milliseconds. */
  readonly delayMs?: number
  /** Contents live in this file (on a tmpfs) and outlive the process. */
  readonly store?: string
  readonly maskResend?: boolean
}

const options = JSON.parse(process.argv[2] ?? '{}') as Options
const { volume, runDirectory, kind } = options
const memory = new SystemAlignedMemory()
const devices = createFuseDevices(memory)
const host = { processes: new RealProcesses(), files: systemFiles, timers: systemTimers, log: SILENT_LOG }
const content = options.store === undefined ? memory.allocate(options.sizeBytes * 2) : null
const store = options.store === undefined ? -1 : openSync(options.store, 'r+')
let sizeBytes = options.sizeBytes
let delayMs = options.delayMs ?? 0
let failFrom = Number.POSITIVE_INFINITY

function say(event: string, fields: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
}

function write({ data, dataStart, offset, length }: Request): void {
  if (content === null) writeSync(store, data, dataStart, length, offset)
  else data.copy(content, offset, dataStart, dataStart + length)
}

function read({ data, dataStart, offset, length }: Request): void {
  if (content === null) readSync(store, data, dataStart, length, offset)
  else content.copy(data, dataStart, offset, offset + length)
}

function zero({ offset, length }: Request): void {
  if (content === null) writeSync(store, Buffer.alloc(length), 0, length, offset)
  else content.fill(0, offset, offset + length)
}

const ACTIONS = new Map([
  [REQUEST_READ, read],
  [REQUEST_WRITE, write],
  [REQUEST_ZERO, zero],
])

function submit(request: Request): void {
  if (request.offset + request.length > failFrom) return request.complete(REQUEST_EIO)
  ACTIONS.get(request.kind)?.(request)
  if (delayMs === 0) request.complete(REQUEST_OK)
  else setTimeout(() => request.complete(REQUEST_OK), delayMs)
}

const sink = {
  submit,
  kick(): void {},
  get sizeBytes(): number {
    return sizeBytes
  },
  canZero: true,
}

const sessionPath = `${runDirectory}/session.json`
const saved = options.fd === undefined ? null : await systemFiles.read(sessionPath)
const session = saved === null ? null : (JSON.parse(saved) as FuseSession)
const sessionHex = session?.sessionHex ?? randomBytes(8).toString('hex')
const fd = options.fd ?? devices.open()
const channel = devices.channel(fd, {
  kind,
  maxWriteBytes: TRANSFER_BYTES_MAX,
  busyPollMicros: options.busyPollMicros ?? 50,
})
const negotiated = Promise.withResolvers<FuseSession>()
const frontend = new FuseFrontend({
  channel,
  sink,
  memory,
  timers: systemTimers,
  fileName: volumeFileName(volume, sessionHex),
  sessionHex,
  ...(session === null ? {} : { resume: session }),
  ...(options.maskResend === undefined ? {} : { maskResend: options.maskResend }),
  events: {
    onSession: (value) => {
      writeFileSync(sessionPath, JSON.stringify(value))
      negotiated.resolve(value)
    },
    onResendDrained: () => say('resend-drained', { resent: frontend.counters.resent }),
    onRefused: (error) => negotiated.reject(error),
    onClosed: (end) => say('closed', { reason: end.reason }),
  },
})

const plan = { volume, runDirectory, sessionHex, sectorBytes: options.sectorBytes ?? 512 }
let attached: AttachState
if (session === null) {
  const mounted = await mountVolume(host, plan, fd)
  frontend.start()
  await negotiated.promise
  attached = await attachLoop(host, plan, mounted, 'write through')
} else {
  frontend.start()
  const state = await readAttachState(systemFiles, attachStatePath(runDirectory))
  if (state === null) throw new Error('no attach state')
  attached = state
  await reattachLoop(host, attached, 'write through')
}
const device = attached.loopDevice ?? ''
say('ready', { device, pid: process.pid, connection: attached.connectionId, session: frontend.negotiated })

const commands: Readonly<Record<string, (argument: string) => Promise<void> | void>> = {
  status: () =>
    say('status', {
      ...frontend.counters,
      ...channel.counters,
      readMemoryBytes: frontend.readMemoryBytes,
      cpu: process.cpuUsage(),
      rss: process.memoryUsage.rss(),
    }),
  'write-back': () => setWriteCache(host, device, 'write back').then(() => say('set')),
  'write-through': () => setWriteCache(host, device, 'write through').then(() => say('set')),
  grow: async (argument) => {
    sizeBytes = Number(argument)
    frontend.sizeChanged()
    await resizeLoop(host, device, sizeBytes)
    say('grown')
  },
  fail: (argument) => {
    failFrom = Number(argument)
    say('failing')
  },
  delay: (argument) => {
    delayMs = Number(argument)
    say('delaying')
  },
  stop: () =>
    frontend.stop(() => {
      say('stopped')
      // An ordinary exit: no thread of the pool may still block in the kernel.
      setImmediate(() => process.exit(0))
    }),
  detach: async () => {
    const outcome = await detachVolume(host, attached, {
      runDirectory,
      onHeld: (holders) => say('held', { holders: holders.map(describeHolder) }),
      signal: new AbortController().signal,
    })
    say(outcome)
    process.kill(process.pid, 'SIGKILL')
  },
  'clean-up': async (argument) => say('cleaned', await cleanUpPredecessor(host, argument)),
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const [command = '', argument = ''] = line.split(' ')
  Promise.resolve(commands[command]?.(argument)).catch((error: unknown) => say('error', { error: String(error) }))
})
