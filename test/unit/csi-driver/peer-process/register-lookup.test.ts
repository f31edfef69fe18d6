// Proves that a register that cannot be read is unknown, and only one that was read and has nothing is nothing.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { MemoryEventLog } from '../../../../base/log.ts'
import { RealProcesses } from '../../../../csi-driver/io/real/exec.ts'
import { registerLookup } from '../../../../csi-driver/peer-process/register-lookup.ts'
import { generationName } from '../../../../csi-driver/register/register-paths.ts'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-lookup-'))
afterAll(() => fs.rmSync(directory, { recursive: true }))
const golden = path.resolve('test/golden/register-record-v1.json')

test('a record, none, a damaged one', async () => {
  const log = new MemoryEventLog()
  const lookup = registerLookup(directory, new RealProcesses(), log)
  const record = JSON.parse(fs.readFileSync(golden, 'utf8')) as { volume: string; rv: number }
  const file = path.join(directory, record.volume, `${record.volume}.${generationName(record.rv)}`)
  fs.mkdirSync(path.dirname(file))
  fs.copyFileSync(golden, file)
  expect(await lookup(record.volume)).toMatchObject({ volume: record.volume })
  expect(await lookup('none')).toBeNull()
  expect(await lookup('../escape')).toBe('unknown')
  fs.writeFileSync(file, 'rubbish')
  expect(await lookup(record.volume)).toBe('unknown')
  expect(log.named('peer.register.unreadable').length).toBe(1)
})
