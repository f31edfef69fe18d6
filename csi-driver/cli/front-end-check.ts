// Does this kernel, with this build's front end, keep what it is told? A volume of a few MiB in memory behind a real
// FUSE connection and a real loop device, for some tenths of a second. Tried is what loses data without a word when a
// switch is wrong (frontend/fuse/negotiate.ts): whole writes, write errors that reach the writer, flushes that arrive
// a second time, zeroed ranges that read as zeros. Neither a cache nor a backing is opened.
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { KIB, MIB } from '../../base/units.ts'
import {
  REQUEST_EIO,
  REQUEST_FLUSH,
  REQUEST_OK,
  REQUEST_READ,
  REQUEST_WRITE,
  REQUEST_ZERO,
  type Request,
} from '../engine/request.ts'
import { FuseFrontend, type RequestSink } from '../frontend/fuse/fuse-frontend.ts'
import { type FuseSession, TRANSFER_BYTES_MAX } from '../frontend/fuse/negotiate.ts'
import { attachLoop, mountVolume, volumeFileName } from '../frontend/loop/attach.ts'
import type { AttachState } from '../frontend/loop/attach-state.ts'
import { cleanUpPredecessor } from '../frontend/loop/cleanup.ts'
import { detachVolume } from '../frontend/loop/detach.ts'
import type { LoopHost } from '../frontend/loop/host.ts'
import { RUNTIME_DIRECTORY } from '../holder/run-directory.ts'
import { SystemAlignedMemory } from '../io/real/aligned-memory.ts'
import { bestChannelKind, createFuseDevices } from '../io/real/fuse-devices.ts'
import { processIsAlive } from './process-alive.ts'

const VOLUME_BYTES = 4 * MIB
/** Writes that touch the last sectors are answered with EIO. */
const FAILING_FROM = VOLUME_BYTES - 64 * KIB
/** Larger than one FUSE request can be, so that it is split on the way. */
const WRITE_BYTES = 1536 * KIB
const NAME_PREFIX = 'self-test-'

/** Problems found; empty when all is well. Throws CacheError when the device cannot even be made. */
export async function checkFrontEnd(host: LoopHost): Promise<string[]> {
  await removeDeadChecks(host)
  const memory = new SystemAlignedMemory()
  const volume = new MemoryVolume(memory.allocate(VOLUME_BYTES))
  const devices = createFuseDevices(memory)
  const fd = devices.open()
  const name = `${NAME_PREFIX}${process.pid}`
  const runDirectory = `${RUNTIME_DIRECTORY}/${name}`
  const sessionHex = randomBytes(8).toString('hex')
  const plan = { volume: name, runDirectory, sessionHex, sectorBytes: 512 }
  const { promise, resolve, reject } = Promise.withResolvers<FuseSession>()
  const frontend = new FuseFrontend({
    channel: devices.channel(fd, { kind: bestChannelKind(), maxWriteBytes: TRANSFER_BYTES_MAX, busyPollMicros: 0 }),
    sink: volume,
    memory,
    timers: host.timers,
    fileName: volumeFileName(name, sessionHex),
    sessionHex,
    events: { onSession: resolve, onRefused: reject, onResendDrained: () => {}, onClosed: () => {} },
  })
  const mounted = await mountVolume(host, plan, fd)
  let attached: AttachState = mounted
  try {
    frontend.start()
    await promise
    attached = await attachLoop(host, plan, mounted, 'write back')
    return await tryDevice(attached.loopDevice ?? '', volume, memory)
  } finally {
    await detachVolume(host, attached, { runDirectory, onHeld: () => {}, signal: new AbortController().signal })
    await host.files.remove(runDirectory)
  }
}

/** Checks that were killed half-way leave a loop device behind, whose I/O fails and which nobody uses. */
async function removeDeadChecks(host: LoopHost): Promise<void> {
  for (const name of await host.files.list(RUNTIME_DIRECTORY)) {
    const pid = name.startsWith(NAME_PREFIX) ? Number(name.slice(NAME_PREFIX.length)) : Number.NaN
    if (Number.isNaN(pid) || processIsAlive(pid)) continue
    const directory = `${RUNTIME_DIRECTORY}/${name}`
    // oxlint-disable-next-line eslint/no-await-in-loop -- hardly ever one
    await cleanUpPredecessor(host, directory)
    // oxlint-disable-next-line eslint/no-await-in-loop -- hardly ever one
    await host.files.remove(directory)
  }
}

class MemoryVolume implements RequestSink {
  readonly sizeBytes = VOLUME_BYTES
  readonly canZero = true
  readonly content: Buffer
  flushes = 0

  constructor(content: Buffer) {
    this.content = content
  }

  submit(request: Request): void {
    const { kind, offset, length, data, dataStart } = request
    const end = offset + length
    if (kind === REQUEST_FLUSH) this.flushes++
    else if (kind === REQUEST_READ) this.content.copy(data, dataStart, offset, end)
    else if (end > FAILING_FROM) return request.complete(REQUEST_EIO)
    else if (kind === REQUEST_WRITE) data.copy(this.content, offset, dataStart, dataStart + length)
    else if (kind === REQUEST_ZERO) this.content.fill(0, offset, end)
    request.complete(REQUEST_OK)
  }

  kick(): void {}
}

async function tryDevice(device: string, volume: MemoryVolume, memory: SystemAlignedMemory): Promise<string[]> {
  const file = await open(device, constants.O_RDWR | constants.O_DIRECT)
  const buffer = memory.allocate(WRITE_BYTES)
  try {
    return [
      ...(await tryWrites(file, volume, buffer)),
      ...(await tryErrors(file, buffer)),
      ...(await tryFlushes(file, volume)),
    ]
  } finally {
    await file.close()
  }
}

async function tryWrites(file: FileHandle, volume: MemoryVolume, buffer: Buffer): Promise<string[]> {
  const problems: string[] = []
  for (const [length, position] of [
    [512, 512],
    [4 * KIB, 3 * KIB],
    [WRITE_BYTES, MIB],
  ] as const) {
    const data = buffer.subarray(0, length)
    randomBytes(length).copy(data)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one buffer
    await file.write(data, 0, length, position)
    if (volume.content.compare(data, 0, length, position, position + length) !== 0) {
      problems.push(`a write of ${length} bytes did not arrive whole`)
    }
  }
  return problems
}

async function tryErrors(file: FileHandle, buffer: Buffer): Promise<string[]> {
  try {
    // Its first half would succeed: a short success must not pass for a whole one.
    await file.write(buffer, 0, 128 * KIB, FAILING_FROM - 64 * KIB)
    return ['a failed write was reported as a success']
  } catch {
    return []
  }
}

async function tryFlushes(file: FileHandle, volume: MemoryVolume): Promise<string[]> {
  for (let times = 1; times <= 2; times++) {
    const before = volume.flushes
    // oxlint-disable-next-line eslint/no-await-in-loop -- the second one is the point
    await file.sync()
    if (volume.flushes === before) return [`flush number ${times} did not arrive`]
  }
  return []
}
