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
    checkers: ['strong-invariant'],
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
    checkers: ['strong-invariant'],
    incidents: ['slow-learner'],
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
    incidents: ['owner-outlived'],
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
    incidents: ['owner-outlived'],
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
    incidents: ['owner-outlived'],
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
    incidents: ['policy-switch'],
  },
  {
    name: 'trim-of-peers-not-waited-for',
    why: 'the log counts as empty when the own one is, whatever the copies still hold',
    edits: [
      {
        file: `${ENGINE}/log-copies.ts`,
        find: "    if (this.trimUnderWay) {\n      assert(this.trimWaiting === null, 'one trim waits at most')\n      this.trimWaiting = { batchSeq, done }\n",
        replace:
          '    done()\n    if (this.trimUnderWay) {\n      this.trimWaiting = { batchSeq, done: () => undefined }\n',
      },
      {
        file: `${ENGINE}/log-copies.ts`,
        find: '      this.trimWaiting = null\n      done()\n      if (next !== null) this.trim(',
        replace: '      this.trimWaiting = null\n      if (next !== null) this.trim(',
      },
      {
        file: `${ENGINE}/log-copies.ts`,
        find: '    return this.trimUnderWay\n',
        replace: '    return this.pending < 0\n',
      },
    ],
    checkers: ['strong-invariant'],
    incidents: ['policy-switch', 'cut-both-ways', 'slow-network', 'policy-switch'],
  },
  {
    name: 'promise-kept-in-memory-only',
    why: 'a store that starts anew knows nothing of the epochs that it has promised itself to',
    edits: [
      {
        file: `${STORE}/stored-volume.ts`,
        find: 'new SlotQueue(writer, found.slot, {',
        replace: 'new SlotQueue(writer, { ...found.slot, promise: 0, epoch: 0, run: 0 }, {',
      },
    ],
    checkers: ['one-writer', 'durability', 'order', 'strong-invariant', 'committed-reads'],
    incidents: ['copy-forgets'],
  },
  {
    name: 'tail-kept-by-the-new-log',
    why: 'a copy names the new log behind its own end, with batches that the new owner has not seen, and is not compared',
    edits: [
      {
        file: `${STORE}/slot-changes.ts`,
        find: '  return { ...log, pending }\n}',
        replace: '  return { ...log, pending: { logUuid, firstBatchSeq: live.index.next } }\n}',
      },
      {
        file: `${REPLICATOR}/member-table.ts`,
        find: "name: ['present'], end: ['other'] }, then: 'lost-content' }",
        replace: "name: ['present'], end: ['other'] }, then: 'in-sync' }",
      },
    ],
    checkers: ['strong-invariant'],
    incidents: ['tail-to-drop'],
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
        find: '        this.endTurn(link, order, error)\n      })\n      return\n',
        replace:
          '        this.endTurn(link, order, error)\n      })\n      this.host.bodies.give(order.body.buffer)\n      return\n',
      },
      {
        file: `${RECEIVER}/volume-replica.ts`,
        find: '    this.host.bodies.give(body.buffer)\n    this.orderEnded(link, error)\n',
        replace: '    this.orderEnded(link, error)\n',
      },
    ],
    checkers: ['buffers', 'crash'],
    incidents: ['store-slow', 'slow-learner'],
  },
  {
    name: 'compressed-without-its-end',
    why: 'a payload is compressed without its last sector',
    edits: [
      {
        file: `${REPLICATOR}/payloads.ts`,
        find: 'zstdCodec.compress(input, start, length, output)',
        replace: 'zstdCodec.compress(input, start, Math.max(0, length - 512), output)',
      },
    ],
    checkers: ['strong-invariant'],
    incidents: [],
  },
  {
    name: 'shorter-copy-not-brought-up',
    why: 'an engine that restarts serves with members that have not got the last batch of its own log, and compares none',
    edits: [
      {
        file: 'csi-driver/protocol/resume-table.ts',
        find: "return log.lastBatchSeq === own.lastBatchSeq ? 'equal' : 'shorter'",
        replace: "return log.lastBatchSeq >= own.lastBatchSeq - 1 ? 'equal' : 'shorter'",
      },
      {
        file: `${REPLICATOR}/member-table.ts`,
        find: "name: ['present'], end: ['other'] }, then: 'lost-content' }",
        replace: "name: ['present'], end: ['other'] }, then: 'in-sync' }",
      },
    ],
    checkers: ['strong-invariant'],
    incidents: ['copy-lags-behind'],
  },
]
