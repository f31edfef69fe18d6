// One run: a scenario on a machine, with every checker watching. Opens the volume, lets the users work, brings one
// incident after the other, heals everything, and demands that every request is answered and every sector is right.
import { CacheError } from '../../base/errors.ts'
import { createPrng, type Prng } from '../../base/prng.ts'
import { AckChecker } from './checkers/ack.ts'
import { BackingWritesChecker } from './checkers/backing-writes.ts'
import { BoundedChecker } from './checkers/bounded.ts'
import { BufferChecker } from './checkers/buffers.ts'
import type { Checker, CrashKind, Scene } from './checkers/checker.ts'
import { CleanChecker } from './checkers/clean.ts'
import { GenerationChecker } from './checkers/generation.ts'
import { LogContents } from './checkers/log-contents.ts'
import { OneWriterChecker } from './checkers/one-writer.ts'
import { isExcusedRefusal, SurvivorsChecker } from './checkers/survivors.ts'
import { TrimChecker } from './checkers/trim.ts'
import { FrontEnd } from './front-end.ts'
import { runIncident } from './incidents.ts'
import { type Life, Machine, type SimulatedVolume, settingsFor } from './machine.ts'
import { Oracle } from './oracle.ts'
import { Report } from './report.ts'
import { describeError, type PlannedDeath, RunEnded, type RunResult } from './run-result.ts'
import { drawScenario, LIVENESS_MS, LOG_START, type Scenario } from './scenario.ts'
import type { Subject } from './subject.ts'
import { Workload } from './workload.ts'
import { World } from './world.ts'

/** Tries to open with faults still on; then everything is healed and one more must succeed. */
const OPEN_TRIES_MAX = 6
const OPEN_MS_MAX = 120_000
/** Longest time between two incidents. */
const PHASE_MS_MAX = 60_000

export class Simulation {
  readonly world: World
  readonly machine: Machine
  readonly scenario: Scenario
  readonly prng: Prng
  readonly report: Report
  readonly oracle: Oracle
  readonly frontEnd: FrontEnd
  readonly workload: Workload
  readonly checkers: Checker[]
  readonly survivors: SurvivorsChecker
  readonly generation: GenerationChecker
  readonly counts: Record<string, number> = {}
  readonly subject: Subject
  volume: SimulatedVolume | null = null
  life: Life | null = null
  /** The cache device was taken away for good. */
  cacheFailed = false
  end = 'complete'
  /** The first engine dies at this step. */
  plannedDeath: PlannedDeath | null = null
  /** Steps of the first engine, once it is gone. */
  stepsOfFirstLife = 0
  private session = 0n

  constructor(seed: string, subject: Subject) {
    this.subject = subject
    this.prng = createPrng(seed).fork('simulation')
    this.scenario = subject.change(drawScenario(createPrng(seed).fork('scenario')))
    this.world = new World(seed)
    if (subject.wholeTrace) this.world.trace.keepAll()
    this.machine = new Machine(this.world, this.scenario)
    this.report = new Report(this.world.trace, () => this.world.nowMs)
    this.oracle = new Oracle(this.scenario.workload.sectors)
    this.checkers = []
    this.frontEnd = new FrontEnd({
      world: this.world,
      report: this.report,
      oracle: this.oracle,
      checkers: this.checkers,
      failedSince: (ms) => this.cacheFailed || this.scenario.budget === 'beyond' || this.machine.failedSince(ms),
    })
    this.workload = new Workload(this.world, this.frontEnd, this.scenario.workload)
    const scene = this.scene()
    const log = new LogContents(this.machine.cache, scene.logStart, scene.logEnd)
    this.generation = new GenerationChecker(scene, subject.checkpointOf)
    this.survivors = new SurvivorsChecker(scene, this.machine, subject.openVolume)
    this.checkers.push(
      new AckChecker(scene, log),
      new TrimChecker(scene, log),
      new BackingWritesChecker(scene),
      new CleanChecker(scene),
      this.generation,
      new BoundedChecker(scene),
      new OneWriterChecker(scene),
      new BufferChecker(scene),
      this.survivors,
    )
    this.watch(log)
  }

  async run(): Promise<RunResult> {
    try {
      await this.script()
    } catch (error) {
      if (!(error instanceof RunEnded)) this.report.add('crash', 'no exception', describeError(error))
    }
    this.life?.process.die()
    this.life?.memory.release()
    this.frontEnd.dispose()
    return this.result()
  }

  count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1
  }

  /** Runs events until `condition`, or the engine dies by itself, or time is up. True: the condition holds. */
  async until(condition: () => boolean, forMs: number): Promise<boolean> {
    await this.world.run(() => condition() || this.report.failed || this.life?.process.alive === false, forMs)
    this.stopIfFailed()
    return condition()
  }

  stopIfFailed(): void {
    if (this.report.failed) throw new RunEnded()
  }

  /** Lets the engine settle `promise`; undefined if the engine died meanwhile or time was up. Throws what it throws. */
  async settle<T>(promise: Promise<T>, forMs: number): Promise<{ value: T } | undefined> {
    let outcome: { value: T } | { error: unknown } | undefined
    promise.then(
      (value) => {
        outcome = { value }
      },
      (error: unknown) => {
        outcome = { error }
      },
    )
    await this.until(() => outcome !== undefined, forMs)
    if (outcome !== undefined && 'error' in outcome) throw outcome.error
    return outcome
  }

  /** Opens, with as many tries as it takes while faults are on. The engine may be made to die while opening. */
  async open(start: 'first' | 'restart', dieAtStep = 0): Promise<void> {
    let from: 'first' | 'restart' = start
    for (let attempt = 1; ; attempt++) {
      if (attempt > OPEN_TRIES_MAX) this.machine.heal()
      const died = await this.tryOpen(from, attempt === 1 ? dieAtStep : 0, attempt > OPEN_TRIES_MAX + 2)
      if (died === 'opened') return
      this.count(`open-${died}`)
      if (died === 'died' && (await this.bury())) from = 'first'
      // A holder gives up an engine that can't restart and opens anew, which ends the users' connection.
      if (died === 'refused' && attempt === OPEN_TRIES_MAX && from === 'restart') {
        from = 'first'
        this.lostUsers('holder')
      }
      await this.world.run(() => false, 200 * attempt)
    }
  }

  /** The engine dies now; the users' requests stay outstanding. */
  async crashProcess(): Promise<void> {
    this.life?.process.die()
    await this.revive()
  }

  /** Engine and holder die: the users get errors, a new connection follows. */
  async crashHolder(): Promise<void> {
    this.life?.process.die()
    await this.reap()
    this.lostUsers('holder')
    await this.open('first')
  }

  async powerCut(): Promise<void> {
    this.life?.process.die()
    this.machine.powerCut()
    await this.reap()
    this.oracle.powerCut(this.world.tick())
    this.lostUsers('power')
    await this.open('first')
  }

  /** Waits for answers to everything outstanding. */
  async quiesce(): Promise<void> {
    this.workload.pause()
    const answered = (): boolean => this.frontEnd.outstanding.size === 0
    for (;;) {
      if (await this.until(answered, LIVENESS_MS)) return
      if (this.life?.process.alive === false) await this.revive()
      else break
    }
    if (this.scenario.budget === 'beyond' || this.cacheFailed) this.giveUp('stalled beyond budget')
    const stuck = [...this.frontEnd.outstanding.values()][0]
    this.report.add(
      'liveness',
      'invariant 10',
      `not answered after all faults ended operations=${this.frontEnd.outstanding.size} first=${stuck?.kind} ${stuck?.id}`,
    )
    this.stopIfFailed()
  }

  /** The engine died at a planned step: restart it. */
  async revive(): Promise<void> {
    if (await this.bury()) {
      await this.open('first')
      return
    }
    this.forgetFailedFlushes()
    for (const checker of this.checkers) checker.onCrash?.('process')
    this.count('process-crashes')
    await this.open('restart')
  }

  /** Lets the dead engine's I/O end, or cuts the power if that is what killed it; true: the users are gone with it. */
  private async bury(): Promise<boolean> {
    const byPower = this.plannedDeath?.kind === 'power' && this.machine.lives === 1
    if (byPower) this.machine.powerCut()
    await this.reap()
    if (!byPower) return false
    this.oracle.powerCut(this.world.tick())
    this.lostUsers('power')
    return true
  }

  giveUp(why: string): never {
    this.end = why
    throw new RunEnded()
  }

  /** Reads every sector through the volume, once everything is quiet. */
  async readAll(): Promise<void> {
    const { sectors } = this.scenario.workload
    const step = Math.min(128, sectors)
    for (let first = 0; first < sectors; first += step) {
      this.frontEnd.issue({ kind: 'read', firstSector: first, sectors: step, forceUnitAccess: false, mayUnmap: false })
      this.frontEnd.kick()
    }
    await this.quiesce()
  }

  private async script(): Promise<void> {
    await this.open('first')
    for (const { afterOperations, incident } of this.scenario.incidents) {
      this.workload.resume()
      const goal = this.frontEnd.answered + afterOperations
      await this.until(() => this.frontEnd.answered >= goal, PHASE_MS_MAX)
      if (this.life?.process.alive === false) await this.revive()
      this.world.trace.note(this.world.nowMs, `INCIDENT ${incident}`)
      this.count(incident)
      await runIncident(this, incident)
      this.lookAtStatus()
    }
    await this.finish()
  }

  private async finish(): Promise<void> {
    this.machine.heal()
    await this.quiesce()
    await this.readAll()
    const { ending } = this.scenario
    this.world.trace.note(this.world.nowMs, `ENDING ${ending}`)
    if (ending === 'power-cut') await this.powerCut()
    if (ending === 'holder-crash') await this.crashHolder()
    if (ending !== 'close') await this.readAll()
    await this.closeVolume()
  }

  /** A clean close, after which the backing alone must hold everything. */
  async closeVolume(): Promise<void> {
    await this.quiesce()
    const { volume } = this
    if (volume === null) return
    const closed = await this.closeOnce(volume)
    if (closed === undefined) {
      if (this.life?.process.alive === false) {
        await this.revive()
        await this.closeVolume()
        return
      }
      this.report.add('liveness', 'invariant 10', 'close does not end')
      this.stopIfFailed()
    }
    this.frontEnd.detach()
    this.life?.process.die()
    await this.reap()
    this.volume = null
    for (const checker of this.checkers) checker.onDrained?.()
    this.stopIfFailed()
  }

  /** A close may fail for a reason that passes; once nothing fails any more it must end. */
  private async closeOnce(volume: SimulatedVolume): Promise<{ value: void } | undefined> {
    try {
      return await this.settle(volume.close(), LIVENESS_MS)
    } catch (error) {
      const mayLose = this.scenario.budget === 'beyond' || this.cacheFailed
      if (mayLose && error instanceof CacheError && error.kind === 'corrupt') {
        this.count('losses-said')
        this.giveUp(`loss said: ${error.code}`)
      }
      if (!(error instanceof CacheError) || error.kind !== 'retry') throw error
      this.count('close-retried')
      this.machine.heal()
      return this.settle(volume.close(), LIVENESS_MS)
    }
  }

  lookAtStatus(): void {
    if (this.volume === null || this.life?.process.alive !== true) return
    const status = this.volume.status()
    for (const checker of this.checkers) checker.onStatus?.(status)
    this.stopIfFailed()
  }

  private async tryOpen(
    start: 'first' | 'restart',
    dieAtStep: number,
    isLast: boolean,
  ): Promise<'opened' | 'died' | 'refused'> {
    const life = this.machine.start()
    this.life?.memory.release()
    this.life = life
    if (start === 'first') {
      this.session = BigInt(this.prng.u32()) * 0x1_0000_0000n + BigInt(this.prng.u32())
      this.frontEnd.reconnect()
    }
    if (this.plannedDeath !== null && this.machine.lives === 1) {
      life.process.dieAtStep = this.plannedDeath.step
      life.process.dieAfterEffect = this.plannedDeath.afterEffect
    } else if (dieAtStep > 0) {
      life.process.dieAtStep = dieAtStep
      life.process.dieAfterEffect = this.prng.chance(0.5)
    }
    const settings = settingsFor(this.scenario, {
      start,
      session: this.session,
      acceptDataLoss: false,
      formatCache: false,
    })
    try {
      const opened = await this.settle(this.subject.openVolume(life.ports, settings), OPEN_MS_MAX)
      if (opened === undefined) {
        if (!life.process.alive) return 'died'
        this.report.add('liveness', 'invariant 10', 'open does not end')
        this.stopIfFailed()
        return 'died'
      }
      this.opened(opened.value, life, start)
      return 'opened'
    } catch (error) {
      if (error instanceof RunEnded) throw error
      this.refused(error, isLast)
      return 'refused'
    }
  }

  private opened(volume: SimulatedVolume, life: Life, start: 'first' | 'restart'): void {
    this.volume = volume
    this.count(`opened-${start}`)
    this.generation.pureWriteBack = this.generation.pureWriteBack && this.scenario.settings.writePolicy === 'write-back'
    for (const checker of this.checkers) checker.onOpened?.(life.process, volume.status(), start)
    this.frontEnd.attach(volume, life.process)
    if (start === 'restart') {
      const ids = this.frontEnd.unanswered
      if (this.prng.chance(0.5)) shuffle(ids, this.prng)
      this.frontEnd.resend(ids)
      life.process.effect(() => volume.resendDrained())
    }
    this.frontEnd.sendQueued()
    this.frontEnd.kick()
    volume.attached().catch((error: unknown) => {
      this.world.trace.note(this.world.nowMs, `attached failed: ${describeError(error)}`)
    })
    this.stopIfFailed()
  }

  /** An opening was refused with an error: right or wrong? */
  private refused(error: unknown, isLast: boolean): void {
    const { process } = this.life as Life
    process.die()
    const code = error instanceof CacheError ? error.code : 'none'
    this.world.trace.note(this.world.nowMs, `OPEN REFUSED ${describeError(error)}`)
    const memoryLost = this.scenario.settings.resource === 'memory' && (this.counts['power-cuts'] ?? 0) > 0
    const saysLoss = error instanceof CacheError && (error.kind === 'corrupt' || code === 'CACHE_BLOCKED')
    if (isExcusedRefusal(error, this.machine.backing)) this.giveUp(`refused: ${code}`)
    if (saysLoss && (memoryLost || this.scenario.budget === 'beyond' || this.cacheFailed)) {
      this.count('losses-said')
      this.giveUp(`loss said: ${code}`)
    }
    if (saysLoss) {
      this.report.add(
        'no-silent-loss',
        'invariant 9',
        `a loss is claimed and nothing was lost: ${describeError(error)}`,
      )
    } else if (isLast)
      this.report.add(
        'opens',
        'a volume opens unless it says a loss',
        `open fails after all faults ended: ${describeError(error)}`,
      )
    this.stopIfFailed()
  }

  /** Lets the I/O of the dead engine end. */
  private async reap(): Promise<void> {
    const { life } = this
    this.frontEnd.detach()
    this.volume = null
    if (life === null) return
    life.process.die()
    if (this.machine.lives === 1) this.stepsOfFirstLife = life.process.steps
    await this.world.run(() => this.machine.isReaped(life.process), LIVENESS_MS)
    if (!this.machine.isReaped(life.process)) throw new Error('I/O of a dead engine does not end')
  }

  /** Whether a failed flush has been answered for is known to nobody but the engine that saw it. */
  private forgetFailedFlushes(): void {
    if (this.machine.backing.faults.injected.lostFlushes > 0) this.oracle.flushFailed()
  }

  private lostUsers(kind: CrashKind): void {
    if (kind === 'holder') {
      this.oracle.abandoned(this.world.tick())
      this.forgetFailedFlushes()
    }
    this.count(kind === 'power' ? 'power-cuts' : 'holder-crashes')
    this.frontEnd.abandon()
    this.workload.forget()
    // A new device says "write back" until somebody sets it.
    this.frontEnd.mode = 'write-back'
    for (const checker of this.checkers) checker.onCrash?.(kind)
  }

  private scene(): Scene {
    const { scenario } = this
    return {
      world: this.world,
      report: this.report,
      oracle: this.oracle,
      cache: this.machine.cache,
      backing: this.machine.backing,
      logStart: LOG_START,
      logEnd: LOG_START + scenario.settings.logBytes,
      dirtyLimitBytes: scenario.settings.dirtyLimitBytes,
      largestWriteBytes: scenario.workload.largestBytes,
      deviceMode: () => this.frontEnd.mode,
      registerDirty: () => this.machine.register.store.current?.dirty ?? true,
      beyondBudget: scenario.budget === 'beyond',
    }
  }

  private watch(log: LogContents): void {
    const { machine, checkers } = this
    for (const disk of [machine.cache, machine.backing]) disk.watchers.push(log, ...checkers)
    machine.register.watchers.push(...checkers)
    machine.onDeviceMode = (mode) => {
      this.world.trace.note(this.world.nowMs, `device says ${mode}`)
      this.frontEnd.mode = mode
      // From now on nobody flushes: what is acknowledged must be durable without it.
      if (mode === 'write-through') this.oracle.madeFirm(this.world.tick())
    }
  }

  private result(): RunResult {
    const { world, machine, report } = this
    const counts = { ...this.counts }
    for (const disk of [machine.cache, machine.backing]) {
      for (const [name, value] of Object.entries(disk.faults.injected)) {
        if (value > 0) counts[`${disk.settings.name}-${name}`] = value as number
      }
    }
    counts['unknown-swaps'] = machine.register.unknownReplies
    counts['failed-register-calls'] = machine.register.failedCalls
    counts['images-at-checkpoints'] = this.generation.images
    counts['survivor-probes'] = this.survivors.probes
    return {
      seed: world.seed,
      violations: report.violations,
      traceHash: world.trace.hash(),
      traceTail: report.failed ? world.trace.kept() : [],
      scenario: this.scenario,
      events: world.events,
      operations: this.frontEnd.answered,
      virtualMs: world.nowMs,
      counts,
      end: this.end,
    }
  }
}

function shuffle(values: number[], prng: Prng): void {
  for (let i = values.length - 1; i > 0; i--) {
    const j = prng.below(i + 1)
    const kept = values[i] as number
    values[i] = values[j] as number
    values[j] = kept
  }
}
