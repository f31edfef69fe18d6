// The oracle (harness/oracle.ts) as the tests of several hosts use it: it follows the volume from host to host, and each
// step says at once when anything that was acknowledged is missing or older than it should be.
import { command, type TestBed, tryCommand } from '../../harness/test-bed.ts'
import { LostError } from './lost-error.ts'
import { Oracle, type OracleReport } from '../../harness/oracle.ts'

/** Ended by stop() long before. */
const LONG_MS = 100_000

export class CheckedLoad {
  private readonly bed: TestBed
  private readonly oracle: Oracle
  private running: Promise<OracleReport> | null = null
  isOpen = false

  constructor(bed: TestBed, seed: number) {
    this.bed = bed
    this.oracle = new Oracle(bed, seed)
  }

  async open({ device }: { readonly device: string }): Promise<void> {
    await this.oracle.open(device)
    this.isOpen = true
  }

  /** Loads for a while; no request may fail. */
  async run(ms: number): Promise<void> {
    expectSound(await this.oracle.load(ms))
  }

  /** Loads until `stop`. With `tolerant` requests may fail, as they do on a host that loses its power. */
  begin(errors: 'none' | 'tolerant' = 'none'): void {
    this.running = this.oracle.load(LONG_MS, errors)
  }

  /** Resolves when every request has come to an end. */
  async stop(): Promise<OracleReport> {
    this.oracle.stopLoad()
    const report = await this.running
    this.running = null
    if (report === null) throw new Error('no load was running')
    expectSound(report)
    return report
  }

  /** Compares every sector with what was promised. */
  async verify(): Promise<void> {
    expectSound(await this.oracle.verify())
  }

  async close(): Promise<OracleReport> {
    this.isOpen = false
    return this.oracle.close()
  }

  /** The device has been opened elsewhere: everything is there, and stays so under more load. */
  async goOn(served: { readonly device: string }, ms: number): Promise<void> {
    await this.open(served)
    await this.verify()
    await this.run(ms)
    await this.verify()
  }

  /** After an orderly stop the bare storage holds everything. */
  async verifyImage(image: string): Promise<void> {
    const device = (await command('losetup', '--find', '--show', '--read-only', image)).trim()
    let attached = true
    const detach = async (): Promise<void> => {
      if (attached) await tryCommand('losetup', ['-d', device])
      attached = false
    }
    this.bed.later(`loop ${device}`, detach)
    await this.open({ device })
    await this.verify()
    await this.close()
    await detach()
  }
}

function expectSound({ lost, errors, samples }: OracleReport): void {
  if (lost > 0) throw new LostError(`lost sectors=${lost}: ${samples.join('; ')}`)
  if (errors > 0) throw new Error(`requests failed errors=${errors}: ${samples.join('; ')}`)
}
