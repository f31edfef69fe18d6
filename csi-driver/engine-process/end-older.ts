// Is this engine meant when a store of its node asks for the end of older ones (rule S2)? Names of volumes are unique in
// one register only: a store also keeps copies of other volumes that are called like the one that is served here.
import type { Epoch } from '../../base/units.ts'
import type { EndOlder } from '../observe/control-protocol.ts'

export interface ServedHere {
  readonly volumeUuid: string
  readonly epoch: Epoch
}

export function whoIsMeant(
  served: ServedHere,
  asked: Pick<EndOlder, 'volumeUuid' | 'epoch'>,
): 'this' | 'other' | 'not-older' {
  if (asked.volumeUuid !== served.volumeUuid) return 'other'
  return served.epoch < asked.epoch ? 'this' : 'not-older'
}
