// Proves: an engine that follows another one has the settings that the first one had, whatever the configuration file and
// the name of the host have become; what is kept damaged counts as not kept.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { keepSettings, keptSettings } from '../../../../csi-driver/cli/kept-settings.ts'
import { readServe, type ServePlan } from '../../../../csi-driver/cli/serve-settings.ts'
import { systemFiles } from '../../../../csi-driver/io/real/small-files.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'forebay-kept-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const file = (name: string): string => path.join(directory, name)

function words(): string[] {
  writeFileSync(file('backing'), Buffer.alloc(4096))
  const paths = ['--backing', file('backing'), '--cache', file('cache'), '--state-dir', directory]
  return ['db1', ...paths, '--config', file('config.yaml')]
}

async function planned(kept: Parameters<typeof readServe>[2]): Promise<ServePlan> {
  const { plan, problems } = await readServe(words(), 'serve', kept)
  expect(problems).toEqual([])
  return plan as ServePlan
}

test('what the first engine read is read again, under the same name of the host', async () => {
  writeFileSync(file('config.yaml'), 'cacheSize: 512MiB\ndirtyAge: 7s\n')
  const first = { ...(await planned(null)), node: 'host-of-before' }
  await keepSettings(systemFiles, directory, first)
  writeFileSync(file('config.yaml'), 'cacheSize: 512MiB\ndirtyAge: 7 sekunden\n')
  const next = await planned(await keptSettings(systemFiles, directory))
  expect([next.settings, next.node, next.configText]).toEqual([first.settings, 'host-of-before', first.configText])
})

test('a name that was given is not that of the host', async () => {
  writeFileSync(file('config.yaml'), 'cacheSize: 512MiB\nnode: given\n')
  const { node } = await planned({ configText: 'cacheSize: 512MiB\nnode: given\n', node: 'host-of-before' })
  expect(node).toBe('given')
})

test.each(['', '{', '{}', '{"configText":1,"node":"a"}', '{"configText":"","node":null}', 'null'])(
  'damaged: %j',
  async (text) => {
    writeFileSync(file('settings.json'), text)
    expect(await keptSettings(systemFiles, directory)).toBeNull()
  },
)

test('nothing was kept', async () => {
  expect(await keptSettings(systemFiles, directory)).toBeNull()
})
