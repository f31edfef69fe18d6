// What authorises an engine at a store: HELLO proves that its sender has the volume key, on this very connection.
//
//   proof = HMAC-SHA256(volume key, exporter ‖ "forebay engine to store" ‖ volumeUuid)
//
// `exporter` is the value that both ends of the TLS connection derive and nobody else knows (RFC 8446 §7.5, io/
// peer-network.ts), so that a proof overheard or relayed is worthless elsewhere; the text says which direction is meant,
// so that it cannot be sent back. All three parts have a fixed length: no two inputs give the same bytes.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { assert } from '../../../base/assert.ts'
import { EXPORTER_BYTES } from '../../io/peer-network.ts'
import { PROOF_BYTES, uuidBytes, VOLUME_KEY_BYTES } from './body-codec.ts'

export const ENGINE_TO_STORE = Buffer.from('forebay engine to store', 'latin1')

/** The proof for the connection that `exporter` belongs to. */
export function volumeProof(volumeKey: Buffer, exporter: Buffer, volumeUuid: string): Buffer {
  assert(volumeKey.length === VOLUME_KEY_BYTES, `length of a volume key bytes=${volumeKey.length}`)
  assert(exporter.length === EXPORTER_BYTES, `length of an exporter value bytes=${exporter.length}`)
  return createHmac('sha256', volumeKey).update(exporter).update(ENGINE_TO_STORE).update(uuidBytes(volumeUuid)).digest()
}

/** Whether `proof` is the one for these; takes the same time wherever it differs. Any proof may be given. */
export function proofMatches(proof: Buffer, volumeKey: Buffer, exporter: Buffer, volumeUuid: string): boolean {
  return proof.length === PROOF_BYTES && timingSafeEqual(proof, volumeProof(volumeKey, exporter, volumeUuid))
}
