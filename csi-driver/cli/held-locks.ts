// Does anybody hold a flock on this file? Answered from /proc/locks, without taking the lock even for a moment: a
// `serve` that starts at that moment would be refused.
import { readFile, stat } from 'node:fs/promises'

/** False also where there is no such file. */
export async function lockIsHeld(path: string): Promise<boolean> {
  try {
    const { dev, ino } = await stat(path)
    return isListed(await readFile('/proc/locks', 'utf8'), dev, ino)
  } catch {
    return false
  }
}

/** Lines read `1: FLOCK  ADVISORY  WRITE 812 fe:01:1234 0 EOF`, with the device in hex and the inode in decimal. */
export function isListed(locks: string, dev: number, ino: number): boolean {
  const { major, minor } = splitDevice(dev)
  const hex = (part: number): string => part.toString(16).padStart(2, '0')
  const wanted = `${hex(major)}:${hex(minor)}:${ino}`
  return locks.split('\n').some((line) => {
    const words = line.trim().split(/\s+/)
    return words[1] === 'FLOCK' && words[5] === wanted
  })
}

/** Linux dev_t as stat(2) reports it: 12 bits of major, 20 bits of minor, interleaved. */
export function splitDevice(dev: number): { major: number; minor: number } {
  const bits = BigInt(dev)
  const major = Number(((bits >> 8n) & 0xfffn) | ((bits >> 32n) & ~0xfffn))
  const minor = Number((bits & 0xffn) | ((bits >> 12n) & ~0xffn))
  return { major, minor }
}
