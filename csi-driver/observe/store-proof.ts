// What a replica store shows an engine of its own node when it asks for its end: that whoever ordered the seal has the
// volume key. Who has a certificate may bring the store a volume with the name and the identifier of any other, and a key
// of his own; for that no engine ends.
//
//   proof = HMAC-SHA256(volume key, "forebay store to engine" ‖ volumeUuid ‖ epoch as decimal digits)
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Epoch } from '../../base/units.ts'

const STORE_TO_ENGINE = 'forebay store to engine'

/** 64 hexadecimal digits. `volumeUuid` has 32, so that no two inputs give the same text. */
export function storeProof(volumeKey: Buffer, volumeUuid: string, epoch: Epoch): string {
  return createHmac('sha256', volumeKey).update(`${STORE_TO_ENGINE}${volumeUuid}${epoch}`).digest('hex')
}

/** Takes the same time wherever it differs. */
export function isStoreProof(proof: string, volumeKey: Buffer, volumeUuid: string, epoch: Epoch): boolean {
  const [given, right] = [Buffer.from(proof), Buffer.from(storeProof(volumeKey, volumeUuid, epoch))]
  return given.length === right.length && timingSafeEqual(given, right)
}
