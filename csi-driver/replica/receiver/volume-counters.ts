// What a volume's replica has done since the process began: plain numbers for status and metrics.
import type { Bytes, Ms } from '../../../base/units.ts'

export interface VolumeCounters {
  heartbeats: number
  receivedBytes: Bytes
  appendedBatches: number
  appendedBytes: Bytes
  duplicateBatches: number
  fetchedBatches: number
  fetchedBytes: Bytes
  /** Times that its stream was not read, since it was above its share. */
  pauses: number
  /** Time in the store's writes: all, and the longest one. */
  writeMs: Ms
  writeMsMax: Ms
}

export function zeroCounters(): VolumeCounters {
  return {
    heartbeats: 0,
    receivedBytes: 0,
    appendedBatches: 0,
    appendedBytes: 0,
    duplicateBatches: 0,
    fetchedBatches: 0,
    fetchedBytes: 0,
    pauses: 0,
    writeMs: 0,
    writeMsMax: 0,
  }
}

/** A batch of so many bytes is durable, and took so long. */
export function countWrite(counters: VolumeCounters, bytes: Bytes, tookMs: Ms): void {
  counters.appendedBatches += 1
  counters.appendedBytes += bytes
  counters.writeMs += tookMs
  if (tookMs > counters.writeMsMax) counters.writeMsMax = tookMs
}
