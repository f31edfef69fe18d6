// The users' side of the device in the simulator: keeps what is outstanding, sends it (again after a restart, flagged as
// such and in any order), and tells oracle and checkers of every answer. Outlives engines, as a FUSE connection does; a
// new holder has a new one, whose numbers start again from the same value (DESIGN.md §7.2).
import { SECTOR_BYTES } from '../../base/units.ts'
import {
  REQUEST_FLUSH,
  REQUEST_OK,
  REQUEST_READ,
  REQUEST_WRITE,
  REQUEST_ZERO,
  type Request,
  type RequestKind,
  type RequestResult,
} from '../../csi-driver/engine/request.ts'
import type { Checker, DeviceMode, UserOperation } from './checkers/checker.ts'
import { fillSectors, readSector } from './content.ts'
import { SimulatedMemory } from './memory.ts'
import type { Oracle } from './oracle.ts'
import type { Report } from './report.ts'
import type { Process, World } from './world.ts'

/** The kernel counts requests in twos (FUSE_REQ_ID_STEP, fs/fuse/fuse_i.h). */
const UNIQUE_STEP = 2

/** What the front end needs of a volume. */
export interface RequestSink {
  submit(request: Request): void
  kick(): void
}

interface Outstanding extends UserOperation {
  unique: number
  readonly mayUnmap: boolean
  /** Where a read's data is expected; kept over restarts. */
  readonly buffer: Buffer | null
  /** An engine has been given it. */
  sent: boolean
}

export interface NewOperation {
  readonly kind: UserOperation['kind']
  readonly firstSector: number
  readonly sectors: number
  readonly forceUnitAccess: boolean
  readonly mayUnmap: boolean
}

export interface FrontEndParts {
  readonly world: World
  readonly report: Report
  readonly oracle: Oracle
  readonly checkers: readonly Checker[]
  /** Whether a disk has failed an operation since that time, which excuses an error. */
  readonly failedSince: (ms: number) => boolean
  /** Names operations where several front ends share an oracle. */
  readonly nextId?: () => number
  /** Longest write. */
  readonly payloadBytesMax?: number
}

const KINDS: Record<UserOperation['kind'], RequestKind> = {
  read: REQUEST_READ,
  write: REQUEST_WRITE,
  zero: REQUEST_ZERO,
  flush: REQUEST_FLUSH,
}

export class FrontEnd {
  /** As the users see the device: whether they have to flush. */
  mode: DeviceMode = 'write-back'
  /** When a flush last succeeded. */
  private flushAnsweredMs = 0
  answered = 0
  errors = 0
  readonly outstanding = new Map<number, Outstanding>()
  /** Called after each answer, for the workload. */
  onAnswer: (operation: UserOperation) => void = () => {}
  private readonly parts: FrontEndParts
  private sink: RequestSink | null = null
  private process: Process | null = null
  private lastId = 0
  private lastUnique = 0
  private lastFlushMs = 0
  private readonly memory = new SimulatedMemory()
  private readonly readBuffers = new Map<number, Buffer[]>()
  private readonly payload: Buffer

  constructor(parts: FrontEndParts) {
    this.parts = parts
    this.payload = this.memory.allocate(parts.payloadBytesMax ?? 1024 * 1024)
  }

  /** A new connection: numbers start again, also those of operations that wait for it. */
  reconnect(): void {
    this.lastUnique = 0
    for (const operation of this.outstanding.values()) {
      this.lastUnique += UNIQUE_STEP
      operation.unique = this.lastUnique
    }
  }

  attach(sink: RequestSink, process: Process): void {
    this.sink = sink
    this.process = process
  }

  detach(): void {
    this.sink = null
    this.process = null
  }

  get attached(): boolean {
    return this.sink !== null && this.process !== null && this.process.alive && !this.process.paused
  }

  /** A new operation of the workload. It waits outstanding while no engine is attached. */
  issue(operation: NewOperation): void {
    const { world, oracle, checkers } = this.parts
    const id = this.parts.nextId?.() ?? ++this.lastId
    this.lastUnique += UNIQUE_STEP
    const outstanding: Outstanding = {
      ...operation,
      id,
      unique: this.lastUnique,
      submittedAt: world.tick(),
      submittedMs: world.nowMs,
      buffer: operation.kind === 'read' ? this.takeReadBuffer(operation.sectors) : null,
      sent: false,
    }
    this.outstanding.set(id, outstanding)
    world.trace.add(world.nowMs, `issue.${operation.kind}`, id, operation.firstSector, operation.sectors)
    if (operation.kind === 'write' || operation.kind === 'zero') {
      oracle.submitted(id, operation.kind, operation.firstSector, operation.sectors, outstanding.submittedAt)
    }
    for (const checker of checkers) checker.onSubmitOperation?.(outstanding)
    if (this.attached) this.send(outstanding, false)
    // An engine that stands still reads it when it runs again.
    else this.process?.deliver(() => this.sendQueued())
  }

  kick(): void {
    if (this.attached) this.sink?.kick()
  }

  /** What an engine before this one was given and has not answered. */
  get unanswered(): number[] {
    return [...this.outstanding.values()].filter(({ sent }) => sent).map(({ id }) => id)
  }

  /** Sends operations again, in the given order of ids. */
  resend(ids: readonly number[]): void {
    for (const id of ids) {
      const operation = this.outstanding.get(id)
      if (operation !== undefined) this.send(operation, true)
    }
  }

  /** Sends what came while no engine was there. */
  sendQueued(): void {
    for (const operation of this.outstanding.values()) if (!operation.sent) this.send(operation, false)
    this.kick()
  }

  /** The users are gone: nothing outstanding will be answered. */
  abandon(): void {
    for (const operation of this.outstanding.values()) this.giveBack(operation)
    this.outstanding.clear()
  }

  dispose(): void {
    this.memory.release()
  }

  private send(operation: Outstanding, resent: boolean): void {
    const { process, sink } = this
    if (process === null || sink === null) return
    const request = this.requestFor(operation, resent, process)
    operation.sent = true
    if (operation.kind === 'write') fillSectors(this.payload, 0, operation.id, operation.firstSector, operation.sectors)
    process.effect(() => sink.submit(request))
    // The payload was valid only while submit ran.
    if (operation.kind === 'write') this.payload.fill(0xab, 0, operation.sectors * SECTOR_BYTES)
  }

  private requestFor(operation: Outstanding, resent: boolean, process: Process): Request {
    let completed = false
    return {
      kind: KINDS[operation.kind],
      offset: operation.firstSector * SECTOR_BYTES,
      length: operation.sectors * SECTOR_BYTES,
      data: operation.buffer ?? this.payload,
      dataStart: 0,
      mayUnmap: operation.mayUnmap,
      forceUnitAccess: operation.forceUnitAccess,
      uniqueLow: operation.unique,
      uniqueHigh: 0,
      resent,
      complete: (result) => {
        if (!process.alive) return
        if (completed) {
          this.parts.report.add('requests', 'complete runs once', `operation ${operation.id} was answered twice`)
          return
        }
        completed = true
        process.effect(() => this.answer(operation, result))
      },
    }
  }

  private answer(operation: Outstanding, result: RequestResult): void {
    const { world, report, failedSince } = this.parts
    if (!this.outstanding.delete(operation.id)) return
    this.answered++
    world.trace.add(world.nowMs, `answer.${operation.kind}`, operation.id, result)
    if (result === REQUEST_OK) this.succeeded(operation)
    else {
      this.errors++
      if (operation.kind === 'flush') this.parts.oracle.flushFailed()
      else if (operation.kind !== 'read') this.parts.oracle.failed(operation.id)
      // A flush answers for every flush of the disk that failed since one of ours succeeded.
      const since =
        operation.kind === 'flush' ? Math.min(this.flushAnsweredMs, operation.submittedMs) : operation.submittedMs
      if (!failedSince(since)) {
        report.add(
          'errors',
          'errors are those of a disk',
          `${operation.kind} ${operation.id} failed with ${result} and no disk has`,
        )
      }
    }
    if (operation.kind === 'flush') this.lastFlushMs = world.nowMs
    this.giveBack(operation)
    this.onAnswer(operation)
    if (operation.kind === 'flush' && result === REQUEST_OK) this.flushAnsweredMs = world.nowMs
  }

  private succeeded(operation: Outstanding): void {
    const { world, oracle, checkers } = this.parts
    const firm = this.mode === 'write-through' || operation.forceUnitAccess
    if (operation.kind === 'read') {
      this.judgeRead(operation)
      return
    }
    if (operation.kind === 'flush') {
      oracle.madeFirm(operation.submittedAt)
      return
    }
    for (const checker of checkers) checker.onAcknowledge?.(operation)
    oracle.acknowledged(operation.id, firm, world.tick())
  }

  private judgeRead(operation: Outstanding): void {
    const { world, oracle, report } = this.parts
    const { buffer, firstSector, sectors, submittedAt } = operation
    if (buffer === null) return
    const now = world.tick()
    for (let i = 0; i < sectors; i++) {
      const sector = firstSector + i
      const content = readSector(buffer, i * SECTOR_BYTES, sector)
      const illegal = oracle.observed(sector, content, submittedAt, now, this.mode === 'write-through')
      if (illegal === null) continue
      report.add(CHECKER_OF[illegal.reason], RULE_OF[illegal.reason], `read ${operation.id}: ${illegal.message}`)
      return
    }
  }

  private takeReadBuffer(sectors: number): Buffer {
    const pages = Math.ceil((sectors * SECTOR_BYTES) / 4096) + 1
    return this.readBuffers.get(pages)?.pop() ?? this.memory.allocate(pages * 4096)
  }

  private giveBack({ buffer }: Outstanding): void {
    if (buffer === null) return
    const pages = buffer.length / 4096
    const list = this.readBuffers.get(pages)
    if (list === undefined) this.readBuffers.set(pages, [buffer])
    else list.push(buffer)
  }
}

/** What an illegal read breaks. */
export const CHECKER_OF = {
  foreign: 'foreign-read',
  lost: 'durability',
  unseen: 'committed-reads',
  'time-travel': 'order',
} as const
export const RULE_OF = {
  foreign: 'reads return what was written',
  lost: 'invariant 1',
  unseen: 'invariant 8',
  'time-travel': 'invariant 6',
} as const
