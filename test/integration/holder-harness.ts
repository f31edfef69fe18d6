// Runs the real holder.sh with a fake Node: a shell script that plays `prepare`, `cleanup` and engines. What the Nth
// engine does is a shell fragment given by the test; everything that happens is appended to one log file.
import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const HOLDER = path.resolve('csi-driver/holder/holder.sh')

const FAKE_NODE = `#!/bin/sh
note() { printf '%s\\n' "$*" >>"$FAKE/log"; }
flags=
while [ "\${1#--}" != "$1" ]; do flags="$flags $1"; shift; done
case $1 in
*/csi-driver/cli/main.ts)
  case $2 in
  prepare) shift 2; note "prepare $*"; [ -r "$FAKE/plan" ] && cat "$FAKE/plan"; exit "$(cat "$FAKE/prepare-status")" ;;
  cleanup) note "cleanup $3 $(ls "$3" | tr '\\n' ' ')"; exit "$(cat "$FAKE/cleanup-status")" ;;
  esac ;;
*/csi-driver/main.ts)
  number=$(($(cat "$FAKE/engines") + 1)); echo "$number" >"$FAKE/engines"
  echo $$ >"$FAKE/engine-pid"
  note "engine $number $FOREBAY_START stops=$FOREBAY_STOPS"
  shift; note "arguments $*"; printf '%s' "$flags" >"$FAKE/flags"; printf '%s' "$MALLOC_ARENA_MAX" >"$FAKE/arenas"
  run=$FOREBAY_RUN_DIR
  if [ -r "$FAKE/life-$number" ]; then . "$FAKE/life-$number"; else . "$FAKE/life"; fi ;;
esac
`

/** An engine that is ready and serves until it is told to stop: TERM ends it with 0, INT with 3. */
export const SERVE = `
trap 'note TERM; exit 0' TERM
trap 'note INT; exit 3' INT
: >"$run/ready"; note ready
while :; do sleep 0.02; done
`

export class HolderHarness {
  readonly directory: string
  readonly runDirectory: string
  private readonly started: ChildProcess[] = []

  constructor() {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-holder-'))
    this.runDirectory = path.join(this.directory, 'run with space')
    this.write('node', FAKE_NODE)
    fs.chmodSync(path.join(this.directory, 'node'), 0o755)
    this.write('engines', '0\n')
    this.write('prepare-status', '0\n')
    this.write('cleanup-status', '0\n')
    this.write('log', '')
    this.plan({})
    this.life(SERVE)
  }

  write(name: string, text: string): void {
    fs.writeFileSync(path.join(this.directory, name), text)
  }

  plan(names: { volume?: string; cache?: string; backing?: string; frontend?: string; socket?: string }): void {
    const lock = (name: string): string => path.join(this.directory, 'locks', `${name}.lock`)
    const { volume = 'v1', cache = 'cache', backing = 'backing', frontend = 'fuse', socket } = names
    const socketLock = socket === undefined ? '' : lock(socket)
    const lines = [volume, this.runDirectory, lock(volume), lock(cache), lock(backing), frontend, socketLock]
    this.write('plan', `${lines.join('\n')}\n`)
  }

  /** What engine `number` does; without a number every engine that has no life of its own. */
  life(script: string, number?: number): void {
    this.write(number === undefined ? 'life' : `life-${number}`, script)
  }

  start(...words: string[]): Holder {
    const child = spawn(HOLDER, words, {
      env: { ...process.env, FAKE: this.directory, FOREBAY_NODE: path.join(this.directory, 'node') },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.started.push(child)
    return new Holder(child)
  }

  log(): string[] {
    return fs.readFileSync(path.join(this.directory, 'log'), 'utf8').split('\n').slice(0, -1)
  }

  count(line: RegExp): number {
    return this.log().filter((one) => line.test(one)).length
  }

  enginePid(): number {
    return Number(fs.readFileSync(path.join(this.directory, 'engine-pid'), 'utf8'))
  }

  /** Waits until `condition` holds. The limit only turns a hang into a failure with the log in it. */
  async until(what: string, condition: () => boolean): Promise<void> {
    for (let i = 0; i < 1500; i++) {
      if (condition()) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`never came: ${what}\n${this.log().join('\n')}`)
  }

  dispose(): void {
    for (const child of this.started) child.kill('SIGKILL')
    try {
      process.kill(this.enginePid(), 'SIGKILL')
    } catch {
      // It never started, or has ended.
    }
    fs.rmSync(this.directory, { recursive: true, force: true })
  }
}

export class Holder {
  readonly pid: number
  readonly exited: Promise<number | string>
  stderr = ''
  stdout = ''
  private readonly child: ChildProcess

  constructor(child: ChildProcess) {
    this.child = child
    this.pid = child.pid as number
    child.stdout?.on('data', (data) => (this.stdout += String(data)))
    child.stderr?.on('data', (data) => (this.stderr += String(data)))
    this.exited = new Promise((resolve) => {
      child.on('exit', (code, signal) => resolve(code ?? String(signal)))
    })
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }
}
