// A directory with an image file and room for caches, and `forebay` run in it as a user runs it: as a process, judged by
// exit status, output and what has changed. Volumes left running are stopped by force at the end.
import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { createHash } from 'node:crypto'

const FOREBAY = path.resolve('bin/forebay')
export const MIB = 1024 * 1024

export interface Ran {
  readonly status: number | string
  readonly out: string
  readonly err: string
}

export class Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ran>
  out = ''
  err = ''

  constructor(program: string, words: readonly string[]) {
    this.child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stdout?.on('data', (data) => (this.out += String(data)))
    this.child.stderr?.on('data', (data) => (this.err += String(data)))
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject)
      this.child.on('close', (code, signal) =>
        resolve({ status: code ?? String(signal), out: this.out, err: this.err }),
      )
    })
  }
}

export function run(program: string, ...words: string[]): Promise<Ran> {
  return new Running(program, words).ended
}

/** Like run, but must succeed; resolves with the trimmed output. */
export async function must(program: string, ...words: string[]): Promise<string> {
  const { status, out, err } = await run(program, ...words)
  if (status !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${status}: ${err}`)
  return out.trim()
}

/** The limit only turns a hang into a failure that says what never came. */
export async function until(what: () => string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1500; i++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`never came: ${what()}`)
}

let volumes = 0

export class CliHarness {
  /** On a disk: the caches of most tests are flash. */
  readonly directory = fs.mkdtempSync('/var/tmp/forebay-cli-')
  readonly volume = `cli-${process.pid}-${volumes++}`
  readonly backing = path.join(this.directory, 'backing.img')
  readonly cache = path.join(this.directory, 'cache')
  readonly state = path.join(this.directory, 'state')
  private readonly serving: Running[] = []
  private readonly undo: (() => Promise<unknown>)[] = []

  constructor(backingBytes = 64 * MIB) {
    fs.writeFileSync(this.backing, '')
    fs.truncateSync(this.backing, backingBytes)
  }

  path(name: string): string {
    return path.join(this.directory, name)
  }

  write(name: string, content: string | Buffer): string {
    fs.writeFileSync(this.path(name), content)
    return this.path(name)
  }

  /** Something to be undone at the end, the last first. */
  later(undo: () => Promise<unknown>): void {
    this.undo.push(undo)
  }

  forebay(...words: string[]): Promise<Ran> {
    return run(FOREBAY, ...words)
  }

  /** A command about the volume. */
  about(command: string, ...words: string[]): Promise<Ran> {
    return run(FOREBAY, command, this.volume, ...words, '--state-dir', this.state)
  }

  serveWords(...words: string[]): string[] {
    const given = (flag: string): boolean => words.includes(flag)
    return [
      'serve',
      this.volume,
      ...(given('--backing') ? [] : ['--backing', this.backing]),
      ...(given('--cache') ? [] : ['--cache', this.cache]),
      ...(given('--cache-size') || given('--no-size') ? [] : ['--cache-size', '32MiB']),
      ...(given('--state-dir') ? [] : ['--state-dir', this.state]),
      ...words.filter((word) => word !== '--no-size'),
    ]
  }

  start(...words: string[]): Running {
    const running = new Running(FOREBAY, this.serveWords(...words))
    this.serving.push(running)
    return running
  }

  /** Serves and waits for the ready line. */
  async serve(...words: string[]): Promise<Running> {
    const running = this.start(...words)
    let ended = false
    void running.ended.then(() => (ended = true))
    await until(
      () => `ready\n${running.err}`,
      () => ended || running.out.includes('\n'),
    )
    if (ended) throw new Error(`serve ended early: ${running.err}`)
    return running
  }

  /** A start that must be refused. */
  refused(...words: string[]): Promise<Ran> {
    return this.start(...words).ended
  }

  async status(): Promise<Record<string, unknown>> {
    const { out, err } = await this.about('status', '--output', 'json')
    if (out === '') throw new Error(err)
    return (JSON.parse(out) as Record<string, unknown>[])[0] as Record<string, unknown>
  }

  /** Names, sizes and contents of everything in the directory. */
  fingerprint(): string {
    const files = fs.readdirSync(this.directory, { recursive: true, withFileTypes: true })
    const parts = files.map((entry) => {
      const name = path.join(entry.parentPath, entry.name)
      return `${name} ${entry.isFile() ? createHash('sha1').update(fs.readFileSync(name)).digest('hex') : 'other'}`
    })
    return parts.toSorted().join('\n')
  }

  async dispose(): Promise<void> {
    for (const undo of this.undo.toReversed()) await undo()
    for (const { child, ended } of this.serving) {
      // Twice: stop at once, whoever has the device open.
      child.kill('SIGTERM')
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 300))])
      child.kill('SIGTERM')
      await ended
    }
    // What a test has killed and not served again.
    const runDirectory = `/run/forebay/volumes/${this.volume}`
    if (fs.existsSync(runDirectory)) await must(FOREBAY, 'cleanup', runDirectory)
    fs.rmSync(runDirectory, { recursive: true, force: true })
    fs.rmSync(this.directory, { recursive: true, force: true })
  }
}
