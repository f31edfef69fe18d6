// The storage that pretended hosts share, as a process of its own: one image, and for each host a FUSE connection and a
// block device of its own on it. So a host can be cut off as a storage array does it: from then on its requests fail,
// whatever its engine has open, and those of the others go on. It counts who reads and writes. Told on standard input,
// one command a line, each answered by one JSON object:
//
//   attach HOST KEEPER-PID | detach HOST | cut HOST | restore HOST | latency MS | status
//
// It ends when its standard input does, and takes its devices with it.
import { fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { SILENT_LOG } from '../../../../base/log.ts'
import { SECTOR_BYTES } from '../../../../base/units.ts'
import {
  type Request,
  REQUEST_EIO,
  REQUEST_FLUSH,
  REQUEST_OK,
  REQUEST_READ,
  type RequestResult,
  REQUEST_WRITE,
} from '../../../../csi-driver/engine/request.ts'
import type { RequestSink } from '../../../../csi-driver/engine/request.ts'
import { FuseFrontend } from '../../../../csi-driver/frontend/fuse/fuse-frontend.ts'
import { TRANSFER_BYTES_MAX } from '../../../../csi-driver/frontend/fuse/negotiate.ts'
import { setUpLoop } from '../../../../csi-driver/frontend/loop/attach.ts'
import type { LoopHost } from '../../../../csi-driver/frontend/loop/host.ts'
import { isBoundTo, restoreSettings } from '../../../../csi-driver/frontend/loop/loop-device.ts'
import type { Processes } from '../../../../csi-driver/io/process.ts'
import { SystemAlignedMemory } from '../../../../csi-driver/io/real/aligned-memory.ts'
import { RealProcesses } from '../../../../csi-driver/io/real/exec.ts'
import { bestChannelKind, createFuseDevices } from '../../../../csi-driver/io/real/fuse-devices.ts'
import { systemFiles } from '../../../../csi-driver/io/real/small-files.ts'
import { systemTimers } from '../../../../csi-driver/io/real/system-clock.ts'

export interface StorageOptions {
  readonly image: string
  readonly mountPoint: string
  readonly fileName: string
  readonly latencyMs: number
}

export interface StorageStatus {
  readonly ok: boolean
  readonly error?: string
  /** Of each attached host. */
  readonly devices: Readonly<Record<string, string>>
  readonly hosts: Readonly<Record<string, HostCounters>>
  /** Who wrote, in order: each entry is one or more writes in a row of one host. */
  readonly writers: readonly string[]
}

export interface HostCounters {
  reads: number
  writes: number
  flushes: number
  /** Requests that came after the host was cut off. */
  refused: number
}

/** More changes of the writer than any test makes; the oldest go first. */
const WRITERS_MAX = 10_000

const options = JSON.parse(process.argv[2] ?? '{}') as StorageOptions
const memory = new SystemAlignedMemory()
const processes = new RealProcesses()
const host: LoopHost = { processes, files: systemFiles, timers: systemTimers, log: SILENT_LOG }
const devices = createFuseDevices(memory)
const image = openSync(options.image, 'r+')
const sizeBytes = fstatSync(image).size
const zeroes = Buffer.alloc(1024 * 1024)
const counters = new Map<string, HostCounters>()
const cut = new Set<string>()
const writers: string[] = []
const attached = new Map<string, string>()
let { latencyMs } = options

/** What one host sees. The content changes when a request is taken; only the answer is late. */
class View implements RequestSink {
  readonly sizeBytes = sizeBytes
  readonly canZero = true
  private readonly host: string

  constructor(host: string) {
    this.host = host
  }

  submit(request: Request): void {
    const counted = countersOf(this.host)
    if (cut.has(this.host)) {
      counted.refused++
      request.complete(REQUEST_EIO)
      return
    }
    const result = this.apply(request, counted)
    if (latencyMs === 0) request.complete(result)
    else systemTimers.after(latencyMs, () => request.complete(result))
  }

  kick(): void {
    // Nothing is gathered.
  }

  private apply(request: Request, counted: HostCounters): RequestResult {
    const { kind, data, dataStart, offset, length } = request
    try {
      if (kind === REQUEST_READ) {
        counted.reads++
        readSync(image, data, dataStart, length, offset)
      } else if (kind === REQUEST_FLUSH) counted.flushes++
      else {
        counted.writes++
        noteWriter(this.host)
        if (kind === REQUEST_WRITE) writeSync(image, data, dataStart, length, offset)
        else
          for (let done = 0; done < length; )
            done += writeSync(image, zeroes, 0, Math.min(zeroes.length, length - done), offset + done)
      }
      return REQUEST_OK
    } catch {
      return REQUEST_EIO
    }
  }
}

function countersOf(host: string): HostCounters {
  const found = counters.get(host)
  if (found !== undefined) return found
  const fresh = { reads: 0, writes: 0, flushes: 0, refused: 0 }
  counters.set(host, fresh)
  return fresh
}

function noteWriter(host: string): void {
  if (writers.at(-1) === host) return
  writers.push(host)
  if (writers.length > WRITERS_MAX) writers.shift()
}

/** Mounts a connection in the namespace of a host, and makes a block device of it. Everybody can see the device. */
async function attach(name: string, keeperPid: number): Promise<void> {
  const there = inMountNamespace(keeperPid)
  const fd = devices.open()
  const flags = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other'
  const mount = ['mount', '-i', '-t', 'fuse', '-o', flags, 'forebay-test-storage', options.mountPoint]
  const { exitCode, stderr } = await there.run(mount, { passFds: [fd] })
  if (exitCode !== 0) throw new Error(`mount ended with ${exitCode}: ${stderr.trim()}`)
  const channel = devices.channel(fd, { kind: bestChannelKind(), maxWriteBytes: TRANSFER_BYTES_MAX, busyPollMicros: 0 })
  new FuseFrontend({
    channel,
    sink: new View(name),
    memory,
    timers: systemTimers,
    fileName: options.fileName,
    sessionHex: '0000000000000001',
    events: {
      onSession: () => undefined,
      onResendDrained: () => undefined,
      onRefused: (error) => process.stderr.write(`storage: ${error.message}\n`),
      onClosed: () => undefined,
    },
  }).start()
  const device = await setUpLoop(
    { ...host, processes: there },
    `${options.mountPoint}/${options.fileName}`,
    SECTOR_BYTES,
  )
  await restoreSettings(host, device)
  attached.set(name, device)
}

function inMountNamespace(keeperPid: number): Processes {
  const enter = ['nsenter', `--mount=/proc/${keeperPid}/ns/mnt`]
  return { run: (command, given) => processes.run([...enter, ...command], given) }
}

/** The device goes as soon as nobody has it open. */
async function detach(name: string): Promise<void> {
  const device = attached.get(name)
  attached.delete(name)
  if (device !== undefined && (await isBoundTo(host, device, options.fileName))) {
    await processes.run(['losetup', '-d', device])
  }
}

async function obey([command = '', first = '', second]: readonly string[]): Promise<void> {
  switch (command) {
    case 'attach':
      return attach(first, Number(second))
    case 'detach':
      return detach(first)
    case 'cut':
      // What was taken before has changed the image already: nothing of the host is on its way any more.
      cut.add(first)
      return
    case 'restore':
      cut.delete(first)
      return
    case 'latency':
      latencyMs = Number(first)
      return
    case 'status':
      return
    default:
      throw new Error(`not understood: ${command}`)
  }
}

const say = (answer: object): boolean => process.stdout.write(`${JSON.stringify({ ...answer, ...describe() })}\n`)

function describe(): Omit<StorageStatus, 'ok'> {
  return { devices: Object.fromEntries(attached), hosts: Object.fromEntries(counters), writers }
}

async function leave(): Promise<void> {
  await Promise.all([...attached.keys()].map((name) => detach(name)))
  process.exit(0)
}

const lines = createInterface({ input: process.stdin })
let last: Promise<unknown> = Promise.resolve()
// One after the other: answers are known by their order.
lines.on('line', (line) => {
  last = last
    .then(() => obey(line.trim().split(' ')))
    .then(
      () => say({ ok: true }),
      (error: unknown) => say({ ok: false, error: String(error) }),
    )
})
lines.on('close', () => void leave())
process.stdout.on('error', () => undefined)
say({ ok: true })
