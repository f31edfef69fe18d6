// The ground of a test on the real kernel: a directory of its own, devices, mounts and volumes, and the certainty that
// all of it is gone afterwards, in reverse order, also after a failure. What could not be taken down is an error of the
// test: leftovers would spoil the next one.
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { SlowDisk, type SlowDiskRequest } from '../../../csi-driver/cli/demo/slow-disk.ts'

export const MIB = 1024 * 1024
export const GIB = 1024 * MIB
const TMPFS = 0x01021994

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

const run = promisify(execFile)

/** Runs a program to its end without blocking the event loop; never throws for its exit status. */
export async function tryCommand(program: string, args: readonly string[], timeoutMs = 300_000): Promise<Ran> {
  try {
    const { stdout, stderr } = await run(program, [...args], { timeout: timeoutMs, maxBuffer: 64 * MIB })
    return { status: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number | string; stdout?: string; stderr?: string }
    return { status: typeof code === 'number' ? code : 255, stdout, stderr: `${stderr}${stderr ? '' : String(error)}` }
  }
}

/** Runs a program that must succeed; returns what it printed. */
export async function command(program: string, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await tryCommand(program, args)
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr.trim()}${stdout}`)
  return stdout
}

/** Why this machine cannot run these tests; undefined when it can. */
export function obstacleOfHost(...programs: readonly string[]): string | undefined {
  if (process.getuid?.() !== 0) return 'not root'
  if (!existsSync('/dev/fuse')) return 'no /dev/fuse'
  if (!existsSync('/dev/loop-control')) return 'no /dev/loop-control'
  for (const program of programs) {
    const found = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some((directory) => existsSync(`${directory}/${program}`))
    if (!found) return `no ${program}`
  }
  return undefined
}

/** A directory on a disk: a flash cache is refused on a file system in memory. */
function diskDirectory(): string {
  const candidates = [process.env['FOREBAY_TEST_DIR'] ?? tmpdir(), tmpdir(), '/var/tmp', process.cwd()]
  return candidates.find((candidate) => statfsSync(candidate).type !== TMPFS) ?? tmpdir()
}

export class TestBed {
  readonly directory: string
  private readonly undoings: { readonly what: string; readonly undo: () => unknown }[] = []

  constructor(name: string) {
    this.directory = mkdtempSync(path.join(diskDirectory(), `forebay-${name}-`))
    this.later(`directory ${this.directory}`, () => rmSync(this.directory, { recursive: true, force: true }))
  }

  path(name: string): string {
    return path.join(this.directory, name)
  }

  /** `undo` runs at tear-down, before everything that was registered earlier. */
  later(what: string, undo: () => unknown): void {
    this.undoings.push({ what, undo })
  }

  async tearDown(): Promise<void> {
    const problems: string[] = []
    for (const { what, undo } of this.undoings.splice(0).toReversed()) {
      try {
        // oxlint-disable-next-line eslint/no-await-in-loop -- in reverse order
        await undo()
      } catch (error) {
        problems.push(`${what}: ${String(error)}`)
      }
    }
    if (problems.length > 0) throw new Error(`left behind:\n${problems.join('\n')}`)
  }

  /** A slow disk; with `latencyMs: 0` a disk that is fast but fails on command. */
  async slowDisk(request: SlowDiskRequest): Promise<SlowDisk> {
    const disk = await SlowDisk.create(request)
    this.later(`slow disk ${disk.device}`, () => disk.destroy())
    return disk
  }

  /** A sparse file in the directory of the test. */
  image(name: string, sizeBytes: number): string {
    const file = this.path(name)
    writeFileSync(file, '')
    truncateSync(file, sizeBytes)
    return file
  }

  /** A file system in memory, for `--resource memory`. */
  memoryDirectory(sizeBytes: number): string {
    const directory = this.path('memory')
    mkdirSync(directory, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'forebay-test', directory])
    this.later(`tmpfs ${directory}`, () => command('umount', directory))
    return directory
  }

  /** Mounts a device; `unmount` may be called before the tear-down does. */
  async mount(device: string, ...options: readonly string[]): Promise<Mounted> {
    const mountPoint = mkdtempSync(this.path('mount-'))
    await command('mount', ...options, device, mountPoint)
    let mounted = true
    const unmount = async (): Promise<void> => {
      if (!mounted) return
      await command('umount', mountPoint)
      mounted = false
    }
    this.later(`mount ${mountPoint}`, async () => {
      if (!mounted) return
      const { status } = await tryCommand('umount', [mountPoint])
      if (status !== 0) await command('umount', '-l', mountPoint)
    })
    return { path: mountPoint, unmount }
  }
}

export interface Mounted {
  readonly path: string
  readonly unmount: () => Promise<void>
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Waits until `condition` holds; the limit only ends a test that would hang. */
export async function until(what: string, condition: () => unknown, limitMs = 120_000): Promise<void> {
  const deadline = performance.now() + limitMs
  for (;;) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
    if ((await condition()) === true) return
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms in vain: ${what}`)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
    await pause(20)
  }
}
