// Who has to know that the backing changes under what was read from it: fills that are under way, what was read ahead,
// and the hashes of the volume's edges.
import type { Bytes } from '../../base/units.ts'
import type { BackingListener } from '../backing/backing-store.ts'
import type { CacheFills } from './cache-fill.ts'
import type { EdgeHashes } from './edge-hashes.ts'
import type { ReadAhead } from './read-ahead/read-ahead.ts'

export class BackingWrites implements BackingListener {
  private readonly fills: CacheFills
  private readonly ahead: ReadAhead
  private readonly edges: EdgeHashes

  constructor(fills: CacheFills, ahead: ReadAhead, edges: EdgeHashes) {
    this.fills = fills
    this.ahead = ahead
    this.edges = edges
  }

  onWriteStart(position: Bytes, length: Bytes): void {
    this.fills.onWriteStart(position, length)
    this.ahead.poison(position, length)
    this.edges.note(position, length)
  }

  onWriteEnd(position: Bytes, length: Bytes): void {
    this.fills.poison(position, length)
    this.ahead.poison(position, length)
    this.edges.note(position, length)
  }
}
