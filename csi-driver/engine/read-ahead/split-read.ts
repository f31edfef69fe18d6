// A read that comes in parts, from pieces that are under way and from the backing: ends once, with the last of them.
import type { IoError } from '../../../base/errors.ts'
import type { IoDone } from '../../io/storage.ts'

export class SplitRead {
  /** For every part that was announced. */
  readonly partDone: IoDone
  private readonly done: IoDone
  private parts = 0
  private error: IoError | null = null

  constructor(done: IoDone) {
    this.done = done
    this.partDone = (error) => this.onPart(error)
  }

  announce(): void {
    this.parts += 1
  }

  private onPart(error: IoError | null): void {
    this.error ??= error
    this.parts -= 1
    if (this.parts === 0) this.done(this.error)
  }
}
