// Writes a volume's slot: one content, two copies, one after the other, reported when both are durable. The copy that is
// worth less (damaged, or older) is written first, so that at any moment one copy is whole: a crash leaves the old
// content or the new one, and damage of one copy never takes a change that was reported.
import { assert } from '../../../base/assert.ts'
import type { IoError } from '../../../base/errors.ts'
import type { AlignedMemory, IoDone, Storage } from '../../io/storage.ts'
import { slotPosition, type StoreGeometry, VOLUME_SLOT_BYTES, VOLUME_SLOT_COPIES } from './store-geometry.ts'
import { encodeSlot, type SlotContent } from './volume-slot.ts'

export interface SlotWriterOptions {
  readonly storage: Storage
  readonly memory: AlignedMemory
  readonly geometry: StoreGeometry
  readonly storeUuid: string
  /** The copy to be written first; 0 where both are good. */
  readonly worseCopy?: number
}

export class SlotWriter {
  private readonly options: SlotWriterOptions
  private readonly buffer: Buffer
  private content: SlotContent | null = null
  private copy: number
  private written = 0
  private done: IoDone = () => undefined

  constructor(options: SlotWriterOptions) {
    this.options = options
    this.buffer = options.memory.allocate(VOLUME_SLOT_BYTES)
    this.copy = options.worseCopy ?? 0
  }

  get isBusy(): boolean {
    return this.content !== null
  }

  /** On an error the outcome is unknown: the next start may find this content or the one before. */
  write(content: SlotContent, done: (error: IoError | null) => void): void {
    assert(this.content === null, 'one slot change at a time')
    this.content = content
    this.written = 0
    this.done = done
    this.writeCopy(content)
  }

  private writeCopy(content: SlotContent): void {
    const { storage, geometry, storeUuid } = this.options
    encodeSlot(this.buffer, 0, content, { storeUuid, copy: this.copy })
    const position = slotPosition(geometry, content.index, this.copy)
    storage.write(this.buffer, 0, VOLUME_SLOT_BYTES, position, this.onWritten)
  }

  private readonly onWritten: IoDone = (error) => {
    const { content } = this
    assert(content !== null, 'a slot is being written')
    this.written += 1
    // After an error this copy is the worse one, and stays it.
    if (error === null) this.copy = (this.copy + 1) % VOLUME_SLOT_COPIES
    if (error === null && this.written < VOLUME_SLOT_COPIES) {
      this.writeCopy(content)
      return
    }
    this.content = null
    this.done(error)
  }
}
