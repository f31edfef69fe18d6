// The mixed load of a volume, as passes of fio that each check what they have written: writes of all sizes read back with
// checksums, reads and writes mixed, and discards. Each kind has a part of the volume of its own.
import { runProgram } from '../perf/fio.ts'

const MIB = 1024 * 1024

interface Part {
  readonly name: string
  readonly bytes: number
  readonly words: readonly string[]
}

// Without the state that fio would leave in the working directory.
const VERIFIED = ['--verify=crc32c', '--do_verify=1', '--verify_fatal=1', '--verify_state_save=0']

const PARTS: readonly Part[] = [
  {
    name: 'small',
    bytes: 2 * MIB,
    words: ['--rw=randwrite', '--bsrange=512-16k', '--blockalign=512', '--iodepth=8', ...VERIFIED],
  },
  { name: 'large', bytes: 8 * MIB, words: ['--rw=randwrite', '--bs=128k', '--iodepth=4', ...VERIFIED] },
  {
    name: 'mixed',
    bytes: 86 * MIB,
    words: ['--rw=randrw', '--rwmixread=70', '--bs=4k', '--iodepth=16', '--norandommap', '--io_size=3m'],
  },
  { name: 'discards', bytes: 16 * MIB, words: ['--rw=randtrimwrite', '--bs=16k', '--iodepth=1', '--io_size=128k'] },
]

export const VOLUME_BYTES = PARTS.reduce((sum, { bytes }) => sum + bytes, 0)

/** One pass; rejects when an I/O failed or something read back is not what was written. */
export async function runPass(device: string, seed: number, signal: AbortSignal): Promise<void> {
  const words = [`--filename=${device}`, '--direct=1', '--ioengine=libaio', '--allow_file_create=0', '--minimal']
  let offset = 0
  for (const { name, bytes, words: ofPart } of PARTS) {
    words.push(`--name=${name}`, `--offset=${offset}`, `--size=${bytes}`, `--randseed=${seed}`, ...ofPart)
    offset += bytes
  }
  await runProgram('fio', words, signal)
}
