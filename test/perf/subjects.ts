// What is measured: each subject is a file, block device or NBD export for fio, with the process that serves it, if there
// is one.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { SlowDisk } from '../../csi-driver/cli/demo/slow-disk.ts'
import { unmountLazily } from '../../csi-driver/frontend/loop/connection.ts'
import { runProgram } from './fio.ts'
import type { Scaffold } from './scaffold.ts'

export interface Subject {
  readonly name: SubjectName
  /** What the reader of the table is told. */
  readonly title: string
  readonly target: string
  readonly serverPid: (() => number) | null
  readonly busyPollMicros: number
  readonly acknowledgesEarly: EarlyAcknowledgement
  /** From here on nothing has been read or written but by sequential reads, so that no cache holds it. */
  readonly uncachedFromBytes?: number
}

/** Whether a write is acknowledged before it would survive the loss of power: no, until the next flush, or in any case. */
export type EarlyAcknowledgement = 'no' | 'until a flush' | 'yes'

export type SubjectName =
  | 'floor'
  | 'floorPolling'
  | 'memory'
  | 'memoryPolling'
  | 'flash'
  | 'cacheFile'
  | 'cacheDisk'
  | 'backing'
  | 'slowDisk'
  | 'slowVolume'
  | 'replicated'
  | 'replicatedTwice'
  | 'tlsRoundTrip'
  | 'nbdMemory'
  | 'nbdFlash'
  | 'nbdkit'
  | 'qemuNbd'

const FLOOR_SOURCE = fileURLToPath(new URL('floor.c', import.meta.url))
const FLOOR_WAIT_MS = 20_000

/** Compiles the floor once; returns the program. */
export async function compileFloor(scaffold: Scaffold, directory: string): Promise<string> {
  const program = path.join(directory, 'floor')
  await runProgram('gcc', ['-O2', '-Wall', '-Wextra', '-o', program, FLOOR_SOURCE], scaffold.signal)
  return program
}

export interface FloorOptions {
  readonly program: string
  readonly directory: string
  readonly dataBytes: number
  readonly busyPollMicros: number
}

export async function startFloor(scaffold: Scaffold, options: FloorOptions): Promise<Subject> {
  const { program, busyPollMicros, dataBytes } = options
  const mountPoint = path.join(options.directory, `floor-${busyPollMicros}`)
  await mkdir(mountPoint)
  const child = spawn(program, [mountPoint, String(dataBytes), String(busyPollMicros)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  const ended = new Promise((resolve) => child.on('close', resolve))
  scaffold.later('the floor', async () => {
    child.kill('SIGKILL')
    await ended
    await unmountLazily(scaffold.host, mountPoint)
  })
  await readyLine(child, scaffold.signal)
  const target = await scaffold.attachLoop(path.join(mountPoint, 'volume'))
  await unmountLazily(scaffold.host, mountPoint)
  return {
    name: busyPollMicros > 0 ? 'floorPolling' : 'floor',
    title: busyPollMicros > 0 ? `C floor, polling ${busyPollMicros} µs` : 'C floor',
    target,
    serverPid: () => child.pid ?? 0,
    busyPollMicros,
    acknowledgesEarly: 'yes',
  }
}

function readyLine(child: ChildProcess, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the floor was not ready in time')), FLOOR_WAIT_MS)
    const fail = (): void => reject(new Error('the floor ended before it was ready'))
    signal.addEventListener('abort', fail, { once: true })
    child.once('error', fail)
    child.once('close', fail)
    child.stdout?.once('data', () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', fail)
      resolve()
    })
  })
}

/** Nobody serves it. */
export function rawSubject(subject: Pick<Subject, 'name' | 'title' | 'target' | 'acknowledgesEarly'>): Subject {
  return { ...subject, serverPid: null, busyPollMicros: 0 }
}

/** What the volumes have behind them, bare: an image in memory behind a loop device. */
export async function rawBacking(scaffold: Scaffold, image: string): Promise<Subject> {
  const target = await scaffold.attachLoop(image)
  const title = 'raw backing (image in RAM, loop)'
  return rawSubject({ name: 'backing', title, target, acknowledgesEarly: 'yes' })
}

/** A disk that takes 2 ms for everything: what a volume is for. It counts as one that keeps what it has acknowledged. */
export async function slowDisk(scaffold: Scaffold, sizeBytes: number): Promise<SlowDisk> {
  const disk = await SlowDisk.create({ sizeBytes })
  scaffold.later('a slow disk', () => disk.destroy())
  return disk
}
