// Sizes and ages as people read them, rounded. What a machine reads is never rounded: see --output json.
import type { Bytes } from '../../base/units.ts'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `0 B`, `4 KiB`, `1.5 GiB`. */
export function bytesText(bytes: Bytes): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  const digits = unit > 0 && value < 10 ? 1 : 0
  return `${value.toFixed(digits).replace(/\.0$/, '')} ${UNITS[unit] ?? 'B'}`
}

/** `0 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`. */
export function secondsText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const pair = (large: string, small: string, unit: number, part: number): string => {
    const rest = Math.floor((whole % unit) / part)
    return `${Math.floor(whole / unit)} ${large}${rest === 0 ? '' : ` ${rest} ${small}`}`
  }
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return pair('min', 's', 60, 1)
  if (whole < 86_400) return pair('h', 'min', 3600, 60)
  return pair('d', 'h', 86_400, 3600)
}
