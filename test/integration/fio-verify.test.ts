// Proves with fio's own verification: what was written in sizes from 512 bytes to 4 MiB, several in flight, reads back
// with the right checksums, in write-back and in write-through, with a killed engine in between, and from the bare
// backing after the stop.
import { testOn } from '../run/requires.ts'
import { Served } from './harness/served.ts'
import { command, MIB, obstacleOfHost, pause, TestBed } from './harness/test-bed.ts'

const VOLUME_BYTES = 192 * MIB
const onKernel = testOn(obstacleOfHost('fio'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('fio')
})
afterEach(() => bed.tearDown())

interface Job {
  readonly size: string
  readonly bytes: number
  readonly depth: number
}

const JOBS: readonly Job[] = [
  { size: '512', bytes: 2 * MIB, depth: 8 },
  { size: '4k', bytes: 16 * MIB, depth: 32 },
  { size: '20k', bytes: 20 * MIB, depth: 4 },
  { size: '256k', bytes: 32 * MIB, depth: 8 },
  { size: '4m', bytes: 64 * MIB, depth: 2 },
]

/** All jobs at once, each in a part of its own. */
function fio(device: string, mode: 'write' | 'verify'): Promise<string> {
  const words = [
    `--filename=${device}`,
    '--direct=1',
    '--ioengine=libaio',
    '--verify=crc32c',
    '--verify_fatal=1',
    '--verify_state_save=0',
  ]
  const how = mode === 'write' ? ['--do_verify=1'] : ['--verify_only']
  let offset = 0
  for (const { size, bytes, depth } of JOBS) {
    words.push(`--name=bs-${size}`, '--rw=randwrite', `--bs=${size}`, `--iodepth=${depth}`, '--randseed=7')
    words.push(`--offset=${offset}`, `--size=${bytes}`, ...how)
    offset += bytes
  }
  return command('fio', ...words)
}

for (const policy of ['write-back', 'write-through'] as const) {
  onKernel(`${policy}: all sizes at once, verified, also on the bare backing`, async () => {
    const disk = await bed.slowDisk({ sizeBytes: VOLUME_BYTES })
    const served = await Served.serve(bed, { backing: disk.device, flags: ['--write-policy', policy] })
    const written = fio(served.device, 'write')
    if (policy === 'write-back') {
      await pause(1000)
      served.killEngine()
    }
    expect(await written).toContain('err= 0')
    expect((await served.status()).writePolicy).toBe(policy)
    await served.stop()
    expect(await fio(disk.device, 'verify')).toContain('err= 0')
  })
}

onKernel('sectors of 4096 bytes on a backing that has 512', async () => {
  const disk = await bed.slowDisk({ sizeBytes: VOLUME_BYTES })
  const served = await Served.serve(bed, { backing: disk.device, flags: ['--sector-size', '4096'] })
  expect((await command('blockdev', '--getss', served.device)).trim()).toBe('4096')
  const words = [
    '--name=x',
    '--direct=1',
    '--rw=randwrite',
    '--bs=4k',
    '--size=16m',
    '--verify=crc32c',
    '--verify_state_save=0',
    '--iodepth=16',
  ]
  const place = (device: string): string[] => [`--filename=${device}`, '--ioengine=libaio', ...words]
  expect(await command('fio', ...place(served.device))).toContain('err= 0')
  await served.stop()
  expect(await command('fio', ...place(disk.device), '--verify_only')).toContain('err= 0')
})
