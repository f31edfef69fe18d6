// The configuration file: YAML 1.2 text in, a plain value or one problem out. What the keys mean is said by the schema
// in config.ts; this file only knows YAML. It never throws, whatever the text is.
import { parseDocument } from 'yaml'
import type { GivenFile, SettingProblem } from '../base/settings.ts'

/** A settings file has some twenty short lines; more is a mistake in the path. */
export const CONFIG_FILE_BYTES_MAX = 64 * 1024

/** `name` is what messages call the file. Aliases are refused: settings have no use for them. */
export function readConfigText(name: string, text: string): GivenFile | SettingProblem {
  if (Buffer.byteLength(text) > CONFIG_FILE_BYTES_MAX) {
    return { where: '--config', problem: `is too large for a settings file; at most 64KiB given=${name}` }
  }
  const problem = (reason: string): SettingProblem => ({
    where: '--config',
    problem: `is not valid YAML file=${name} reason=${reason}`,
  })
  try {
    // Numbers stay text: `0x10` and `1_000` mean nothing here, and the schema words what is allowed.
    const document = parseDocument(text, { schema: 'failsafe', logLevel: 'silent', uniqueKeys: true })
    const error = document.errors[0]
    if (error !== undefined) return problem(JSON.stringify(error.message.split('\n')[0]))
    return { name, content: document.toJS({ maxAliasCount: 0 }) as unknown }
  } catch (error) {
    return problem(JSON.stringify(String(error)))
  }
}
