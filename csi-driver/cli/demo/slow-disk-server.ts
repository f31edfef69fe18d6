// A slow disk as a process of its own: /dev/fuse, one file, a loop device on it. Prints one JSON object when the device
// is there, then answers one JSON object for each line that it is told on standard input or through its socket:
//
//   latency MS | fail KIND[,KIND] EIO|ENOSPC | hang | heal | grow BYTES | status | destroy
//
// It takes itself down on `destroy`, on SIGTERM and when its standard input ends, which it does when its maker dies.
// With `socket` it outlives its maker and is told through that socket.
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { SILENT_LOG } from '../../../base/log.ts'
import { REQUEST_EIO, REQUEST_ENOSPC } from '../../engine/request.ts'
import { FuseFrontend } from '../../frontend/fuse/fuse-frontend.ts'
import { TRANSFER_BYTES_MAX } from '../../frontend/fuse/negotiate.ts'
import { setUpLoop } from '../../frontend/loop/attach.ts'
import { mountConnection, unmountLazily } from '../../frontend/loop/connection.ts'
import { isBoundTo, resizeLoop, restoreSettings } from '../../frontend/loop/loop-device.ts'
import { SystemAlignedMemory } from '../../io/real/aligned-memory.ts'
import { RealProcesses } from '../../io/real/exec.ts'
import { bestChannelKind, createFuseDevices } from '../../io/real/fuse-devices.ts'
import { systemFiles } from '../../io/real/small-files.ts'
import { systemClock, systemTimers } from '../../io/real/system-clock.ts'
import { SLOW_DISK_KINDS, type SlowDiskKind, SlowDiskMemory } from './slow-disk-memory.ts'

export interface SlowDiskOptions {
  readonly sizeBytes: number
  readonly latencyMs: number
  /** 32 when left out: `latencyMs` and this are how many requests a second it takes. */
  readonly inFlightMax?: number
  /** How far `grow` may go. */
  readonly sizeBytesMax?: number
  /** Path of a unix socket; with it the disk lives until it is told to go. */
  readonly socket?: string
}

const SECTOR_BYTES = 512
/** Somebody may have the device open; after so long it is left to the kernel, which fails its I/O. */
const RELEASE_CHECKS_MAX = 400
const RELEASE_CHECK_MS = 25

const options = JSON.parse(process.argv[2] ?? '{}') as SlowDiskOptions
const memory = new SystemAlignedMemory()
const host = { processes: new RealProcesses(), files: systemFiles, timers: systemTimers, log: SILENT_LOG }
const devices = createFuseDevices(memory)
const disk = new SlowDiskMemory({
  content: memory.allocate(options.sizeBytesMax ?? options.sizeBytes),
  sizeBytes: options.sizeBytes,
  latencyMs: options.latencyMs,
  ...(options.inFlightMax === undefined ? {} : { inFlightMax: options.inFlightMax }),
  clock: systemClock,
  timers: systemTimers,
})
const sessionHex = randomBytes(8).toString('hex')
const fileName = `slow-disk-${sessionHex}`
const mountPoint = `/run/forebay-slow-disk/${sessionHex}`
const fd = devices.open()
let frontend: FuseFrontend
let device = ''
let ending: Promise<void> | null = null

function describe(): object {
  return { device, fileName, sizeBytes: disk.sizeBytes, latencyMs: disk.latencyMs, ...disk.counters }
}

async function attach(): Promise<void> {
  await mountConnection(host, { fd, mountPoint, source: 'forebay-slow-disk' })
  const channel = devices.channel(fd, {
    kind: bestChannelKind(),
    maxWriteBytes: TRANSFER_BYTES_MAX,
    busyPollMicros: 0,
  })
  frontend = new FuseFrontend({
    channel,
    sink: disk,
    memory,
    timers: systemTimers,
    fileName,
    sessionHex,
    events: {
      onSession: () => undefined,
      onResendDrained: () => undefined,
      onRefused: (error) => {
        process.stderr.write(`slow disk: ${error.message}\n`)
        process.exit(1)
      },
      onClosed: () => undefined,
    },
  })
  frontend.start()
  device = await setUpLoop(host, `${mountPoint}/${fileName}`, SECTOR_BYTES)
  await restoreSettings(host, device)
  await unmountLazily(host, mountPoint)
}

async function destroy(): Promise<void> {
  disk.heal()
  disk.latencyMs = 0
  if (device !== '' && (await isBoundTo(host, device, fileName))) {
    await host.processes.run(['losetup', '-d', device])
    for (let check = 0; check < RELEASE_CHECKS_MAX; check++) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      if (!(await isBoundTo(host, device, fileName))) break
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      await new Promise((resolve) => setTimeout(resolve, RELEASE_CHECK_MS))
    }
  }
  await unmountLazily(host, mountPoint)
  if (options.socket !== undefined) rmSync(options.socket, { force: true })
}

function end(): Promise<void> {
  ending ??= destroy()
  return ending
}

function fail(kinds: string | undefined, code: string | undefined): boolean {
  const names = (kinds ?? '').split(',').filter((name): name is SlowDiskKind => name in SLOW_DISK_KINDS)
  if (names.length === 0 || (code !== 'EIO' && code !== 'ENOSPC')) return false
  disk.fail(names, code === 'EIO' ? REQUEST_EIO : REQUEST_ENOSPC)
  return true
}

async function grow(sizeBytes: number): Promise<boolean> {
  if (!disk.grow(sizeBytes)) return false
  frontend.sizeChanged()
  await resizeLoop(host, device, sizeBytes)
  return true
}

/** True when the line was understood and done. */
async function obey([command, first, second]: readonly string[]): Promise<boolean> {
  switch (command ?? '') {
    case 'latency':
      disk.latencyMs = Number(first)
      return disk.latencyMs >= 0
    case 'fail':
      return fail(first, second)
    case 'hang':
      disk.hang()
      return true
    case 'heal':
      disk.heal()
      return true
    case 'grow':
      return grow(Number(first))
    case 'status':
      return true
    case 'destroy':
      await end()
      return true
    default:
      return false
  }
}

function listen(input: Readable, say: (line: string) => void, onEnd: () => void): void {
  const lines = createInterface({ input })
  lines.on('line', (line) => {
    void obey(line.trim().split(/\s+/)).then(
      (done) => {
        say(`${JSON.stringify({ ok: done, ...describe() })}\n`)
        if (ending !== null) process.exit(0)
      },
      (error: unknown) => {
        say(`${JSON.stringify({ ok: false, error: String(error) })}\n`)
        if (ending !== null) process.exit(1)
      },
    )
  })
  lines.on('close', onEnd)
}

const leave = (): void => void end().finally(() => process.exit(0))
process.on('SIGTERM', leave)
// Ctrl-C of a terminal reaches everybody in front of it; our maker decides when we go.
process.on('SIGINT', () => undefined)
process.stdout.on('error', () => undefined)

await attach()
if (options.socket !== undefined) {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    listen(
      socket,
      (line) => void socket.write(line),
      () => socket.destroy(),
    )
  })
  server.listen(options.socket)
} else {
  listen(process.stdin, (line) => void process.stdout.write(line), leave)
}
process.stdout.write(`${JSON.stringify({ ok: true, event: 'ready', ...describe() })}\n`)
