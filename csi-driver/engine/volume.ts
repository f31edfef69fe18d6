// One accelerated volume: the front door of the engine. It takes requests from a front end, keeps them waiting where
// they have to, and sends each down its path:
//
//   submit ─┬─ read ─────────────▶ read-path.ts
//           ├─ write, zero ─┬────▶ write-path.ts    (WriteBack: the log, group commit)
//           │               └────▶ through-path.ts  (WriteThrough; DrainWT: beside or after the log)
//           └─ flush ────────────▶ the backing, where anything acknowledged may still be volatile
//
// destager.ts empties the log in the background, phase-control.ts moves the volume between phases.
import { assert } from '../../base/assert.ts'
import { CacheError } from '../../base/errors.ts'
import type { Bytes, Ms, Seq } from '../../base/units.ts'
import { roundDown, SECTOR_BYTES } from '../../base/units.ts'
import { type WriteRoute, writeRoute } from '../protocol/phase-table.ts'
import { setBackingSize } from '../protocol/register-transitions.ts'
import type { RegisterRecord } from '../register/record.ts'
import type { RegisterClient } from '../register/register-client.ts'
import type { PeerStatus } from '../replica/replicator.ts'
import { Admission } from './admission.ts'
import { BackingWrites } from './backing-writes.ts'
import { CacheFills } from './cache-fill.ts'
import { ScratchPool } from './cache-reader.ts'
import { Destager } from './destager.ts'
import type { EdgeHashes } from './edge-hashes.ts'
import type { EngineCore } from './engine-core.ts'
import { type EngineStatus, engineStatus } from './engine-status.ts'
import { once } from './generation.ts'
import { type Opened, OpeningParts } from './opening/opening-parts.ts'
import { restartVolume } from './opening/restart.ts'
import { VolumeOpening } from './opening/volume-opening.ts'
import { LoggedRequests } from './logged-requests.ts'
import { ParkedRequests } from './parked-requests.ts'
import { PassingRequests } from './passing-requests.ts'
import { PhaseControl, policyOf } from './phase-control.ts'
import { type LeftBehind, leaveBehind } from './previous-cache/leave-behind.ts'
import { ReadPath } from './read-path.ts'
import type { HandOver } from './replication/hand-over.ts'
import { Replication } from './replication/replication.ts'
import type { RecoveredRequests } from './recovered-requests.ts'
import type { Request } from './request.ts'
import { REQUEST_FLUSH, REQUEST_OK, REQUEST_READ, REQUEST_WRITE, REQUEST_ZERO } from './request.ts'
import { ThroughPath } from './through-path.ts'
import type { VolumePorts, VolumeSettings, WritePolicy } from './volume-settings.ts'
import { WritePath } from './write-path.ts'

/**
 * Opens the volume. Throws CacheError: `invalid` and `corrupt` before anything was changed (bad input; acknowledged
 * writes may be lost), `fenced` when somebody else owns it.
 */
export async function openVolume(ports: VolumePorts, settings: VolumeSettings): Promise<Volume> {
  const parts = new OpeningParts(ports, settings)
  const opened = settings.start === 'restart' ? await restartVolume(parts) : await new VolumeOpening(parts).open()
  return new Volume(opened)
}

export class Volume {
  readonly sectorBytes: Bytes
  private readonly core: EngineCore
  private readonly client: RegisterClient
  private readonly edges: EdgeHashes
  private readonly recovered: RecoveredRequests
  private readonly logged: LoggedRequests
  private readonly reads: ReadPath
  private readonly fills: CacheFills
  private readonly writes: WritePath
  private readonly through: ThroughPath
  private readonly passing: PassingRequests
  private readonly admission: Admission
  private readonly destager: Destager
  private readonly phases: PhaseControl
  private readonly replication: Replication | null
  private readonly parked = new ParkedRequests()
  private writesHeld = 0
  private suspended = false
  private releasing = false
  private releaseTimerSet = false
  private quietWaiters: (() => void)[] = []
  private readonly seenOwner = Promise.withResolvers<string>()

  constructor({ core, client, edges, recovered }: Opened) {
    this.core = core
    this.client = client
    this.edges = edges
    this.recovered = recovered
    this.logged = new LoggedRequests(core, recovered, () => this.destager.notify())
    this.sectorBytes = core.settings.sectorBytes
    const scratch = new ScratchPool(core.ports.memory)
    this.fills = new CacheFills(core)
    this.reads = new ReadPath(core, this.fills, scratch, {
      onDirtyUnreadable: (message) => core.ports.log.event('engine.read_failed', { reason: message }, 'error'),
      takesBack: (request, missed) => this.passing.takesBack(request, missed),
    })
    this.writes = new WritePath(core, {
      onCommitted: () => this.onProgress(),
      onLoggedBefore: (request, seq) => this.onLoggedBefore(request, seq),
      onLogFailed: (error, unlogged) => this.onLogFailed(error.message, unlogged),
    })
    this.through = new ThroughPath(core, () => this.onProgress())
    this.passing = new PassingRequests(core, this.through, (request) => this.reads.start(request))
    this.writes.unrepliedSeq = () => Math.min(this.through.unrepliedSeq(), this.logged.unrepliedSeq())
    this.admission = new Admission(core, this.writes)
    this.destager = new Destager(core, edges, scratch, {
      fill: () => this.admission.pressure(),
      repliedSeq: () => this.writes.repliedSeq,
      onBackingHas: (seq) => this.logged.backingHas(seq),
      onRelief: () => this.onProgress(),
      onCheckpointFailed: (message) => this.onLogFailed(message, []),
      onDirtyUnreadable: (message) => this.background(this.phases.dirtyUnreadable(message)),
      onDirtyReadable: () => this.background(this.phases.dirtyReadable()),
    })
    this.phases = new PhaseControl(this.phaseHost(), policyOf(core))
    core.backing.listener = new BackingWrites(this.fills, this.reads.ahead, edges)
    this.replication = Replication.begin({ core, client, edges, phases: this.phases, release: () => this.release() })
    // A drain that an earlier engine began, or that the policy asks for at the open, goes on by itself.
    if (core.phase === 'DrainWT') this.background(this.phases.goOn())
    else this.destager.poke()
  }

  /** Resolves with the reason when another owner was seen: nothing is answered any more, and the process should end. */
  get fenced(): Promise<string> {
    return this.seenOwner.promise
  }

  get sizeBytes(): Bytes {
    return this.core.sizeBytes
  }

  /** Whether a range can be made zero without writing zeros; a front end offers discards only then. */
  get canZero(): boolean {
    return this.core.backing.canZero
  }

  /** Takes a request; its `complete` runs exactly once, possibly before this returns. Call kick after a group. */
  submit(request: Request): void {
    if (this.suspended) return
    switch (request.kind) {
      case REQUEST_READ:
      case REQUEST_FLUSH:
        this.passing.submit(request)
        return
      case REQUEST_WRITE:
      case REQUEST_ZERO:
        if (request.resent && this.logged.takeResent(request)) {
          if (this.logged.count > 0) this.destager.poke()
          return
        }
        if (this.parked.count > 0 || !this.write(request, request.data, request.dataStart)) this.parked.park(request)
        return
    }
  }

  /** Starts the group commit of what was submitted. */
  kick(): void {
    this.writes.kick()
  }

  /** After a restart: every request that the kernel sends again has been read. Only now may the log be trimmed (2.6). */
  resendDrained(): void {
    this.core.resendPending = false
    this.recovered.clear()
    this.onProgress()
  }

  /** The block device exists now: sets its write cache by the phase. */
  attached(): Promise<void> {
    return this.phases.attached()
  }

  /** As the register had it last, with the volume key. */
  get record(): RegisterRecord | null {
    return this.client.record
  }

  status(): EngineStatus {
    return engineStatus({
      core: this.core,
      policy: this.phases.policy,
      admission: this.admission,
      parked: this.parked.count + this.passing.count,
      oldestDirtyMs: this.destager.oldestDirtyMs,
      registerError: this.client.lastError,
    })
  }

  /** The nodes that hold copies or may: null where the volume has no peers. */
  peers(): readonly PeerStatus[] | null {
    return this.replication?.peers() ?? null
  }

  setPolicy(policy: WritePolicy): Promise<void> {
    return this.phases.setPolicy(policy)
  }

  /** Resolves at a moment at which nothing is dirty. */
  drain(): Promise<void> {
    return this.phases.drain()
  }

  /** Writes through from now on and drains; resolves when nothing is dirty any more and nothing can get dirty. */
  prepareClose(): Promise<void> {
    return this.phases.setPolicy('write-through')
  }

  /**
   * For a planned move: destages at full rate for at most `limitMs`. close: nothing is left, or `to` could not take over
   * what is. hand-over: it can.
   */
  async prepareMove(to: string, limitMs: Ms): Promise<'close' | 'hand-over'> {
    const calm = this.destager.hurry()
    try {
      const { clock } = this.core.ports
      const endMs = clock.monotonicMs() + limitMs
      while (this.destager.logInUse && clock.monotonicMs() < endMs) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- looks again soon
        await this.nextProgress()
      }
    } finally {
      calm()
    }
    const handOver = this.destager.logInUse ? this.handOver() : null
    return handOver?.mayGo(to) ? 'hand-over' : 'close'
  }

  /** Gives the volume to `to`, dirty as it is. The front end is gone; whatever happens, this engine serves no more. */
  async moveTo(to: string): Promise<void> {
    const handOver = this.handOver()
    assert(handOver !== null, 'a volume without peers drains before it moves')
    await handOver.run(to)
    this.suspended = true
    await this.replication?.stop()
  }

  /** After a move to `to`: what the read cache holds for it. */
  leaveBehind(to: string): LeftBehind | null {
    return leaveBehind(this.core, this.client.record, to)
  }

  private handOver(): HandOver | null {
    const host = { ...this.phaseHost(), phases: this.phases, isBusy: () => this.isBusy() }
    return this.replication?.handOver(host) ?? null
  }

  /** Drains, ends the ownership in the register and closes the devices. Nothing may be submitted any more. */
  async close(): Promise<void> {
    await this.phases.close()
    this.suspended = true
    await this.replication?.stop()
    await this.closeDevices()
  }

  /**
   * Stops at once: nothing more is answered, I/O in flight ends, the devices are closed. Everything acknowledged is in
   * the log or on the backing; unanswered requests are the front end's to send again.
   */
  async suspend(): Promise<void> {
    this.suspended = true
    this.core.stopping = true
    this.core.frozen += 1
    this.client.stop()
    // Before the replicator: a generation under way may still ask it to trim.
    await this.destager.stop()
    await this.replication?.stop()
    await this.closeDevices()
  }

  /** I/O is in flight. A logged write that waits for a batch which never starts is none. */
  private isBusy(): boolean {
    const { core, through, reads, fills } = this
    return (
      core.journal.appendInFlight ||
      through.atBacking > 0 ||
      reads.active > 0 ||
      fills.active > 0 ||
      core.journal.isUpdatingSuperblock
    )
  }

  /** The backing has grown: the volume takes its size. Returns the new size in bytes. */
  async resize(): Promise<Bytes> {
    const { core } = this
    const error = await once((done) => core.backing.refreshSize(done))
    if (error !== null) throw error
    const size = roundDown(core.backing.sizeBytes, this.sectorBytes)
    if (size < core.sizeBytes) {
      throw new CacheError(
        'invalid',
        'CACHE_BACKING_SMALLER',
        `the backing is smaller than the volume backingBytes=${size} volumeBytes=${core.sizeBytes}`,
        { remedy: 'A volume can only grow; give the backing its former size.' },
      )
    }
    if (size === core.sizeBytes) return size
    await this.phases.changeRegister('resize', (record) => setBackingSize(record, core.backing.sizeBytes))
    this.edges.resized()
    core.sizeBytes = size
    return size
  }

  /** Sends a write or zero down the path of the present phase; false when it has to wait. `data` is copied. */
  private write(request: Request, data: Buffer, dataStart: number): boolean {
    const { core } = this
    if (this.writesHeld > 0 || core.frozen > 0) return false
    const route = writeRoute(core.phase)
    if (route === 'wait') return false
    if (route === 'backing') return this.writeThrough(request, data, dataStart)
    if (route === 'log-and-backing' && !this.isInUse(request)) return this.writeThrough(request, data, dataStart)
    if (!this.admitted(request) || !this.log(request, data, dataStart, route)) return false
    this.count(request)
    return true
  }

  private log(request: Request, data: Buffer, dataStart: number, route: WriteRoute): boolean {
    if (route === 'log') return this.addRecord(request, data, dataStart)
    if (!this.through.hasRoom(request.length)) return false
    const logged = this.through.startLogged(request, data, dataStart)
    if (this.addRecord(logged, logged.data, logged.dataStart)) return true
    this.through.giveBack(logged)
    return false
  }

  private addRecord(request: Request, data: Buffer, dataStart: number): boolean {
    return request.kind === REQUEST_ZERO ? this.writes.addZero(request) : this.writes.addWrite(request, data, dataStart)
  }

  private writeThrough(request: Request, data: Buffer, dataStart: number): boolean {
    if (!this.through.hasRoom(request.length)) return false
    this.count(request)
    this.through.start(request, data, dataStart)
    return true
  }

  private count(request: Request): void {
    const { counters } = this.core
    if (request.kind === REQUEST_ZERO) counters.zeroes += 1
    else {
      counters.writes += 1
      counters.writtenBytes += request.length
    }
  }

  private admitted(request: Request): boolean {
    const answer = this.admission.admit(request)
    if (answer === 'yes') return true
    if (answer === 'later') this.armRelease(this.admission.delayMs)
    this.destager.poke()
    return false
  }

  /** Invariant 6: an un-trimmed record of these blocks exists in some copy, or may. */
  private isInUse(request: Request): boolean {
    const { core } = this
    const start = request.offset / SECTOR_BYTES
    const end = start + request.length / SECTOR_BYTES
    const firstBlock = Math.floor(start / 8)
    const lastBlock = Math.floor((end - 1) / 8)
    return (
      core.copies.isTrimming ||
      core.index.hasDirty(firstBlock, lastBlock) ||
      core.zeros.overlaps(firstBlock * 8, (lastBlock + 1) * 8) ||
      this.destager.overlaps(start, end) ||
      this.writes.touchesPending(firstBlock * 8, (lastBlock + 1) * 8)
    )
  }

  /** Writes of DrainWT go on to the backing; one that was logged before is on it when its generation is. */
  private onLoggedBefore(request: Request, seq: Seq): void {
    if (this.through.isOwn(request)) request.complete(REQUEST_OK)
    else this.logged.add(request, seq)
  }

  /** Answers and starts what waited for the end of a freeze, for a lease, or for a write. */
  private answerHeld(): void {
    this.writes.answerHeld()
    this.through.answerHeld()
    this.passing.release()
  }

  /** Something ended: whoever waits looks again. */
  private onProgress(): void {
    this.answerHeld()
    this.release()
    this.destager.poke()
    this.destager.notify()
    const waiters = this.quietWaiters
    this.quietWaiters = []
    for (const wake of waiters) wake()
  }

  private nextProgress(): Promise<void> {
    return new Promise((resolve) => {
      this.quietWaiters.push(resolve)
      // Reads and fills end without a word to anybody: look again soon.
      this.core.ports.timers.after(1, resolve)
    })
  }

  /** Lets parked requests go on, in their order, as far as they may. */
  private release(): void {
    if (this.releasing || this.suspended) return
    this.releasing = true
    this.logged.answer()
    this.answerHeld()
    while (this.core.frozen === 0) {
      const item = this.parked.first()
      if (item === null || !this.write(item.request, item.data, 0)) break
      this.parked.removeFirst()
    }
    this.releasing = false
    this.kick()
  }

  private armRelease(delayMs: Ms): void {
    if (this.releaseTimerSet) return
    this.releaseTimerSet = true
    this.core.ports.timers.after(delayMs, () => {
      this.releaseTimerSet = false
      this.release()
    })
  }

  private onLogFailed(
    message: string,
    unlogged: readonly { readonly request: Request; readonly data: Buffer }[],
  ): void {
    this.core.cacheFailure ??= message
    // A superblock that could not be written leaves records in the open batch that no batch will ever carry.
    const waiting = [...unlogged, ...this.writes.takeBackWaiting()]
    const again = waiting.map((item) => this.through.reclaim(item.request) ?? item)
    this.parked.addFirst(again)
    this.background(this.phases.cacheFailed(message))
  }

  private background(move: Promise<void>): void {
    move.catch((error: unknown) => {
      this.core.ports.log.event(
        'engine.phase_failed',
        { reason: error instanceof Error ? error.message : String(error) },
        'error',
      )
    })
  }

  private phaseHost(): ConstructorParameters<typeof PhaseControl>[0] {
    const { core, client, destager, edges } = this
    return {
      core,
      client,
      destager,
      edges,
      holdWrites: () => this.holdWrites(),
      writesQuiet: () => this.writesQuiet(),
      release: () => this.release(),
      fenced: (reason) => this.seenOwner.resolve(reason),
      cacheDeviceFailed: (message) => this.onLogFailed(message, []),
    }
  }

  private holdWrites(): () => void {
    this.writesHeld += 1
    let held = true
    return () => {
      if (!held) return
      held = false
      this.writesHeld -= 1
      this.release()
    }
  }

  private async writesQuiet(): Promise<void> {
    assert(this.writesHeld > 0, 'writes are held before they are waited for')
    this.kick()
    while (!this.writes.idle || this.through.active > 0) {
      if (this.suspended) throw new CacheError('retry', 'CACHE_STOPPING', 'the engine stops')
      // oxlint-disable-next-line eslint/no-await-in-loop -- each wake-up is a write that ended
      await this.nextProgress()
    }
  }

  private async closeDevices(): Promise<void> {
    const { core } = this
    // A read may have to ask the backing once more, and a fill writes when its read has ended.
    while (this.isBusy()) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- each wake-up is an I/O that ended
      await this.nextProgress()
    }
    // A hand-over has closed it before.
    if (!core.backing.isClosed) await once((done) => core.backing.close(done))
    await once((done) => core.ports.cacheFill.close(done))
    if (core.ports.cache !== core.ports.cacheFill) await once((done) => core.ports.cache.close(done))
  }
}
