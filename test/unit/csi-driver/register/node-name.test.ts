// Proves, with the real shell: the first host that comes with a name has it, and has it again after every boot; another one
// is refused with what to do; nothing of a host that died half-way, and no register that cannot be used, gives the name away.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { RealProcesses } from '../../../../csi-driver/io/real/exec.ts'
import { listVolumes } from '../../../../csi-driver/register/file-register.ts'
import { NodeName } from '../../../../csi-driver/register/node-name.ts'
import { registerPathsIn } from '../../../../csi-driver/register/register-paths.ts'

const HOST_A = 'a'.repeat(32)
const HOST_B = 'b'.repeat(32)
const processes = new RealProcesses()
let directory: string

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'forebay-names-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const nameOf = (node: string, hostId: string): NodeName =>
  new NodeName(processes, registerPathsIn(`${directory}/register`), { node, hostId })
const take = (node: string, hostId: string): Promise<void> => nameOf(node, hostId).take()
const names = (): string[] => readdirSync(`${directory}/register/.hosts`)

test('a name belongs to the first host that comes with it', async () => {
  await nameOf('db', HOST_A).look()
  expect(readdirSync(directory)).toEqual([])
  await take('db', HOST_A)
  await take('db', HOST_A)
  await nameOf('db', HOST_A).look()
  await nameOf('d', HOST_B).look()
  await expect(nameOf('db', HOST_B).look()).rejects.toMatchObject({ code: 'CACHE_NODE_NAME_TAKEN' })
  const refused: unknown = await take('db', HOST_B).catch((error: unknown) => error)
  expect(refused).toMatchObject({ kind: 'invalid', code: 'CACHE_NODE_NAME_TAKEN' })
  expect(String(refused)).toContain('node=db')
  expect(String(refused)).not.toContain(HOST_A)
  await take('x'.repeat(253), HOST_B)
  expect(names()).toEqual(['db', 'x'.repeat(253)])
  expect(await listVolumes(processes, registerPathsIn(`${directory}/register`))).toEqual([])
})

test('of two at the same moment one gets it', async () => {
  const found = await Promise.allSettled([HOST_A, HOST_B].map((host) => take('db', host)))
  expect(found.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
})

test('what a host that died left behind is no name', async () => {
  mkdirSync(`${directory}/register/.hosts`, { recursive: true })
  writeFileSync(`${directory}/register/.hosts/.next.${HOST_B}.1`, '')
  await take('db', HOST_A)
  await expect(take('db', HOST_B)).rejects.toMatchObject({ code: 'CACHE_NODE_NAME_TAKEN' })
})

test('a register that cannot be used refuses', async () => {
  writeFileSync(`${directory}/register`, 'a file')
  const unavailable = { kind: 'retry', code: 'CACHE_REGISTER_UNAVAILABLE' }
  await expect(take('db', HOST_A)).rejects.toMatchObject(unavailable)
  await expect(nameOf('db', HOST_A).look()).rejects.toMatchObject(unavailable)
})
