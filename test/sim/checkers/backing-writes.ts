// Two promises about every single write that reaches the backing device:
// rule 2.3: at most one write per 4 KiB block is in flight, destage and through-writes alike, also across lives of the
// engine; and nothing is ever written there but what a user wrote to that very place (or zeroed, or was there before).
import { BLOCK_BYTES, roundDown, roundUp, SECTOR_BYTES } from '../../../base/units.ts'
import { CONTENT_FOREIGN, CONTENT_ZERO, INITIAL_ID, readSector } from '../content.ts'
import { type DiskOperation, overlaps, type SimulatedDisk } from '../disk.ts'
import type { Checker, Scene } from './checker.ts'

export class BackingWritesChecker implements Checker {
  readonly name = 'backing-writes'
  readonly rule = 'rule 2.3'
  private readonly scene: Scene

  constructor(scene: Scene) {
    this.scene = scene
  }

  onSubmit(disk: SimulatedDisk, operation: DiskOperation): void {
    if (disk !== this.scene.backing) return
    if (operation.kind !== 'write' && operation.kind !== 'zero') return
    this.checkAlone(disk, operation)
    this.checkContent(operation)
  }

  private checkAlone(disk: SimulatedDisk, operation: DiskOperation): void {
    const blocks = operation.ranges.map(({ position, length }) => {
      const start = roundDown(position, BLOCK_BYTES)
      return { position: start, length: roundUp(position + length, BLOCK_BYTES) - start }
    })
    for (const other of disk.inFlight.values()) {
      if (other === operation || (other.kind !== 'write' && other.kind !== 'zero')) continue
      const both = other.ranges.find((range) => overlaps(blocks, range))
      if (both === undefined) continue
      const message = `two backing writes of one block are in flight position=${both.position} length=${both.length}`
      this.scene.report.add(this.name, this.rule, message)
      return
    }
  }

  private checkContent(operation: DiskOperation): void {
    let at = 0
    for (const { position, length } of operation.ranges) {
      for (let offset = 0; offset < length; offset += SECTOR_BYTES, at += SECTOR_BYTES) {
        const sector = (position + offset) / SECTOR_BYTES
        const content = operation.data === null ? CONTENT_ZERO : readSector(operation.data, at, sector)
        if (this.isKnown(sector, content)) continue
        const what = content === CONTENT_ZERO ? 'zeros that nobody asked for' : 'content that nobody wrote there'
        this.scene.report.add('foreign-write', 'nothing of ours on the backing', `${what} sector=${sector}`)
        return
      }
    }
  }

  private isKnown(sector: number, content: number): boolean {
    if (content === CONTENT_FOREIGN) return false
    if (content === INITIAL_ID) return true
    return this.scene.oracle.knows(sector, content)
  }
}
