// Invariant 7 on every copy, listed or not: a record leaves a log only when its content, or something newer, is durable on
// the backing or stands later in the same log; and a peer lets go of nothing that the owner's own log still needs after a
// restart (the checkpoint is durable first).
import { SECTOR_BYTES } from '../../../../base/units.ts'
import { describeContent, readSector } from '../../content.ts'
import type { SimulatedDisk } from '../../disk.ts'
import type { Oracle } from '../../oracle.ts'
import type { Report } from '../../report.ts'
import { type FoundBatch, type CopyOfLog, NOT_IN_LOG } from '../log-on-disk.ts'
import type { ClusterChecker } from './cluster-checker.ts'

export interface TrimScene {
  readonly report: Report
  readonly oracle: Oracle
  readonly backing: SimulatedDisk
  readonly copies: readonly CopyOfLog[]
}

export class TrimOrderChecker implements ClusterChecker {
  readonly name = 'trim-order'
  readonly rule = 'invariant 7'
  /** Batches seen leaving a log, for the summary. */
  trimmed = 0
  private readonly scene: TrimScene

  constructor(scene: TrimScene) {
    this.scene = scene
    for (const copy of scene.copies) copy.onTrimmed = (batches) => this.onTrimmed(copy, batches)
  }

  private onTrimmed(copy: CopyOfLog, batches: readonly FoundBatch[]): void {
    this.trimmed += batches.length
    for (const { batchSeq, records } of batches) {
      for (const { sector, contents } of records) {
        for (let i = 0; i < contents.length; i++) {
          if (this.isSafe(copy, sector + i, contents[i] as number)) continue
          const { backing } = this.scene
          const found = describeContent(readSector(backing.durable, (sector + i) * SECTOR_BYTES, sector + i))
          const what = `${describeContent(contents[i] as number)} of batch ${batchSeq}`
          const message = `${copy.disk.settings.name} lets go of ${what} while the backing durably holds ${found} sector=${sector + i}`
          this.scene.report.add(this.name, this.rule, message)
          return
        }
      }
    }
  }

  private isSafe(copy: CopyOfLog, sector: number, content: number): boolean {
    const { oracle, backing } = this.scene
    const leaving = oracle.candidates(sector, content)
    // Zeros do not say whose they are; a content that nobody was promised may go.
    const version = leaving.length === 1 ? leaving[0] : undefined
    if (version === undefined) return true
    if (version.operation.acknowledgedAt === Number.POSITIVE_INFINITY && !version.observed) return true
    const logged = copy.content[sector] as number
    const inLog = logged !== NOT_IN_LOG
    const left = inLog ? logged : readSector(backing.durable, sector * SECTOR_BYTES, sector)
    return oracle.candidates(sector, left).some((other) => {
      // What was begun after this one was answered stands after it in this log, also where nobody ever sees it: an owner
      // that has been replaced meanwhile may trim what it had settled before.
      const isLater = inLog && other.operation.submittedAt > version.operation.acknowledgedAt
      return isLater || other === version || !oracle.isBefore(other, version)
    })
  }
}
