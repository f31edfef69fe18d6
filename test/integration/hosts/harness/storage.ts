// The storage that all hosts of a test share; see storage-program.ts. Cutting a host off is what a real fence does: the
// engine there may run on, but nothing of it reaches the image any more.
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { TestBed } from '../../harness/test-bed.ts'
import { AnsweringProcess } from './answering-process.ts'
import type { Namespaces } from './namespaces.ts'
import type { HostCounters, StorageOptions, StorageStatus } from './storage-program.ts'

const PROGRAM = fileURLToPath(new URL('storage-program.ts', import.meta.url))
const FILE_NAME = 'disk'
const NO_REQUESTS: HostCounters = { reads: 0, writes: 0, flushes: 0, refused: 0 }

export class Storage {
  /** The bare content, for looking at it from outside. */
  readonly image: string
  private readonly program: AnsweringProcess<StorageStatus>

  /** What each host gives as --backing. */
  private readonly devices = new Map<string, string>()

  private constructor(program: AnsweringProcess<StorageStatus>, image: string) {
    this.program = program
    this.image = image
  }

  static async make(bed: TestBed, sizeBytes: number, latencyMs: number): Promise<Storage> {
    const image = bed.image('storage.img', sizeBytes)
    const mountPoint = bed.path('storage')
    mkdirSync(mountPoint)
    const options: StorageOptions = { image, mountPoint, fileName: FILE_NAME, latencyMs }
    const words = ['--disable-warning=ExperimentalWarning', PROGRAM, JSON.stringify(options)]
    const program = new AnsweringProcess<StorageStatus>(process.execPath, words)
    bed.later('storage', () => program.end())
    await program.next()
    return new Storage(program, image)
  }

  async attach(host: string, namespaces: Namespaces): Promise<void> {
    const { devices } = await this.program.tell(`attach ${host} ${namespaces.keeperPid}`)
    this.devices.set(host, devices[host] ?? '')
  }

  async detach(host: string): Promise<void> {
    await this.program.tell(`detach ${host}`)
  }

  /** The block device of a host. */
  deviceOf(host: string): string {
    return this.devices.get(host) ?? ''
  }

  /** When it returns no request of the host takes effect any more. */
  async cut(host: string): Promise<void> {
    await this.program.tell(`cut ${host}`)
  }

  async restore(host: string): Promise<void> {
    await this.program.tell(`restore ${host}`)
  }

  async latency(ms: number): Promise<void> {
    await this.program.tell(`latency ${ms}`)
  }

  async countersOf(host: string): Promise<HostCounters> {
    return (await this.program.tell('status')).hosts[host] ?? NO_REQUESTS
  }

  /** Who wrote, in order, each run of writes of one host once. */
  async writers(): Promise<readonly string[]> {
    return (await this.program.tell('status')).writers
  }
}
