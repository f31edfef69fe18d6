// What can go wrong with the shared directory of the registers, for one host at a time: it turns read-only, it fails, or
// it hangs. Each fault is a mount over the directory in the host's own namespace, so the others never notice.
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Host } from './host.ts'

export class RegisterFaults {
  private readonly directory: string
  /** Descriptors of FUSE connections that nobody answers, by host. */
  private readonly silent = new Map<string, number>()

  constructor(directory: string) {
    this.directory = directory
  }

  async readOnly({ namespaces }: Host): Promise<void> {
    await namespaces.run('mount', '--bind', this.directory, this.directory)
    await namespaces.run('mount', '-o', 'remount,bind,ro', this.directory)
  }

  /** Every call fails at once, as on a mount whose server has gone. */
  async fail(host: Host): Promise<void> {
    closeSync(await this.mountConnection(host))
  }

  /** No call returns until it is healed. */
  async hang(host: Host): Promise<void> {
    this.silent.set(host.name, await this.mountConnection(host))
  }

  async heal(host: Host): Promise<void> {
    const fd = this.silent.get(host.name)
    this.silent.delete(host.name)
    // Ends the calls that hang.
    if (fd !== undefined) closeSync(fd)
    await host.namespaces.run('umount', '-i', '-l', this.directory)
  }

  /** Descriptors of hosts that are gone. */
  end(): void {
    for (const fd of this.silent.values()) closeSync(fd)
    this.silent.clear()
  }

  private async mountConnection({ namespaces }: Host): Promise<number> {
    const fd = openSync('/dev/fuse', 'r+')
    const flags = 'fd=3,rootmode=40000,user_id=0,group_id=0'
    const [program = '', ...words] = namespaces.enter('mount', '-i', '-t', 'fuse', '-o', flags, 'fault', this.directory)
    const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'inherit', fd] })
    const status = await new Promise((resolve) => child.on('exit', resolve))
    if (status !== 0) throw new Error(`a fault could not be mounted over ${this.directory} status=${String(status)}`)
    return fd
  }
}
