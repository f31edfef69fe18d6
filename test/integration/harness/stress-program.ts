// One of many processes that work a directory tree over, without regard for the others: files made, written, appended
// to, cut, linked, renamed over each other and removed, directories made and moved, some of it synced. What it does
// fails often, because others are faster; only errors of the device count (EIO, ENOSPC is for the caller to avoid).
//
//   node stress-program.ts DIRECTORY MS SEED     prints {"operations":…,"deviceErrors":…}
import fs from 'node:fs'
import path from 'node:path'
import { createPrng } from '../../../base/prng.ts'

const NAMES = 60
const [root = '', ms = '0', seed = '1'] = process.argv.slice(2)
const prng = createPrng(Number(seed))
const DEVICE_ERRORS = new Set(['EIO', 'EROFS', 'EUCLEAN', 'ESHUTDOWN'])
let operations = 0
let deviceErrors = 0

const directory = (): string => path.join(root, `d${prng.below(6)}`)
const name = (): string => path.join(directory(), `f${prng.below(NAMES)}`)
const data = (): Buffer => Buffer.alloc(1 + prng.below(48 * 1024), prng.below(256))

function writeSynced(): void {
  const fd = fs.openSync(name(), 'a')
  try {
    fs.writeSync(fd, data())
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

const ACTIONS: readonly (() => unknown)[] = [
  () => fs.mkdirSync(directory()),
  () => fs.writeFileSync(name(), data()),
  () => fs.writeFileSync(name(), data()),
  () => fs.appendFileSync(name(), data()),
  () => fs.truncateSync(name(), prng.below(64 * 1024)),
  () => fs.renameSync(name(), name()),
  () => fs.linkSync(name(), name()),
  () => fs.symlinkSync('f1', name()),
  () => fs.unlinkSync(name()),
  () => fs.unlinkSync(name()),
  () => fs.readFileSync(name()),
  () => fs.readdirSync(directory()),
  () => fs.renameSync(directory(), path.join(root, `d${prng.below(6)}`)),
  writeSynced,
]

const endMs = performance.now() + Number(ms)
while (performance.now() < endMs) {
  try {
    prng.pick(ACTIONS)()
    operations++
  } catch (error) {
    if (DEVICE_ERRORS.has((error as NodeJS.ErrnoException).code ?? '')) deviceErrors++
  }
}
process.stdout.write(`${JSON.stringify({ operations, deviceErrors })}\n`)
