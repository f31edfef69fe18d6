// Proves the small-file port on a real directory: what is gone reads as nothing, replacing is whole, links are swapped,
// and errors carry their errno.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { systemFiles as files } from '../../../../../csi-driver/io/real/small-files.ts'

let directory: string
const at = (name: string): string => path.join(directory, name)
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-files-'))
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

test('what is not there', async () => {
  expect(await files.read(at('x'))).toBeNull()
  expect(await files.read(at('x/y'))).toBeNull()
  expect(await files.list(at('x'))).toEqual([])
  expect(await files.readLink(at('x'))).toBeNull()
  await files.remove(at('x'))
  await expect(files.write(at('x'), '1')).rejects.toMatchObject({ name: 'IoError', code: 'ENOENT' })
})

test('replace makes and exchanges a file, write changes one in place', async () => {
  await files.replace(at('state'), 'one')
  await files.replace(at('state'), 'two')
  expect(await files.read(at('state'))).toBe('two')
  await files.write(at('state'), 'six')
  expect(await files.read(at('state'))).toBe('six')
  expect(await files.list(directory)).toEqual(['state'])
  await expect(files.replace(at('none/state'), '')).rejects.toMatchObject({ code: 'ENOENT' })
})

test('many exchanges of one path at once take turns: none fails, none mixes with another, the last one stays', async () => {
  const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(1000))
  const seen = new Set<string | null>()
  await Promise.all(
    texts.map((text) => files.replace(at('state'), text).then(async () => seen.add(await files.read(at('state'))))),
  )
  expect([...seen].filter((text) => text === null || !texts.includes(text))).toEqual([])
  expect(await files.read(at('state'))).toBe(texts.at(-1))
  await Promise.all(texts.map((_, i) => files.replaceLink(at('link'), `/dev/loop${i}`)))
  expect(await files.readLink(at('link'))).toBe('/dev/loop19')
  await expect(files.replace(at('none/state'), '')).rejects.toMatchObject({ code: 'ENOENT' })
  await files.makeDirectory(at('none'))
  await files.replace(at('none/state'), 'one')
  expect(await files.read(at('none/state'))).toBe('one')
})

test('links', async () => {
  await files.replaceLink(at('link'), '/dev/loop0')
  await files.replaceLink(at('link'), '/dev/loop1')
  expect(await files.readLink(at('link'))).toBe('/dev/loop1')
  fs.writeFileSync(at('plain'), '')
  expect(await files.readLink(at('plain'))).toBeNull()
})

test('directories are made with their parents and removed when empty', async () => {
  await files.makeDirectory(at('a/b'))
  await files.makeDirectory(at('a/b'))
  await expect(files.remove(at('a'))).rejects.toMatchObject({ code: 'ENOTEMPTY' })
  await files.remove(at('a/b'))
  await files.remove(at('a'))
  expect(await files.list(directory)).toEqual([])
})
