// What one run of fio has measured of one subject.
import type { FioResult } from './fio.ts'
import type { Subject, SubjectName } from './subjects.ts'
import type { WorkloadName } from './workloads.ts'

/** One fio run. */
export interface Sample extends FioResult, Pick<Subject, 'title' | 'busyPollMicros' | 'acknowledgesEarly'> {
  readonly round: number
  readonly subject: SubjectName
  readonly workload: WorkloadName
  /** CPU of the serving process per I/O; null where no process serves. */
  readonly cpuMicros: number | null
  /** Resident memory of that process after the run, MiB. */
  readonly residentMiB: number | null
  /** Part of all cores that was busy with others right before or after. */
  readonly othersShare: number
}

/** The median of the samples of one subject under one workload. */
export type PickMedian = (subject: SubjectName, workload: WorkloadName) => Sample
