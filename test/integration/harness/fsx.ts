// One file against a model of it in memory: random writes, reads, truncations, holes, preallocations, syncs and
// reopens, through whatever file system the path lies on. The first difference ends it with the last operations.
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createPrng, type Prng } from '../../../base/prng.ts'
import { command } from './test-bed.ts'

const FILE_BYTES_MAX = 1024 * 1024
const HISTORY = 12

export class FileExerciser {
  private path: string
  private flags = constants.O_RDWR | constants.O_CREAT
  private readonly prng: Prng
  private model = Buffer.alloc(0)
  private file: FileHandle | null = null
  private readonly history: string[] = []

  constructor(path: string, seed: number) {
    this.path = path
    this.prng = createPrng(seed)
  }

  /** The same file under another path, after a remount. */
  moveTo(path: string, access: 'read-write' | 'read-only' = 'read-write'): void {
    this.path = path
    this.flags = access === 'read-only' ? constants.O_RDONLY : constants.O_RDWR | constants.O_CREAT
  }

  /** Runs `count` operations and compares the whole file at the end. The file is closed afterwards. */
  async run(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.step()
    await this.compareAll()
    await this.close()
  }

  /** Compares the whole file with the model, for example after a remount. */
  async compareAll(): Promise<void> {
    const file = await this.handle()
    const { size } = await file.stat()
    if (size !== this.model.length) this.differ(`size is ${size} instead of ${this.model.length}`)
    await this.readAt(0, this.model.length)
  }

  async close(): Promise<void> {
    await this.file?.close()
    this.file = null
  }

  private async step(): Promise<void> {
    const { prng, model } = this
    const position = prng.below(Math.max(1, prng.chance(0.9) ? model.length : FILE_BYTES_MAX / 2))
    const length = 1 + prng.below(prng.chance(0.5) ? 4096 : 65_536)
    const roll = prng.below(100)
    if (roll < 45) await this.writeAt(position, length)
    else if (roll < 80) await this.readAt(position, length)
    else if (roll < 86) await this.truncate(prng.below(Math.min(FILE_BYTES_MAX, model.length * 2 + 4096)))
    else if (roll < 89) await this.allocate('punch', position, length)
    else if (roll < 91) await this.allocate('zero', position, length)
    else if (roll < 93) await this.allocate('keep', position, length)
    else if (roll < 97) await this.sync()
    else await this.close()
  }

  private async handle(): Promise<FileHandle> {
    this.file ??= await open(this.path, this.flags)
    return this.file
  }

  private note(text: string): void {
    this.history.push(text)
    if (this.history.length > HISTORY) this.history.shift()
  }

  private differ(what: string): never {
    throw new Error(`${this.path}: ${what}; last operations: ${this.history.join(', ')}`)
  }

  private async writeAt(position: number, length: number): Promise<void> {
    this.note(`write ${position}+${length}`)
    const data = Buffer.alloc(length, this.prng.below(255) + 1)
    for (let i = 0; i < length; i += 512) data.writeUInt8(this.prng.below(256), i)
    this.extend(position + length)
    data.copy(this.model, position)
    const { bytesWritten } = await (await this.handle()).write(data, 0, length, position)
    if (bytesWritten !== length) this.differ(`wrote ${bytesWritten} of ${length}`)
  }

  private async readAt(position: number, length: number): Promise<void> {
    const expected = this.model.subarray(position, position + length)
    const found = Buffer.alloc(length)
    const { bytesRead } = await (await this.handle()).read(found, 0, length, position)
    if (bytesRead !== expected.length) this.differ(`read ${bytesRead} of ${expected.length} at ${position}`)
    const got = found.subarray(0, bytesRead)
    if (got.equals(expected)) return
    const at = got.findIndex((byte, i) => byte !== expected[i])
    this.differ(`differs at ${position + at}: ${got[at]} instead of ${expected[at]}`)
  }

  private async truncate(size: number): Promise<void> {
    this.note(`truncate ${size}`)
    await (await this.handle()).truncate(size)
    if (size <= this.model.length) this.model = Buffer.from(this.model.subarray(0, size))
    else this.extend(size)
  }

  private async allocate(how: 'punch' | 'zero' | 'keep', position: number, length: number): Promise<void> {
    this.note(`${how} ${position}+${length}`)
    const flags = { punch: ['--punch-hole'], zero: ['--zero-range'], keep: ['--keep-size'] }[how]
    await this.handle()
    await command('fallocate', ...flags, '-o', String(position), '-l', String(length), this.path)
    if (how === 'keep') return
    if (how === 'zero') this.extend(position + length)
    this.model.fill(0, position, Math.min(position + length, this.model.length))
  }

  private async sync(): Promise<void> {
    this.note('sync')
    await (await this.handle()).sync()
  }

  private extend(size: number): void {
    if (size > this.model.length) this.model = Buffer.concat([this.model, Buffer.alloc(size - this.model.length)])
  }
}
