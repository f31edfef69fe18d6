// Opens whatever --backing names: a block device or an image file; says what else it is when it is neither.
import { stat } from 'node:fs/promises'

import { openBlockDevice, openRefusal, refusal } from './block-device.ts'
import type { OpenBackingOptions, OpenedBacking } from './block-device.ts'
import { errnoName } from './errno.ts'
import { openImageFile } from './image-file.ts'

/** Throws CacheError 'invalid' with code CACHE_BACKING_… and a remedy; then nothing was changed. */
export async function openBacking(options: OpenBackingOptions): Promise<OpenedBacking> {
  const { path } = options
  const found = await stat(path).catch((error: unknown) => {
    throw openRefusal(path, errnoName(error), error)
  })
  if (found.isBlockDevice()) return openBlockDevice(options)
  if (found.isFile()) return openImageFile(options)
  const what = found.isDirectory() ? 'a directory' : found.isCharacterDevice() ? 'a character device' : 'neither'
  throw refusal(
    'KIND',
    `backing must be a block device or an image file path=${path} found="${what}"`,
    'Give the device below a mount point (findmnt shows it), or an image file.',
  )
}
