// `forebay peer` processes of pretended hosts on one machine, each with a certificate, a store and a state directory of
// its own below one directory; and owners that write to them. Everything is ended and removed by dispose().
import fs from 'node:fs'
import path from 'node:path'
import { must, run, type Ran, Running, until } from '../cli-harness.ts'
import { TestAuthority } from '../../tls/test-authority.ts'
import type { PeerStatus } from '../../../csi-driver/peer-process/control-protocol.ts'
import type { OwnerOrder } from './owner-program.ts'

const FOREBAY = path.resolve('bin/forebay')
const OWNER = path.resolve('test/integration/harness/owner-program.ts')
export const VOLUME_UUID = 'c1'.repeat(16)

export interface OwnerLine {
  readonly event: string
  readonly node?: string
  readonly reason?: string
  readonly batchSeq?: number
}

export class PeerBed {
  readonly directory = fs.mkdtempSync('/var/tmp/forebay-peers-')
  readonly authority: TestAuthority
  private readonly running: Running[] = []

  private constructor(authority: TestAuthority) {
    this.authority = authority
  }

  static async make(...nodes: string[]): Promise<PeerBed> {
    const bed = new PeerBed(await TestAuthority.make())
    for (const node of nodes) await bed.authority.issue(bed.tlsDir(node), node)
    return bed
  }

  path(...names: string[]): string {
    return path.join(this.directory, ...names)
  }

  tlsDir(node: string): string {
    return this.path(`tls-${node}`)
  }

  stateDir(node: string): string {
    return this.path(`state-${node}`)
  }

  store(node: string): string {
    return this.path(`store-${node}`)
  }

  words(node: string, ...more: string[]): string[] {
    return [
      ...['peer', '--node', node, '--store', this.store(node), '--tls-dir', this.tlsDir(node)],
      ...['--state-dir', this.stateDir(node)],
      ...(more.includes('--listen') ? [] : ['--listen', '127.0.0.1:0']),
      ...(more.includes('--size') ? [] : ['--size', '128MiB']),
      ...more,
    ]
  }

  begin(node: string, ...more: string[]): Running {
    const running = new Running(FOREBAY, this.words(node, ...more))
    this.running.push(running)
    return running
  }

  /** Runs it and waits until it is ready or has ended. */
  async start(node: string, ...more: string[]): Promise<PeerHost> {
    const running = this.begin(node, ...more)
    let ended = false
    void running.ended.then(() => (ended = true))
    await until(
      () => `ready line of ${node}: ${running.err}`,
      () => running.out.includes('\n') || ended,
    )
    if (!running.out.includes('\n')) throw new Error(`peer of ${node} ended: ${running.err}`)
    return new PeerHost(this, node, running)
  }

  /** Ends by itself, or is refused. */
  peer(node: string, ...more: string[]): Promise<Ran> {
    return run(FOREBAY, ...this.words(node, ...more))
  }

  peers(node: string, ...more: string[]): Promise<Ran> {
    return run(FOREBAY, 'peers', '--state-dir', this.stateDir(node), ...more)
  }

  async status(node: string): Promise<PeerStatus> {
    const text = await must(FOREBAY, 'peers', '--state-dir', this.stateDir(node), '--output', 'json')
    return (JSON.parse(text) as PeerStatus[])[0] as PeerStatus
  }

  own(order: Partial<OwnerOrder> & Pick<OwnerOrder, 'node' | 'peers'>): OwnerProcess {
    const whole: OwnerOrder = {
      ...{ tlsDir: this.tlsDir(order.node), volume: 'vol', volumeUuid: VOLUME_UUID, epoch: 1 },
      ...{ logBytes: 16 * 1024 * 1024, payloadBytes: 4096, batches: 1_000_000, pauseMs: 0 },
      ...order,
    }
    const running = new Running(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      OWNER,
      JSON.stringify(whole),
    ])
    this.running.push(running)
    return new OwnerProcess(running)
  }

  async dispose(): Promise<void> {
    for (const { child } of this.running) child.kill('SIGKILL')
    await Promise.all(this.running.map(({ ended }) => ended))
    fs.rmSync(this.directory, { recursive: true, force: true })
  }
}

export class PeerHost {
  readonly node: string
  readonly running: Running
  readonly port: number
  private readonly bed: PeerBed

  constructor(bed: PeerBed, node: string, running: Running) {
    this.bed = bed
    this.node = node
    this.running = running
    this.port = Number(/listen=[\d.]+:(\d+)/.exec(running.out)?.[1])
  }

  get pid(): number {
    return this.running.child.pid as number
  }

  async stop(): Promise<Ran> {
    this.running.child.kill('SIGTERM')
    return this.running.ended
  }

  /** Killed, and started again at the same port. */
  async crash(): Promise<PeerHost> {
    this.running.child.kill('SIGKILL')
    await this.running.ended
    return this.bed.start(this.node, '--listen', `127.0.0.1:${this.port}`)
  }
}

export class OwnerProcess {
  readonly running: Running

  constructor(running: Running) {
    this.running = running
  }

  get lines(): OwnerLine[] {
    const whole = this.running.out.slice(0, this.running.out.lastIndexOf('\n') + 1)
    return whole
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as OwnerLine)
  }

  /** Number of the last batch that all stores hold. */
  get acked(): number {
    return this.lines.findLast(({ event }) => event === 'acked')?.batchSeq ?? 0
  }

  untilAcked(batchSeq: number): Promise<void> {
    return until(
      () => `batch ${batchSeq}, acked ${this.acked}: ${this.running.err} ${this.running.out.slice(-500)}`,
      () => this.acked >= batchSeq,
    )
  }

  untilEvent(event: string): Promise<void> {
    return until(
      () => `${event}: ${this.running.err} ${this.running.out.slice(-500)}`,
      () => this.lines.some((line) => line.event === event),
    )
  }

  async kill(): Promise<void> {
    this.running.child.kill('SIGKILL')
    await this.running.ended
  }
}
