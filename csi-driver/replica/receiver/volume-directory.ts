// The volumes of a receiver: those of the store, and those that a first HELLO is about to make. Here a HELLO finds its
// volume and shows that it has the key; an unknown volume is entered only after that.
import type { HelloFacts } from '../../protocol/store-rows.ts'
import type { Hello } from '../wire/messages.ts'
import { proofMatches } from '../wire/volume-proof.ts'
import type { EngineLink, Refusal } from './engine-link.ts'
import type { VolumeHost } from './volume-host.ts'
import { VolumeReplica } from './volume-replica.ts'

/** A HELLO at its volume, which may not exist yet. */
export interface Meeting {
  readonly replica: VolumeReplica
  readonly proof: HelloFacts['proof']
  /** Is there room for one more volume? */
  readonly room: boolean
}

export class VolumeDirectory {
  private readonly host: VolumeHost
  private readonly volumesMax: number
  private readonly byUuid = new Map<string, VolumeReplica>()

  constructor(host: VolumeHost, volumesMax: number) {
    this.host = host
    this.volumesMax = volumesMax
    for (const held of host.store.volumes()) {
      const { volume, volumeUuid, volumeKey } = held
      this.byUuid.set(volumeUuid, new VolumeReplica(host, { volume, volumeUuid, volumeKey }, held))
    }
  }

  get all(): VolumeReplica[] {
    return [...this.byUuid.values()]
  }

  find(volumeUuid: string): VolumeReplica | null {
    const replica = this.byUuid.get(volumeUuid)
    if (replica === undefined) return null
    if (replica.isStored || replica.connected || !replica.isIdle) return replica
    // It could not be made; another HELLO may try again, with its own key.
    this.byUuid.delete(volumeUuid)
    return null
  }

  /** Where a HELLO belongs and whether it may say so, or why it has no place. Changes nothing. */
  meet({ volume, volumeUuid, volumeKey, proof }: Hello, exporter: Buffer): Meeting | Refusal {
    const known = this.find(volumeUuid)
    if (known !== null && known.identity.volume !== volume) {
      return { code: 'bad-message', message: `the volume has another name here uuid=${volumeUuid}` }
    }
    const key = known?.identity.volumeKey ?? volumeKey
    const room = this.byUuid.size < this.volumesMax
    const identity = { volume, volumeUuid, volumeKey: key ?? NO_KEY }
    const replica = known ?? new VolumeReplica(this.host, identity, null)
    if (key === null) return { replica, proof: 'no-key', room }
    return { replica, proof: proofMatches(proof, key, exporter, volumeUuid) ? 'right' : 'wrong', room }
  }

  /** Hands a connection to its volume, which answers it; a new volume is kept if that goes well. */
  greet(link: EngineLink, { replica, proof, room }: Meeting): void {
    replica.greet(link, proof, room)
    if (!replica.connected && replica.isIdle) return
    this.byUuid.set(replica.identity.volumeUuid, replica)
  }

  /** Its log and all that the store knew of it are gone. */
  forget(replica: VolumeReplica): void {
    this.byUuid.delete(replica.identity.volumeUuid)
  }
}

const NO_KEY = Buffer.alloc(0)
