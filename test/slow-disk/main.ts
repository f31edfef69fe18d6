// A slow disk from the command line, for trying things by hand:
//
//   node test/slow-disk/main.ts create NAME [SIZE-IN-MIB] [LATENCY-MS]   prints the device; it lives until `destroy`
//   node test/slow-disk/main.ts tell NAME latency 20 | fail write,zero EIO | fail write ENOSPC | hang | heal | status
//   node test/slow-disk/main.ts destroy NAME
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { SLOW_DISK_SERVER } from '../../csi-driver/cli/demo/slow-disk.ts'

const DIRECTORY = '/run/forebay-slow-disk'
const MIB = 1024 * 1024

const [command, name, ...rest] = process.argv.slice(2)
const socket = `${DIRECTORY}/${name}.sock`

function create(): void {
  mkdirSync(DIRECTORY, { recursive: true })
  const options = { sizeBytes: Number(rest[0] ?? 1024) * MIB, latencyMs: Number(rest[1] ?? 2), socket }
  const child = spawn(process.execPath, [SLOW_DISK_SERVER, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  child.stdout.once('data', (text: Buffer) => {
    process.stdout.write(text)
    child.unref()
    child.stdout.destroy()
  })
}

function tell(line: string): void {
  const connection = connect(socket, () => connection.write(`${line}\n`))
  connection.on('data', (text: Buffer) => {
    process.stdout.write(text)
    connection.end()
  })
  connection.on('error', (error) => {
    process.stderr.write(`no slow disk ${name}: ${error.message}\n`)
    process.exitCode = 1
  })
}

if (command === 'create' && name !== undefined) create()
else if (command === 'tell' && name !== undefined) tell(rest.join(' '))
else if (command === 'destroy' && name !== undefined) tell('destroy')
else {
  process.stderr.write('usage: main.ts create NAME [MIB] [MS] | tell NAME COMMAND… | destroy NAME\n')
  process.exitCode = 2
}
