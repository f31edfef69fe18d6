// The volumes of a receiver: those of the store, and those whose engine is connected and has not yet ordered LEARN, which
// puts them there. Here a HELLO finds its volume and shows that it has the key; an unknown volume is entered only after
// that, and goes again with its connection.
import type { HelloFacts } from '../../protocol/store-rows.ts'
import type { Hello } from '../wire/messages.ts'
import { proofMatches } from '../wire/volume-proof.ts'
import type { EngineLink, Refusal } from './engine-link.ts'
import type { ReceiverLimits } from './limits.ts'
import type { VolumeHost } from './volume-host.ts'
import { VolumeReplica } from './volume-replica.ts'

/** A HELLO at its volume, which may not exist yet. */
export interface Meeting {
  readonly replica: VolumeReplica
  readonly proof: HelloFacts['proof']
  readonly room: HelloFacts['room']
}

type VolumeLimits = Pick<ReceiverLimits, 'volumesMax' | 'volumesPerNodeMax'>

export class VolumeDirectory {
  private readonly host: VolumeHost
  private readonly limits: VolumeLimits
  private readonly byUuid = new Map<string, VolumeReplica>()

  constructor(host: VolumeHost, limits: VolumeLimits) {
    this.host = host
    this.limits = limits
    for (const held of host.store.volumes()) {
      const { volume, volumeUuid, volumeKey, createdBy } = held
      this.byUuid.set(volumeUuid, new VolumeReplica(host, { volume, volumeUuid, volumeKey, createdBy }, held))
    }
  }

  get all(): VolumeReplica[] {
    return [...this.byUuid.values()]
  }

  find(volumeUuid: string): VolumeReplica | null {
    const replica = this.byUuid.get(volumeUuid)
    if (replica !== undefined) this.release(replica)
    return this.byUuid.get(volumeUuid) ?? null
  }

  /** Forgets a volume that is not in the store once nobody is connected: another HELLO may come with its own key. */
  release(replica: VolumeReplica): void {
    const { volumeUuid } = replica.identity
    if (replica.isStored || replica.connected || !replica.isIdle) return
    if (this.byUuid.get(volumeUuid) === replica) this.byUuid.delete(volumeUuid)
  }

  /** Where a HELLO belongs and whether it may say so, or why it has no place. Changes nothing. */
  meet({ volume, volumeUuid, volumeKey, proof, node }: Hello, exporter: Buffer): Meeting | Refusal {
    const known = this.find(volumeUuid)
    if (known !== null && known.identity.volume !== volume) {
      return { code: 'bad-message', message: `the volume has another name here uuid=${volumeUuid}` }
    }
    const key = known?.identity.volumeKey ?? volumeKey
    const room = known === null ? this.roomFor(node) : 'there'
    const identity = { volume, volumeUuid, volumeKey: key ?? NO_KEY, createdBy: node }
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

  private roomFor(node: string): HelloFacts['room'] {
    const { volumesMax, volumesPerNodeMax } = this.limits
    if (this.byUuid.size >= volumesMax) return 'none'
    const ofNode = this.all.filter(({ identity }) => identity.createdBy === node)
    return ofNode.length < volumesPerNodeMax ? 'there' : 'none-for-node'
  }

  /** Its log and all that the store knew of it are gone. */
  forget(replica: VolumeReplica): void {
    this.byUuid.delete(replica.identity.volumeUuid)
  }
}

const NO_KEY = Buffer.alloc(0)
