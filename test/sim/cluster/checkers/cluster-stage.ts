// A scene made by hand for the tests of the checkers: a small backing, an oracle, copies whose content a test sets, and
// holders that are nothing but numbers.
import { SECTOR_BYTES } from '../../../../base/units.ts'
import { NO_LOG_UUID, RECORD_FORMAT_VERSION, type RegisterRecord } from '../../../../csi-driver/register/record.ts'
import type { UserOperation } from '../../checkers/checker.ts'
import { fillSectors, INITIAL_ID } from '../../content.ts'
import { type DiskSettings, SimulatedDisk } from '../../disk.ts'
import { Oracle } from '../../oracle.ts'
import { Report } from '../../report.ts'
import { Process, World } from '../../world.ts'
import { type CopyOfLog, type LogHead, NOT_IN_LOG } from '../log-on-disk.ts'

export const STAGE_SECTORS = 64
export const LOG_UUID = '1'.repeat(32)
export const OTHER_LOG_UUID = '2'.repeat(32)

/** A copy as a test wants it. */
export class MadeCopy implements CopyOfLog {
  readonly disk: SimulatedDisk
  head: LogHead | null
  readonly content = new Int32Array(STAGE_SECTORS).fill(NOT_IN_LOG)
  onTouched: CopyOfLog['onTouched'] = () => {}
  onHead: CopyOfLog['onHead'] = () => {}
  onTrimmed: CopyOfLog['onTrimmed'] = () => {}

  constructor(disk: SimulatedDisk, storeUuid: string) {
    this.disk = disk
    this.head = {
      storeUuid,
      incarnation: 1,
      log: { logUuid: LOG_UUID, pending: null, tailBatchSeq: 1, tailPreviousHash: 0n },
    }
  }

  named(logUuid: string): boolean {
    return this.head?.log?.logUuid === logUuid
  }

  /** The log holds a write. */
  log({ id, firstSector, sectors }: UserOperation): void {
    for (let sector = firstSector; sector < firstSector + sectors; sector++) {
      this.content[sector] = id
      this.onTouched(sector)
    }
  }
}

export class ClusterStage {
  readonly world = new World('stage')
  readonly report = new Report(this.world.trace, () => this.world.nowMs)
  readonly oracle = new Oracle(STAGE_SECTORS)
  readonly backing = new SimulatedDisk(this.world, BACKING)
  readonly first = new MadeCopy(this.backing, 'a'.repeat(32))
  readonly second = new MadeCopy(this.backing, 'b'.repeat(32))
  record: RegisterRecord = {
    formatVersion: RECORD_FORMAT_VERSION,
    volume: 'volume-1',
    volumeUuid: NO_LOG_UUID,
    registerNonce: NO_LOG_UUID,
    rv: 1,
    changeId: '0'.repeat(16),
    epoch: 1,
    owner: 'host-a',
    logUuid: LOG_UUID,
    members: [
      { node: 'host-a', storeUuid: 'a'.repeat(32), incarnation: 1 },
      { node: 'host-b', storeUuid: 'b'.repeat(32), incarnation: 1 },
    ],
    phase: 'WriteBack',
    previousPhase: 'Detached',
    dirty: true,
    unfenced: [],
    lastSeq: 0,
    volumeKey: '0'.repeat(64),
    backing: { kind: 'block', id: 'stage', sizeBytes: STAGE_SECTORS * SECTOR_BYTES },
  }
  private lastId = 0

  constructor() {
    fillSectors(this.backing.visible, 0, INITIAL_ID, 0, STAGE_SECTORS)
    this.backing.durable.set(this.backing.visible)
  }

  /** The register moves on. */
  change(fields: Partial<RegisterRecord>): RegisterRecord {
    this.record = { ...this.record, rv: this.record.rv + 1, ...fields }
    return this.record
  }

  submit(firstSector: number, sectors: number): UserOperation {
    const id = ++this.lastId
    const submittedAt = this.world.tick()
    this.oracle.submitted(id, 'write', firstSector, sectors, submittedAt)
    return {
      id,
      kind: 'write',
      firstSector,
      sectors,
      forceUnitAccess: false,
      submittedAt,
      submittedMs: this.world.nowMs,
    }
  }

  acknowledge({ id }: UserOperation): void {
    this.oracle.acknowledged(id, true, this.world.tick())
  }

  process(name: string): Process {
    const process = new Process(this.world, name, { monotonicMs: 0, bootMs: 0, wallMs: 0 }, () => {
      this.backing.processDied(process)
    })
    return process
  }

  /** Brings a write's data to where it belongs, as a process does. */
  async destage({ id, firstSector, sectors }: UserOperation, process = this.writer): Promise<void> {
    const buffer = Buffer.from(new ArrayBuffer(sectors * SECTOR_BYTES))
    fillSectors(buffer, 0, id, firstSector, sectors)
    const port = this.backing.attach(process)
    let over = false
    port.write(buffer, 0, buffer.length, firstSector * SECTOR_BYTES, () => {
      over = true
    })
    await this.world.run(() => over, 60_000)
  }

  /** Names of the checkers that found something. */
  get found(): string[] {
    return this.report.violations.map(({ checker }) => checker)
  }

  private readonly writer = this.process('writer')
}

const BACKING: DiskSettings = {
  name: 'backing',
  sizeBytes: STAGE_SECTORS * SECTOR_BYTES,
  alignmentBytes: SECTOR_BYTES,
  volatileCache: true,
  canZero: true,
  latencyMs: 1,
  megabytesPerSecond: 100,
  synchronousShare: 0,
}
