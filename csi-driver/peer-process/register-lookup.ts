// What the register says of a volume, for giving up logs by rule 7: a reading that failed is 'unknown', never 'nothing'.
import type { EventLog } from '../../base/log.ts'
import type { Processes } from '../io/process.ts'
import { FileRegister } from '../register/file-register.ts'
import { type RegisterRecord, VOLUME_NAME_PATTERN } from '../register/record.ts'
import { registerPathsIn } from '../register/register-paths.ts'

export type RegisterLookup = (volume: string) => Promise<RegisterRecord | null | 'unknown'>

export function registerLookup(directory: string, processes: Processes, log: EventLog): RegisterLookup {
  return async (volume) => {
    if (!VOLUME_NAME_PATTERN.test(volume)) return 'unknown'
    try {
      return await new FileRegister({ processes, paths: registerPathsIn(directory), volume }).read()
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log.event('peer.register.unreadable', { volume, directory, reason }, 'warning')
      return 'unknown'
    }
  }
}
