// What a volume's replica has done since the process began: plain numbers for status and metrics.
import type { Bytes, Ms } from '../../../base/units.ts'

export class VolumeCounters {
  connections = 0
  heartbeats = 0
  receivedBytes: Bytes = 0
  appendedBatches = 0
  appendedBytes: Bytes = 0
  duplicateBatches = 0
  fetchedBatches = 0
  fetchedBytes: Bytes = 0
  /** Times that its stream was not read, since it was above its share. */
  pauses = 0
  /** Time in the store's writes: all, and the longest one. */
  writeMs: Ms = 0
  writeMsMax: Ms = 0

  noteWrite(bytes: Bytes, tookMs: Ms): void {
    this.appendedBatches += 1
    this.appendedBytes += bytes
    this.writeMs += tookMs
    if (tookMs > this.writeMsMax) this.writeMsMax = tookMs
  }
}
