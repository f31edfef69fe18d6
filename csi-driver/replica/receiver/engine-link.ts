// The engine at the other end of one connection, as a volume sees it: who it is by its HELLO, and what can be said to
// it. connection.ts is the one that speaks over a stream.
import type { Epoch, Run } from '../../../base/units.ts'
import type { Purpose } from '../../protocol/store-rows.ts'
import type { RefusalCode } from '../../protocol/stored-log.ts'
import type { BodyInMemory, StoreMessage } from '../wire/messages.ts'
import type { HeldVolume } from './store-port.ts'

export interface Refusal {
  readonly code: RefusalCode
  /** Lower case, values last as key=value; goes to the other side, too. */
  readonly message: string
  /** Part of how things go between well-behaved nodes: not worth a line in the log. */
  readonly routine?: boolean
}

export interface EngineLink {
  /** As its certificate names it. */
  readonly node: string
  readonly purpose: Purpose
  readonly epoch: Epoch
  readonly run: Run
  /** Set to false by its volume as soon as another connection takes its place: what still comes from it is late. */
  present: boolean
  /** The answer to its HELLO; orders are accepted from now on. */
  welcome(held: HeldVolume): void
  send(message: StoreMessage): void
  /** A stored batch; its bytes must not change any more. False: wait for VolumeReplica.drained before the next one. */
  sendBatch(body: BodyInMemory): boolean
  /** Says why, once, and closes. Nothing that comes from it is delivered any more. */
  refuse(refusal: Refusal): void
  /** Closes without a word: the engine has another connection. Nothing that comes is delivered any more. */
  close(): void
  /** Its stream is not read meanwhile, so that the other side is slowed down. */
  pause(): void
  resume(): void
}
