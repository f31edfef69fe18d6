// What `forebay serve` was started with and its words do not say: the text of the configuration file and the name of the
// host. Engines that follow the first one go on with these, whatever has become of both: a slip of the pen in the file, or
// another host name, must not take a running volume from its users, and a new setting begins with the next `serve`.
// One file in the run directory, which ends with the holder.
import type { SmallFiles } from '../io/files.ts'
import { RUN_SETTINGS } from '../holder/run-directory.ts'

export interface KeptSettings {
  /** Null: there is no `--config`. */
  readonly configText: string | null
  readonly node: string
}

export function keepSettings(
  files: SmallFiles,
  runDirectory: string,
  { configText, node }: KeptSettings,
): Promise<void> {
  return files.replace(`${runDirectory}/${RUN_SETTINGS}`, `${JSON.stringify({ configText, node })}\n`)
}

/** Null where an engine of a build that kept nothing was the first. */
export async function keptSettings(files: SmallFiles, runDirectory: string): Promise<KeptSettings | null> {
  const text = await files.read(`${runDirectory}/${RUN_SETTINGS}`)
  if (text === null) return null
  try {
    const { configText, node } = JSON.parse(text) as Partial<KeptSettings>
    const isText = configText === null || typeof configText === 'string'
    return isText && typeof node === 'string' ? { configText, node } : null
  } catch {
    return null
  }
}
