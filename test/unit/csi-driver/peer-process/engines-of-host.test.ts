// Proves rule S2 on this host, with real locks and control sockets: an older engine is asked to end and counts as gone
// only when it says so or its lock is free; silence, errors and a held lock never count as an end.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { SILENT_LOG } from '../../../../base/log.ts'
import type { IoError } from '../../../../base/errors.ts'
import { RealProcesses } from '../../../../csi-driver/io/real/exec.ts'
import { type FileLock, takeFileLock } from '../../../../csi-driver/io/real/file-lock.ts'
import { type ControlRequest, parseRequest } from '../../../../csi-driver/observe/control-protocol.ts'
import { LineServer } from '../../../../csi-driver/observe/control-server.ts'
import { controlSocketPath, stateRunDirectory } from '../../../../csi-driver/observe/state-paths.ts'
import { storeProof } from '../../../../csi-driver/observe/store-proof.ts'
import { EnginesOfHost } from '../../../../csi-driver/peer-process/engines-of-host.ts'

const UUID = 'ab'.repeat(16)
const KEY = Buffer.alloc(32, 5)
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-engines-'))
const volume = 'vol'
const processes = new RealProcesses()
const locks: FileLock[] = []
const servers: LineServer<ControlRequest>[] = []

beforeAll(() => fs.mkdirSync(stateRunDirectory(directory), { recursive: true }))
afterEach(async () => {
  for (const lock of locks.splice(0)) await lock.release()
  for (const server of servers.splice(0)) await server.close()
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

const lockFileOf = (name: string): string => path.join(directory, `${name}.lock`)

function endOlder(limitMs = 500, name = volume): Promise<IoError | null> {
  const engines = new EnginesOfHost({ processes, stateDirectory: directory, log: SILENT_LOG, limitMs, lockFileOf })
  return new Promise((resolve) => engines.endOlder({ volume: name, volumeUuid: UUID, volumeKey: KEY }, 7, resolve))
}

async function hold(): Promise<void> {
  const lock = await takeFileLock(processes, lockFileOf(volume), true)
  if (typeof lock === 'string') throw new Error(lock)
  locks.push(lock)
}

const asked: ControlRequest[] = []
async function engine(answer: () => unknown): Promise<void> {
  const server = new LineServer({
    path: controlSocketPath(directory, volume),
    log: SILENT_LOG,
    parse: parseRequest,
    answer: (request) => {
      asked.push(request)
      return answer()
    },
  })
  servers.push(server)
  await server.listen()
}

test('nobody was ever here, or the lock is free', async () => {
  expect(await endOlder(500, `${volume}-never`)).toBeNull()
  expect(await endOlder(500, '../no-volume-name')).toBeNull()
  await hold()
  await locks.pop()?.release()
  expect(await endOlder()).toBeNull()
})

test('the lock is held and nobody answers: it may live', async () => {
  await hold()
  expect(await endOlder()).toMatchObject({ code: 'EBUSY' })
})

test('the lock becomes free while we look', async () => {
  await hold()
  const ending = endOlder(5000)
  setTimeout(() => void locks.pop()?.release(), 300)
  expect(await ending).toBeNull()
})

test('an engine that says it has ended, or is not older', async () => {
  await hold()
  let says = 'ended'
  await engine(() => ({ engine: says }))
  expect(await endOlder()).toBeNull()
  expect(asked.at(-1)).toMatchObject({
    ...{ method: 'end-older', volumeUuid: UUID, epoch: 7 },
    proof: storeProof(KEY, UUID, 7),
  })
  says = 'not-older'
  expect(await endOlder()).toBeNull()
  says = 'other'
  expect(await endOlder()).toBeNull()
})

test('an engine that says anything else, fails, or is of a version that does not know the question', async () => {
  await hold()
  let answer: () => unknown = () => ({ engine: 'busy' })
  await engine(() => answer())
  expect(await endOlder()).toMatchObject({ code: 'EBUSY' })
  answer = () => {
    throw new Error('no')
  }
  expect(await endOlder()).toMatchObject({ code: 'EBUSY', message: expect.stringContaining('no') as string })
  answer = () => 'ended'
  expect(await endOlder()).toMatchObject({ code: 'EBUSY' })
})
