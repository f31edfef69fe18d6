// Proves: what is inspected is told apart by what stands in it: a cache, a replica store, a replica store whose superblock
// is damaged, neither of them. What the lines say is proven with the formats, in test/golden.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { STORE_SUPERBLOCK_POSITIONS } from '../../../../csi-driver/replica/store/store-superblock.ts'
import { runCommandLine } from '../../../../csi-driver/cli/main.ts'

const directory = mkdtempSync(join(tmpdir(), 'forebay-inspect-'))
afterAll(() => rmSync(directory, { recursive: true }))

async function inspect(bytes: Buffer): Promise<{ status: number; out: string; err: string }> {
  const path = join(directory, 'given')
  writeFileSync(path, bytes)
  const said = { out: '', err: '' }
  const status = await runCommandLine(['inspect', path], {
    out: (text) => (said.out += text),
    err: (text) => (said.err += text),
    interactive: false,
    interrupted: new AbortController().signal,
    holdInterrupts: () => {},
  })
  return { status, ...said }
}

const golden = (name: string): Buffer => gunzipSync(readFileSync(`test/golden/${name}.bin.gz`))

test('a replica store', async () => {
  const { status, out } = await inspect(golden('replica-store-v1'))
  expect(status).toBe(0)
  expect(out).toBe(readFileSync('test/golden/replica-store-v1.txt', 'utf8'))
})

test('a cache', async () => {
  const { status, out } = await inspect(golden('journal-v1'))
  expect(status).toBe(0)
  expect(out).toMatch(/^batch /m)
})

test('a replica store without a valid superblock', async () => {
  const bytes = golden('replica-store-v1')
  for (const position of STORE_SUPERBLOCK_POSITIONS) bytes[position + 64] = (bytes[position + 64] ?? 0) ^ 1
  const { status, err } = await inspect(bytes)
  expect([status, err]).toEqual([1, expect.stringContaining('without a valid superblock')])
})

test('neither', async () => {
  const { status, err } = await inspect(Buffer.alloc(1024 * 1024, 7))
  expect([status, err]).toEqual([2, expect.stringContaining('CACHE_NOT_OURS')])
})
