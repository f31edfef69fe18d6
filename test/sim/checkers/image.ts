// Looks at a whole image of the backing, sector by sector, with the oracle's eyes.
import { SECTOR_BYTES } from '../../../base/units.ts'
import { readSector } from '../content.ts'
import type { Illegal } from '../oracle.ts'

/** The first sector that `judge` objects to; null if there is none. */
export function judgeImage(
  image: Buffer,
  sectors: number,
  judge: (sector: number, content: number) => Illegal | null,
): Illegal | null {
  for (let sector = 0; sector < sectors; sector++) {
    const illegal = judge(sector, readSector(image, sector * SECTOR_BYTES, sector))
    if (illegal !== null) return illegal
  }
  return null
}
