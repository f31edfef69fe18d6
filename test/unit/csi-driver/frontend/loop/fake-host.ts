// A host in memory, as far as mounts and loop devices go: sysfs whose settings outlive a detach as the kernel's do,
// /proc with processes, and the tools mount, umount and losetup. Timers fire at once, so waiting costs nothing.
import type { Timers } from '../../../../../base/clock.ts'
import { IoError } from '../../../../../base/errors.ts'
import { MemoryEventLog } from '../../../../../base/log.ts'
import type { LoopHost } from '../../../../../csi-driver/frontend/loop/host.ts'
import type { SmallFiles } from '../../../../../csi-driver/io/files.ts'
import type { Processes, ProcessOptions, ProcessResult } from '../../../../../csi-driver/io/process.ts'

const FRESH_SETTINGS = {
  'queue/write_cache': 'write back',
  'queue/max_sectors_kb': '1280',
  'bdi/strict_limit': '0',
  'bdi/max_bytes': '4985188352',
  'bdi/max_ratio': '100',
}

interface Loop {
  openers: number
  autoclear: boolean
}

export class FakeHost implements LoopHost {
  readonly log = new MemoryEventLog()
  readonly texts = new Map<string, string>()
  readonly links = new Map<string, string>()
  readonly directories = new Set<string>()
  readonly commands: string[] = []
  readonly loops = new Map<string, Loop>()
  /** Answers of losetup --find before it succeeds. */
  readonly losetupRefusals: string[] = []
  /** Whether a loop device keeps direct I/O. */
  directIo = true
  /** Whether losetup --set-capacity finds the new size. */
  fileBytes = 1 << 20
  /** A setting that the kernel refuses. */
  refusedSetting = ''
  nextConnection = 40
  /** Called before each timer fires; a test moves the world here. */
  onTick: () => void = () => {}
  ticks = 0
  /** Called before each change of the host; throws when its caller is dead. */
  onChange: () => void = () => {}
  private mounts: { device: string; mountPoint: string; type: string; source: string }[] = []

  constructor(loopCount = 3) {
    for (let number = 0; number < loopCount; number++) {
      const name = `loop${number}`
      this.loops.set(name, { openers: 0, autoclear: false })
      for (const [path, value] of Object.entries(FRESH_SETTINGS)) this.texts.set(`/sys/block/${name}/${path}`, value)
      this.texts.set(`/sys/block/${name}/size`, '0')
      this.texts.set(`/sys/block/${name}/dev`, `7:${number}\n`)
    }
    this.writeMounts()
  }

  readonly timers: Timers = {
    after: (_delayMs, callback) => {
      setImmediate(() => {
        this.ticks++
        this.onTick()
        callback()
      })
      return { cancel() {} }
    },
    soon: (callback) => queueMicrotask(callback),
  }

  readonly files: SmallFiles = {
    read: async (path) => this.texts.get(path) ?? null,
    write: async (path, text) => {
      this.onChange()
      if (!this.texts.has(path)) throw new IoError('ENOENT', path)
      if (path.endsWith('/abort')) return this.removeUnder(path.slice(0, -'/abort'.length))
      if (path !== this.refusedSetting) this.texts.set(path, text)
    },
    replace: async (path, text) => {
      this.onChange()
      this.texts.set(path, text)
    },
    list: async (path) => this.listNow(path),
    readLink: async (path) => this.links.get(path) ?? null,
    replaceLink: async (path, target) => {
      this.onChange()
      this.links.set(path, target)
    },
    makeDirectory: async (path) => {
      this.onChange()
      this.directories.add(path)
    },
    remove: async (path) => {
      this.onChange()
      this.texts.delete(path)
      this.links.delete(path)
      this.directories.delete(path)
    },
  }

  readonly processes: Processes = {
    run: async (command, options) => {
      this.onChange()
      this.commands.push(command.join(' '))
      return this.execute(command, options ?? {})
    },
  }

  text(path: string): string | undefined {
    return this.texts.get(path)
  }

  settings(loop: string): Record<string, string | undefined> {
    return Object.fromEntries(
      Object.keys(FRESH_SETTINGS).map((path) => [path, this.text(`/sys/block/${loop}/${path}`)]),
    )
  }

  backing(loop: string): string | undefined {
    return this.text(`/sys/block/${loop}/loop/backing_file`)
  }

  /** Somebody attaches a file of theirs. */
  bind(loop: string, file: string): void {
    this.texts.set(`/sys/block/${loop}/loop/backing_file`, `${file}\n`)
    this.texts.set(`/sys/block/${loop}/loop/dio`, this.directIo ? '1\n' : '0\n')
  }

  open(loop: string): void {
    this.loop(loop).openers++
  }

  /** The last close of a device that is to go lets it go. */
  release(loop: string): void {
    const state = this.loop(loop)
    state.openers--
    if (state.openers === 0 && state.autoclear) this.unbind(loop)
  }

  addMount(mount: { device: string; mountPoint: string; type: string; source: string }): void {
    this.mounts.push(mount)
    this.writeMounts()
  }

  process(pid: number, command: string, fds: Readonly<Record<string, string>> = {}, namespace = 'mnt:[1]'): void {
    this.texts.set(`/proc/${pid}/comm`, `${command}\n`)
    this.links.set(`/proc/${pid}/ns/mnt`, namespace)
    for (const [fd, target] of Object.entries(fds)) this.links.set(`/proc/${pid}/fd/${fd}`, target)
    this.writeMounts()
  }

  private loop(name: string): Loop {
    const state = this.loops.get(name)
    if (state === undefined) throw new Error(`no such loop device ${name}`)
    return state
  }

  private unbind(name: string): void {
    this.loop(name).autoclear = false
    this.removeUnder(`/sys/block/${name}/loop`)
  }

  private removeUnder(directory: string): void {
    for (const path of this.texts.keys()) if (path.startsWith(`${directory}/`)) this.texts.delete(path)
  }

  private listNow(directory: string): string[] {
    const names = new Set<string>()
    for (const path of [...this.texts.keys(), ...this.links.keys()]) {
      if (path.startsWith(`${directory}/`)) names.add(path.slice(directory.length + 1).split('/')[0] ?? '')
    }
    return [...names]
  }

  private writeMounts(): void {
    const lines = this.mounts.map(
      ({ device, mountPoint, type, source }, index) =>
        `${index + 20} 1 ${device} / ${mountPoint.replaceAll(' ', '\\040')} rw shared:1 - ${type} ${source} rw`,
    )
    const pids = this.listNow('/proc').filter((name) => /^\d+$/.test(name))
    for (const pid of ['self', ...pids]) this.texts.set(`/proc/${pid}/mountinfo`, `${lines.join('\n')}\n`)
  }

  private execute(command: readonly string[], options: ProcessOptions): ProcessResult {
    const [program, ...words] = command
    if (program === 'mount') return this.mount(words, options)
    if (program === 'umount') {
      this.mounts = this.mounts.filter(({ mountPoint }) => mountPoint !== words.at(-1))
      this.writeMounts()
      return done()
    }
    if (program === 'losetup') return this.losetup(words)
    return failed(`${program}: command not found`, 127)
  }

  private mount(words: readonly string[], options: ProcessOptions): ProcessResult {
    const mountPoint = words.at(-1) ?? ''
    if (words.includes('fusectl')) {
      this.addMount({ device: '0:30', mountPoint, type: 'fusectl', source: 'fusectl' })
      return done()
    }
    if (options.passFds === undefined) return failed('mount: no descriptor')
    const connection = this.nextConnection++
    this.texts.set(`/sys/fs/fuse/connections/${connection}/waiting`, '0\n')
    this.texts.set(`/sys/fs/fuse/connections/${connection}/abort`, '')
    this.addMount({ device: `0:${connection}`, mountPoint, type: 'fuse', source: words.at(-2) ?? '' })
    return done()
  }

  private losetup(words: readonly string[]): ProcessResult {
    const device = words.at(-1) ?? ''
    const name = device.slice('/dev/'.length)
    if (words.includes('--set-capacity')) {
      this.texts.set(`/sys/block/${name}/size`, String(this.fileBytes / 512))
      return done()
    }
    if (words.includes('-d')) {
      if (this.backing(name) === undefined)
        return failed(`losetup: ${device}: detach failed: No such device or address`)
      if (this.loop(name).openers > 0) this.loop(name).autoclear = true
      else this.unbind(name)
      return done()
    }
    const refusal = this.losetupRefusals.shift()
    if (refusal !== undefined) return failed(refusal)
    const free = [...this.loops.keys()].find((loop) => this.backing(loop) === undefined)
    if (free === undefined) return failed('losetup: cannot find an unused loop device')
    this.bind(free, device)
    return { ...done(), stdout: `/dev/${free}\n` }
  }
}

function done(): ProcessResult {
  return { exitCode: 0, stdout: '', stderr: '' }
}

function failed(stderr: string, exitCode = 1): ProcessResult {
  return { exitCode, stdout: '', stderr: `${stderr}\n` }
}
