// Is this engine meant when a store of its node asks for the end of older ones (rule S2)? Names of volumes are unique in
// one register only: a store also keeps copies of other volumes that are called like the one that is served here. And
// anybody with a certificate can bring it a volume with the same identifier, but not with the same key.
import type { Epoch } from '../../base/units.ts'
import type { EndOlder } from '../observe/control-protocol.ts'
import { isStoreProof } from '../observe/store-proof.ts'

export interface ServedHere {
  readonly volumeUuid: string
  readonly volumeKey: Buffer
  readonly epoch: Epoch
}

export function whoIsMeant(served: ServedHere, asked: EndOlder): 'this' | 'other' | 'not-older' {
  const { volumeUuid, volumeKey } = served
  if (asked.volumeUuid !== volumeUuid || !isStoreProof(asked.proof, volumeKey, volumeUuid, asked.epoch)) return 'other'
  return served.epoch < asked.epoch ? 'this' : 'not-older'
}
