// The log of an engine as it grows: one batch in flight at a time, each with one record.
import type { Model } from './model.ts'
import { BATCHES_MAX } from './log-pool.ts'
import { cacheOf } from './record-pool.ts'
import type { State } from './state.ts'

/** Is the batch before complete? */
export function canAppend(model: Model, state: State, node: number): boolean {
  const { last } = model.log(state.engine(node))
  return last < BATCHES_MAX && last === model.committed(state, node)
}

export function appendRecord(model: Model, next: State, node: number, content: number): void {
  const engine = next.engine(node)
  const log = model.log(engine)
  const { epoch } = model.record(engine)
  const batch = model.logs.makeBatch(log, content, { epoch, run: engine.run })
  engine.log = model.logs.append(log, batch.id).id
}

/** Does any copy, the engine's own included, hold an un-trimmed record of the block (2.3)? */
export function isRecorded(model: Model, state: State, node: number, block: number): boolean {
  const engine = state.engine(node)
  const log = model.log(engine)
  if (model.newest(log, log.last, block) !== 0) return true
  const copies = model.waited(state, node) | engine.learners | (1 << cacheOf(node))
  for (let store = 0; copies >> store > 0; store++) {
    if (((copies >> store) & 1) === 0) continue
    const held = model.volume(state, store)?.log ?? null
    if (held !== null && model.newest(held, held.last, block) !== 0) return true
  }
  return false
}
