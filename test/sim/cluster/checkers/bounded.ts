// Invariant 10 in a cluster: what each process holds at once is bounded by numbers that do not depend on the load or on
// how long a peer is away: timers, memory, operations in flight, connections, bytes that a receiver has not written.
import type { SimulatedDisk } from '../../disk.ts'
import type { Report } from '../../report.ts'
import type { ClusterChecker } from './cluster-checker.ts'

/** Far above what the product's own named limits add up to in a cluster so small; a leak passes it within a run. */
export const TIMERS_MAX = 96
export const MEMORY_BYTES_MAX = 64 * 1024 * 1024
export const IN_FLIGHT_MAX = 1024
export const STREAMS_MAX = 64
/** Looks at everything only that often. */
const EVENTS_PER_LOOK = 32

/** A process as far as it is measured. */
export interface Measured {
  readonly process: { readonly name: string; readonly timersSet: number }
  readonly memory: { readonly allocatedBytes: number }
}

export interface BoundedScene {
  readonly report: Report
  readonly disks: readonly SimulatedDisk[]
  readonly processes: () => Iterable<Measured>
  readonly streams: () => number
}

export class BoundedChecker implements ClusterChecker {
  readonly name = 'bounded'
  readonly rule = 'invariant 10'
  private readonly scene: BoundedScene
  private untilLook = EVENTS_PER_LOOK

  constructor(scene: BoundedScene) {
    this.scene = scene
  }

  afterEvent(): void {
    if (--this.untilLook > 0) return
    this.untilLook = EVENTS_PER_LOOK
    this.look()
  }

  look(): void {
    for (const disk of this.scene.disks)
      this.limit(`operations in flight at ${disk.settings.name}`, disk.inFlight.size, IN_FLIGHT_MAX)
    for (const { process, memory } of this.scene.processes()) {
      this.limit(`timers of ${process.name}`, process.timersSet, TIMERS_MAX)
      this.limit(`memory of ${process.name}`, memory.allocatedBytes, MEMORY_BYTES_MAX)
    }
    this.limit('open streams', this.scene.streams(), STREAMS_MAX)
  }

  private limit(what: string, value: number, limit: number): void {
    if (value > limit) this.scene.report.add(this.name, this.rule, `too many ${what} value=${value} limit=${limit}`)
  }
}
