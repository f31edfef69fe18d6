// What a backing device is recognised by when a volume is opened again. The register and the cache's superblock keep
// it; it must stay the same over a reboot and must differ for another disk, or dirty data would be written to it.
import type { Bytes } from '../../base/units.ts'

/** Longest `id` in characters (the superblock's field). */
export const BACKING_ID_MAX = 128

export interface BackingIdentity {
  readonly kind: 'block' | 'file'
  /**
   * `<source>:<value>` with the most lasting source that the device offers, for example `wwid:naa.5000…`,
   * `partuuid:…`, `dm:LVM-…`, `loop:<identity of its file>`, `file:<file system>:<inode>:<path>`.
   */
  readonly id: string
  readonly sizeBytes: Bytes
}
