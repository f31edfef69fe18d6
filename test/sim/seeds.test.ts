// Runs every seed of seeds.txt against the engine: what was found once stays found.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { openVolume } from '../../csi-driver/engine/volume.ts'
import { runSeed } from './run-seeds.ts'
import { engineSubject } from './subject.ts'

const lines = readFileSync(path.join(import.meta.dirname, 'seeds.txt'), 'utf8').split('\n')
const seeds = lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(' ')[0] as string)

describe('seeds that found a bug', () => {
  test.each(seeds)(
    '%s',
    async (seed) => {
      const { violations } = await runSeed(seed, engineSubject(openVolume))
      expect(violations).toEqual([])
    },
    60_000,
  )

  test('are listed once', () => {
    expect(new Set(seeds).size).toBe(seeds.length)
  })
})
