// What every sector may hold. The oracle knows each operation's interval (submitted, answered) and each read's; from
// these it decides whether a value may be seen now. Each 512-byte sector is a register of its own, since a block device
// promises no more, and every write has a value of its own, so the check is exact and cheap:
//
//   version v comes before version w   ⇔  something that proves v (its answer, a read of it) ended before something
//                                          that uses w (its submission, a read of it) began:  v.provenAt < w.usedAt
//   a read of v that began at t is illegal  ⇔  there is a w with  v before w  and  w.bindingAt < t
//
// `provenAt` is for order, `bindingAt` for what can't be undone: a write that is acknowledged while the device says
// "write back" is proven but binds only after the next flush; a power cut may take it back, and the first read after the
// cut decides. Times are ticks of the world, not milliseconds: no two are equal.
// Zeros have no name: a zero read is legal if it can be that of any zeroing operation, and proves one only when there
// is no other.
import { CONTENT_ZERO, type ContentId, describeContent, INITIAL_ID } from './content.ts'

export interface Operation {
  readonly id: number
  readonly kind: 'write' | 'zero'
  readonly firstSector: number
  readonly sectors: number
  readonly submittedAt: number
  /** Infinity until acknowledged. */
  acknowledgedAt: number
}

export interface Version {
  readonly operation: Operation
  provenAt: number
  bindingAt: number
  usedAt: number
  /** A read has returned it. */
  observed: boolean
  /** No power cut takes it back. */
  firm: boolean
  /** The users were told that it may be gone: seeing it is no promise that it stays. */
  doubtful: boolean
}

/** Why a value is illegal. */
export interface Illegal {
  readonly sector: number
  readonly content: ContentId
  /**
   * foreign: nobody wrote that there. lost: an acknowledged version is gone. unseen: a version that a read had returned
   * is gone. time-travel: an older version came back after a newer one had been read.
   */
  readonly reason: 'foreign' | 'lost' | 'unseen' | 'time-travel'
  readonly message: string
}

const NEVER = Number.POSITIVE_INFINITY

export class Oracle {
  readonly sectors: number
  private readonly versions: Version[][]
  private readonly byId = new Map<number, Operation>()
  /** Open operations (neither acknowledged nor failed). */
  private readonly open = new Map<number, Operation>()
  /** Acknowledged, and a power cut may still take them back. */
  private readonly soft = new Set<Operation>()

  constructor(sectors: number) {
    this.sectors = sectors
    const initial: Operation = {
      id: INITIAL_ID,
      kind: 'write',
      firstSector: 0,
      sectors,
      submittedAt: -1,
      acknowledgedAt: 0,
    }
    this.byId.set(INITIAL_ID, initial)
    this.versions = Array.from({ length: sectors }, () => [
      { operation: initial, provenAt: 0, bindingAt: 0, usedAt: -1, observed: false, firm: true, doubtful: false },
    ])
  }

  operation(id: number): Operation | undefined {
    return this.byId.get(id)
  }

  /** All versions of a sector, in the order of submission. */
  versionsOf(sector: number): readonly Version[] {
    return this.versions[sector] ?? []
  }

  submitted(id: number, kind: 'write' | 'zero', firstSector: number, sectors: number, now: number): Operation {
    const operation: Operation = { id, kind, firstSector, sectors, submittedAt: now, acknowledgedAt: NEVER }
    this.byId.set(id, operation)
    this.open.set(id, operation)
    for (let sector = firstSector; sector < firstSector + sectors; sector++) {
      this.versions[sector]?.push({
        operation,
        provenAt: NEVER,
        bindingAt: NEVER,
        usedAt: now,
        observed: false,
        firm: false,
        doubtful: false,
      })
    }
    return operation
  }

  /** `firm`: durable by the device's word, whatever happens. */
  acknowledged(id: number, firm: boolean, now: number): void {
    const operation = this.byId.get(id)
    if (operation === undefined) return
    operation.acknowledgedAt = now
    this.open.delete(id)
    this.eachVersion(operation, (version) => {
      version.provenAt = Math.min(version.provenAt, now)
      version.bindingAt = Math.min(version.bindingAt, now)
      version.firm ||= firm
    })
    if (!firm) this.soft.add(operation)
  }

  /** An I/O error was reported: the operation may have happened, may not, and stays unknown. */
  failed(id: number): void {
    this.open.delete(id)
    const operation = this.byId.get(id)
    if (operation !== undefined) this.doubt(operation)
  }

  /** What was acknowledged before `beforeTick` is durable from now on (a flush that was submitted then succeeded). */
  madeFirm(beforeTick: number): void {
    for (const operation of this.soft) {
      if (operation.acknowledgedAt >= beforeTick) continue
      this.soft.delete(operation)
      this.eachVersion(operation, (version) => {
        version.firm = true
      })
    }
  }

  /**
   * A flush was answered with an error: the users know that what it should have made durable may be lost, and no later
   * flush makes it so (the kernel reports a failed flush once and forgets what it covered).
   */
  flushFailed(): void {
    for (const operation of this.soft) this.doubt(operation)
    this.soft.clear()
  }

  /** The users are gone (the device was torn down): operations without an answer ended before now or never happen. */
  abandoned(now: number): void {
    this.endedBefore(now, [...this.open.keys()])
    this.open.clear()
  }

  /** These operations have taken effect before now, or never will, whether they are answered later or not. */
  endedBefore(now: number, ids: Iterable<number>): void {
    for (const id of ids) {
      const operation = this.open.get(id)
      if (operation === undefined) continue
      this.eachVersion(operation, (version) => {
        version.provenAt = Math.min(version.provenAt, now)
      })
    }
  }

  /** Like `abandoned`, of the users of one device where there are others. */
  abandonedOnly(now: number, ids: readonly number[]): void {
    this.endedBefore(now, ids)
    for (const id of ids) this.open.delete(id)
  }

  /**
   * The machine lost power: operations without an answer ended before now or never happen; what is not firm may be
   * gone, and the next read of the sector says whether it is.
   */
  powerCut(now: number): void {
    this.open.clear()
    this.soft.clear()
    for (const list of this.versions) {
      for (const version of list) {
        if (version.firm) continue
        version.provenAt = Math.min(version.provenAt, now)
        version.usedAt = version.operation.submittedAt
        version.bindingAt = NEVER
        version.observed = false
        // Whatever is left of it after the cut is durable.
        version.firm = true
        version.doubtful = false
      }
    }
  }

  /**
   * A read that began at `begunAt` returned `content` and ends at `now`. Null if that is legal; it is then remembered.
   * `firm`: reads are promises too while the device says that every acknowledged write is durable.
   */
  observed(sector: number, content: ContentId, begunAt: number, now: number, firm: boolean): Illegal | null {
    const list = this.versions[sector] ?? []
    let legal: Version | null = null
    let legalCount = 0
    for (const version of list) {
      if (!hasContent(version, content) || this.blocker(list, version, begunAt, false) !== null) continue
      legal = version
      legalCount++
    }
    if (legal === null) return this.check(sector, content, begunAt)
    if (legalCount > 1) return null
    legal.bindingAt = Math.min(legal.bindingAt, now)
    legal.provenAt = Math.min(legal.provenAt, now)
    legal.usedAt = Math.max(legal.usedAt, begunAt)
    legal.observed = true
    legal.firm ||= firm && !legal.doubtful
    return null
  }

  /** Whether `content` may be what the sector holds for somebody who looks from `begunAt` on. Remembers nothing. */
  check(sector: number, content: ContentId, begunAt: number): Illegal | null {
    return this.judge(sector, content, begunAt, false)
  }

  /** The same for somebody who looks after a power cut now: what is not firm binds nobody. */
  checkAfterPowerCut(sector: number, content: ContentId, now: number): Illegal | null {
    return this.judge(sector, content, now, true)
  }

  /** Whether version `a` of a sector is known to come before version `b`. */
  isBefore(a: Version, b: Version): boolean {
    return a.provenAt < b.usedAt
  }

  /** Whether anybody ever submitted this content for the sector. */
  knows(sector: number, content: ContentId): boolean {
    return (this.versions[sector] ?? []).some((version) => hasContent(version, content))
  }

  /** The newest submission among the versions with this content; -1 if there is none. */
  submittedAt(sector: number, content: ContentId): number {
    let latest = -1
    for (const version of this.versions[sector] ?? []) {
      if (hasContent(version, content)) latest = Math.max(latest, version.operation.submittedAt)
    }
    return latest
  }

  /** Versions of the sector that have this content. */
  candidates(sector: number, content: ContentId): Version[] {
    return (this.versions[sector] ?? []).filter((version) => hasContent(version, content))
  }

  /** Operations that were submitted and have no answer yet. */
  openOperations(): readonly Operation[] {
    return [...this.open.values()]
  }

  private doubt(operation: Operation): void {
    this.eachVersion(operation, (version) => {
      version.doubtful = !version.firm
    })
  }

  private judge(sector: number, content: ContentId, begunAt: number, afterPowerCut: boolean): Illegal | null {
    const list = this.versions[sector] ?? []
    let blocker: Version | null = null
    let blocked: Version | null = null
    for (const version of list) {
      if (!hasContent(version, content)) continue
      blocked = version
      blocker = this.blocker(list, version, begunAt, afterPowerCut)
      if (blocker === null) return null
    }
    if (blocker === null || blocked === null) {
      const message = `sector ${sector} holds ${describeContent(content)}`
      return { sector, content, reason: 'foreign', message }
    }
    return explain(sector, content, blocked, blocker)
  }

  /** The version that makes `version` illegal for a read from `begunAt` on; null if there is none. */
  private blocker(list: readonly Version[], version: Version, begunAt: number, afterPowerCut: boolean): Version | null {
    const { provenAt } = version
    for (const other of list) {
      if (provenAt < other.usedAt && other.bindingAt < begunAt && other !== version) {
        if (!afterPowerCut || other.firm) return other
      }
    }
    return null
  }

  private eachVersion(operation: Operation, act: (version: Version) => void): void {
    for (let sector = operation.firstSector; sector < operation.firstSector + operation.sectors; sector++) {
      for (const version of this.versions[sector] ?? []) if (version.operation === operation) act(version)
    }
  }
}

function hasContent({ operation }: Version, content: ContentId): boolean {
  if (content === CONTENT_ZERO) return operation.kind === 'zero'
  return operation.id === content && operation.kind === 'write'
}

function explain(sector: number, content: ContentId, blocked: Version, blocker: Version): Illegal {
  const { operation } = blocker
  const named = `${operation.kind} ${operation.id}`
  const found = content === CONTENT_ZERO ? `zeros (of ${blocked.operation.id})` : describeContent(content)
  if (blocked.observed && blocker.observed && blocked.usedAt > operation.submittedAt) {
    const message = `sector ${sector} holds ${found} again after ${named} had been read`
    return { sector, content, reason: 'time-travel', message }
  }
  if (operation.acknowledgedAt !== NEVER) {
    const message = `sector ${sector} holds ${found}; ${named} was acknowledged after it and is gone`
    return { sector, content, reason: 'lost', message }
  }
  const message = `sector ${sector} holds ${found}; a read had returned ${named}, which is gone`
  return { sector, content, reason: 'unseen', message }
}
