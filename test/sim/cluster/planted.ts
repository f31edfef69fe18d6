// Bugs of replication planted on purpose, each a small edit of a copy of the product's sources: the simulator of a
// cluster must find every one of them, by a checker that stands for the promise it breaks. They are mistakes of
// implementation; that every rule of the protocol is needed is shown by the explorer. See ../planted.ts.
import type { PlantedEdit } from '../planted.ts'
import type { ClusterIncident } from './incident-names.ts'

export interface PlantedClusterBug {
  readonly name: string
  readonly why: string
  readonly edits: readonly PlantedEdit[]
  /** Any of these checkers may be the first to notice. */
  readonly checkers: readonly string[]
  /** Incidents that the runs are made of; none: as drawn. */
  readonly incidents: readonly ClusterIncident[]
}

const ENGINE = 'csi-driver/engine'
const RECEIVER = 'csi-driver/replica/receiver'
const REPLICATOR = 'csi-driver/replica/replicator'
const STORE = 'csi-driver/replica/store'

export const PLANTED_CLUSTER_BUGS: readonly PlantedClusterBug[] = [
  {
    name: 'peer-acknowledges-before-its-write',
    why: 'a replica store answers APPENDED when the write begins, not when it has ended',
    edits: [
      {
        file: `${RECEIVER}/volume-replica.ts`,
        find: '      const begunMs = this.host.clock.monotonicMs()\n',
        replace:
          "      const begunMs = this.host.clock.monotonicMs()\n      link.send({ type: 'APPENDED', batchSeq })\n",
      },
    ],
    checkers: ['strong-invariant'],
    incidents: [],
  },
  {
    name: 'owner-acknowledges-after-its-own-write',
    why: 'a batch counts as written when the first of own log and peers has it',
    edits: [{ file: `${ENGINE}/log-copies.ts`, find: '    this.pending = 2\n', replace: '    this.pending = 1\n' }],
    checkers: ['strong-invariant', 'crash'],
    incidents: [],
  },
  {
    name: 'answers-of-another-life-count',
    why: 'a store that has lost its content and come back counts as the member that it was',
    edits: [
      {
        file: `${REPLICATOR}/member-table.ts`,
        find: "store: sameMember(listed, store) ? 'listed' : 'other',",
        replace: "store: listed.node === store.node ? 'listed' : 'other',",
      },
      {
        file: `${REPLICATOR}/member-table.ts`,
        find: "when: { store: ['listed'], log: ['none'] }, then: 'lost-content' }",
        replace: "when: { store: ['listed'], log: ['none'] }, then: 'holds-flight' }",
      },
      {
        file: `${REPLICATOR}/member.ts`,
        find: 'const counts = !this.hasLost && store !== null && sameMember(store, this.member)',
        replace:
          'const counts = !this.hasLost && store !== null && store.node === this.member.node && sameMember !== null',
      },
    ],
    checkers: ['ack', 'strong-invariant'],
    incidents: ['store-loss', 'peer-host-crash'],
  },
  {
    name: 'learner-joins-a-batch-too-early',
    why: 'a learner counts as whole when it lacks one batch',
    edits: [
      {
        file: `${REPLICATOR}/learner.ts`,
        find: "this.step === 'streaming' && !flight.active && this.ackedSeq === appendedSeq",
        replace: "this.step === 'streaming' && !flight.active && this.ackedSeq >= appendedSeq - 1",
      },
    ],
    checkers: ['strong-invariant', 'liveness'],
    incidents: ['peer-crash', 'peer-host-crash', 'store-loss'],
  },
  {
    name: 'lease-is-not-looked-at',
    why: 'reads and acknowledgements go on after the leases of the members have run out',
    edits: [
      {
        file: `${ENGINE}/log-copies.ts`,
        find: 'return this.peers === null || this.peers.leaseValid()',
        replace: 'return this.peers === null || this.peers.leaseValid() || this.peers !== null',
      },
    ],
    checkers: ['durability', 'order', 'committed-reads', 'one-writer'],
    incidents: ['owner-isolated', 'owner-pause'],
  },
  {
    name: 'lease-counts-from-the-answer',
    why: 'a lease is counted from when the answer came, and begins anew with each connection',
    edits: [
      {
        file: `${REPLICATOR}/peer-link.ts`,
        find: '    if (!this.lease.answered(number)) return\n',
        replace:
          '    if (!this.lease.answered(number)) return\n    this.lease.untilMs = this.context.clock.monotonicMs() + 9_000\n',
      },
    ],
    checkers: ['durability', 'order', 'committed-reads', 'one-writer'],
    incidents: ['owner-isolated', 'cut-one-way', 'owner-pause'],
  },
  {
    name: 'seal-without-waiting',
    why: 'a store grants a seal although its lease still runs',
    edits: [
      {
        file: `${RECEIVER}/seal-order.ts`,
        find: "    } else if (then === 'persist-promise') this.persistPromise()\n",
        replace:
          "    } else if (then === 'wait') this.grant(label)\n    else if (then === 'persist-promise') this.persistPromise()\n",
      },
    ],
    checkers: ['durability', 'order', 'committed-reads', 'one-writer'],
    incidents: ['owner-isolated', 'owner-pause'],
  },
  {
    name: 'trim-answered-before-it-is-durable',
    why: 'a store answers TRIMMED when the slot is about to be written',
    edits: [
      {
        file: `${RECEIVER}/orders.ts`,
        find: "    else if (then === 'trim') held.trim(batchSeq, this.answering(answer))\n",
        replace:
          "    else if (then === 'trim') {\n      if (this.link.present) this.link.send(answer)\n      held.trim(batchSeq, (error) => this.volume.orderEnded(this.link, error))\n    }\n",
      },
    ],
    checkers: ['strong-invariant'],
    incidents: ['store-slow', 'policy-switch', 'store-slow', 'policy-switch'],
  },
  {
    name: 'trim-of-peers-not-waited-for',
    why: 'the log counts as empty when the own one is, whatever the copies still hold',
    edits: [
      {
        file: `${ENGINE}/log-copies.ts`,
        find: '      this.trimWaiting = null\n      done()\n',
        replace: '      this.trimWaiting = null\n',
      },
      {
        file: `${ENGINE}/log-copies.ts`,
        find: '    this.trimUnderWay = true\n    this.peers.trim',
        replace: '    this.trimUnderWay = batchSeq < 0\n    done()\n    this.peers.trim',
      },
    ],
    checkers: ['strong-invariant', 'crash'],
    incidents: ['policy-switch', 'cut-both-ways', 'slow-network', 'policy-switch'],
  },
  {
    name: 'promise-kept-in-memory-only',
    why: 'a store promises itself to a newer epoch without writing it down, and forgets it when it starts anew',
    edits: [
      {
        file: `${STORE}/slot-changes.ts`,
        find: '  const isSame = promise === slot.promise && epoch === slot.epoch && run === slot.run && log === slot.log\n',
        replace:
          '  if (log === slot.log) return slot\n  const isSame = promise === slot.promise && epoch === slot.epoch && run === slot.run && log === slot.log\n',
      },
      {
        file: `${RECEIVER}/volume-replica.ts`,
        find: '    if (promise !== link.epoch || epoch !== link.epoch || run !== link.run) {\n',
        replace: '    if (promise === -1 && (promise !== link.epoch || epoch !== link.epoch || run !== link.run)) {\n',
      },
    ],
    checkers: ['one-writer', 'durability', 'order', 'strong-invariant', 'committed-reads', 'crash', 'liveness'],
    incidents: ['takeover-disturbed'],
  },
  {
    name: 'promotion-keeps-the-tail',
    why: 'a log that gets its new name keeps the batches behind it that no new owner has seen',
    edits: [
      {
        file: `${STORE}/slot-changes.ts`,
        find: '  const named = { ...cutAt(log, begin, slot.generation), pending: null, lineage: withName(lineage, pending) }\n',
        replace: '  const named = { ...log, pending: null, lineage: withName(lineage, pending) }\n',
      },
    ],
    checkers: ['strong-invariant', 'liveness', 'crash'],
    incidents: ['owner-host-reboot'],
  },
  {
    name: 'promotion-before-the-register-knows',
    why: 'the new name is put in force on the members before the register has it',
    edits: [
      {
        file: `${ENGINE}/opening/volume-opening.ts`,
        find: '    await this.others.prepare(names, own.journal as Journal)\n',
        replace:
          '    await this.others.prepare(names, own.journal as Journal)\n    await this.others.promote(this.newLogUuid)\n',
      },
    ],
    checkers: ['strong-invariant'],
    incidents: ['takeover', 'takeover-crash', 'owner-host-crash'],
  },
  {
    name: 'removed-before-the-register-knows',
    why: 'a late member is no more waited for while the register still lists it, and nothing is frozen',
    edits: [
      {
        file: `${ENGINE}/replication/membership.ts`,
        find: '    core.frozen += 1\n    // From now on',
        replace:
          '    core.frozen += 0\n    this.replicator.waitFor((client.record?.members ?? []).filter((one) => !sameMember(one, member)))\n    // From now on',
      },
      {
        file: `${ENGINE}/replication/membership.ts`,
        find: '      core.frozen -= 1\n',
        replace: '      core.frozen -= 0\n',
      },
    ],
    checkers: ['strong-invariant', 'ack'],
    incidents: ['cut-both-ways', 'peer-pause', 'peer-host-crash'],
  },
  {
    name: 'fence-not-waited-for',
    why: 'the old owner counts as fenced when the fence has been asked, not when it has answered',
    edits: [
      {
        file: `${ENGINE}/opening/gathering.ts`,
        find: '    const evidence = await ports.fence.fence(settings.volume, entry)\n',
        replace:
          "    const asked = ports.fence.fence(settings.volume, entry)\n    asked.catch(() => undefined)\n    const evidence = 'cut' as Awaited<typeof asked>\n",
      },
    ],
    checkers: ['fencing', 'strong-invariant', 'durability', 'order', 'trim-order', 'one-writer'],
    incidents: ['backing-slow', 'takeover', 'owner-isolated'],
  },
  {
    name: 'body-buffer-given-back-too-early',
    why: 'the memory of a batch is free for the next one while the store still writes from it',
    edits: [
      {
        file: `${RECEIVER}/volume-replica.ts`,
        find: '      const begunMs = this.host.clock.monotonicMs()\n',
        replace:
          '      const begunMs = this.host.clock.monotonicMs()\n      this.host.bodies.give(order.body.buffer)\n      this.host.bodies.take(order.body.buffer.length)?.fill(0x77)\n',
      },
    ],
    checkers: ['buffers', 'strong-invariant', 'crash', 'liveness'],
    incidents: [],
  },
  {
    name: 'compressed-into-the-wrong-length',
    why: 'a payload that decompresses to fewer bytes than its header names is taken as it is',
    edits: [
      {
        file: `${REPLICATOR}/payloads.ts`,
        find: 'zstdCodec.decompress(payload, output) ? output.length : -1',
        replace: 'zstdCodec.decompress(payload, output.subarray(512)) ? output.length : -1',
      },
    ],
    checkers: ['strong-invariant', 'liveness'],
    incidents: ['takeover', 'owner-host-crash'],
  },
  {
    name: 'shorter-copy-not-brought-up',
    why: 'an engine that restarts serves with members that have not got what its own log holds',
    edits: [
      {
        file: `${ENGINE}/opening/other-copies.ts`,
        find: 'for (let batchSeq = log.lastBatchSeq + 1; batchSeq <= journal.lastBatchSeq; batchSeq += 1) {',
        replace: 'for (let batchSeq = log.lastBatchSeq + 2; batchSeq <= journal.lastBatchSeq; batchSeq += 1) {',
      },
    ],
    checkers: ['strong-invariant', 'liveness', 'committed-reads', 'durability', 'bounded'],
    incidents: ['slow-network', 'engine-crash-at-step'],
  },
]
