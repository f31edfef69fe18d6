// Proves that an engine holds in memory no machinery that its volume may have no use for. What a process has loaded stays
// resident, once for each volume.
//
// How: a process of its own imports what the engine's entry point imports, and lists the modules of Node and the packages
// that it then has.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT_ROOT } from '../../tidy/planted-tree.ts'

const LIST = `
  const { createRequire } = await import('node:module')
  for (const name of JSON.parse(process.argv[1])) await import(name)
  const packages = Object.keys(createRequire(process.cwd() + '/').cache)
  console.log(JSON.stringify([...process.moduleLoadList, ...packages]))`

function loadedBy(entry: string): readonly string[] {
  const text = readFileSync(join(PROJECT_ROOT, entry), 'utf8')
  const folder = join(PROJECT_ROOT, entry, '..')
  const imports = [...text.matchAll(/^import [^;]*? from '(?<from>\.[^']*)'$/gms)].map(({ groups }) =>
    join(folder, groups?.['from'] ?? ''),
  )
  const words = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', LIST, JSON.stringify(imports)]
  const { stdout, stderr } = spawnSync(process.execPath, words, {
    cwd: PROJECT_ROOT,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  })
  expect(stderr).toBe('')
  return JSON.parse(stdout) as readonly string[]
}

const WEB_CLIENTS = /internal\/deps\/undici|^NativeModule http2$/

test('an engine without copies and without a configuration file has neither TLS nor YAML nor web clients', () => {
  const loaded = loadedBy('csi-driver/main.ts')
  expect(loaded).toContain('NativeModule http')
  expect(loaded.some((name) => name.includes('/node_modules/winston/'))).toBe(true)
  expect(loaded.filter((name) => WEB_CLIENTS.test(name))).toEqual([])
  expect(loaded.filter((name) => name === 'NativeModule tls' || name.includes('/node_modules/yaml/'))).toEqual([])
})

test('a replica store has no web clients', () => {
  const loaded = loadedBy('csi-driver/peer-process/main.ts')
  expect(loaded).toContain('NativeModule tls')
  expect(loaded.filter((name) => WEB_CLIENTS.test(name))).toEqual([])
})
