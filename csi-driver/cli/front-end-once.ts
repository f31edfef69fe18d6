// The front end's check, made once per boot, kernel and version: neither of them changes while a host runs, and a
// volume that is started again after a failure should not wait for it.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { CacheError } from '../../base/errors.ts'
import type { SettingProblem } from '../../base/settings.ts'
import { RUNTIME_DIRECTORY } from '../holder/run-directory.ts'
import { commandHost } from './loop-host.ts'
import { productVersion } from './product.ts'
import type { Terminal } from './terminal.ts'

const MARK = path.join(RUNTIME_DIRECTORY, 'front-end-checked')

export async function checkFrontEndOnce(terminal: Terminal): Promise<SettingProblem[]> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  const wanted = `${bootId} ${os.release()} ${productVersion()}\n`
  if ((await readFile(MARK, 'utf8').catch(() => '')) === wanted) return []
  // Loaded only when needed: it brings the whole front end.
  const { checkFrontEnd } = await import('./front-end-check.ts')
  try {
    const problems = await checkFrontEnd(commandHost(terminal))
    if (problems.length > 0)
      return problems.map((problem) => ({ where: 'kernel', problem: `would lose data: ${problem}` }))
  } catch (error) {
    const reason = error instanceof CacheError ? `${error.message} ${error.remedy ?? ''}`.trim() : String(error)
    return [{ where: 'kernel', problem: `cannot make a device: ${reason}` }]
  }
  await mkdir(RUNTIME_DIRECTORY, { recursive: true })
  await writeFile(MARK, wanted)
  return []
}
