// What one run of fio has measured of one subject.
import type { Direction, FioResult } from './fio.ts'
import type { SubjectName } from './subjects.ts'

/** One fio run. */
export interface Sample extends FioResult {
  readonly round: number
  readonly subject: SubjectName
  readonly title: string
  readonly direction: Direction
  readonly queueDepth: number
  readonly busyPollMicros: number
  /** CPU of the serving process per I/O; null where no process serves. */
  readonly cpuMicros: number | null
  /** Part of all cores that was busy with others right before or after. */
  readonly othersShare: number
}

/** The median of the samples of one subject under one workload. */
export type PickMedian = (subject: SubjectName, direction: Direction, queueDepth: number) => Sample
