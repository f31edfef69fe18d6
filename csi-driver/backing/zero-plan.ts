// Splits ranges that shall read back as zeros into what the device can zero by itself (whole 4 KiB blocks, as its zero
// call wants) and what has to be written with zeros. Pure.
import { BLOCK_BYTES, roundDown, roundUp } from '../../base/units.ts'
import type { ByteRange } from '../io/storage.ts'

export interface ZeroPlan {
  /** 4 KiB aligned, for BackingStorage.zero. */
  readonly zeroed: readonly ByteRange[]
  /** Written with zeros. */
  readonly written: readonly ByteRange[]
}

/** `deviceZeroes`: whether the device has a zero call; without one everything is written. Empty ranges are dropped. */
export function planZero(ranges: readonly ByteRange[], deviceZeroes: boolean): ZeroPlan {
  const zeroed: ByteRange[] = []
  const written: ByteRange[] = []
  const write = (position: number, end: number): void => {
    if (end > position) written.push({ position, length: end - position })
  }
  for (const { position, length } of ranges) {
    const end = position + length
    const innerStart = Math.min(end, roundUp(position, BLOCK_BYTES))
    const innerEnd = Math.max(innerStart, roundDown(end, BLOCK_BYTES))
    if (!deviceZeroes || innerEnd === innerStart) write(position, end)
    else {
      write(position, innerStart)
      zeroed.push({ position: innerStart, length: innerEnd - innerStart })
      write(innerEnd, end)
    }
  }
  return { zeroed, written }
}
