// Bugs planted on purpose, each a small edit of a copy of the product's sources: the simulator must find every one of
// them, by a checker that stands for the promise it breaks (style.md rule 30). An edit's text must occur exactly once in
// its file, so that a change of the product that moves it is noticed here and not by a bug that is silently not planted.
import type { Incident } from './scenario.ts'

export interface PlantedEdit {
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface PlantedBug {
  readonly name: string
  readonly why: string
  readonly edits: readonly PlantedEdit[]
  /** Any of these checkers may be the first to notice. */
  readonly checkers: readonly string[]
  /** Incidents that the runs are made of; none: as drawn. */
  readonly incidents: readonly Incident[]
}

const ENGINE = 'csi-driver/engine'

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'ack-before-log-write',
    why: 'a write is answered when its batch is sent, not when it is durable',
    edits: [
      {
        file: `${ENGINE}/write-path.ts`,
        find: '    this.core.copies.append(\n',
        replace: '    this.acknowledge(commit)\n    this.core.copies.append(\n',
      },
    ],
    checkers: ['ack'],
    incidents: [],
  },
  {
    name: 'trim-before-flush',
    why: 'a generation settles and trims without the flush of the backing',
    edits: [
      {
        file: `${ENGINE}/generation.ts`,
        find: 'await once((done) => backing.flushSince(this.flushesSince, done))',
        replace: 'await Promise.resolve(this.flushesSince < 0 ? once((done) => backing.flushSince(0, done)) : null)',
      },
    ],
    checkers: ['trim', 'survivors', 'durability', 'clean', 'generation', 'opens'],
    incidents: ['power-cut', 'survivors'],
  },
  {
    name: 'failed-flush-forgotten',
    why: 'after a failed flush the next one is trusted, without writing again what the first may have dropped',
    edits: [
      {
        file: `${ENGINE}/generation.ts`,
        find: '    await this.rewrite(written)\n',
        replace: '    this.written = written.concat(this.written)\n',
      },
    ],
    checkers: ['trim', 'survivors', 'durability', 'clean', 'generation', 'opens'],
    incidents: ['flush-errors', 'power-cut', 'survivors'],
  },
  {
    name: 'wrap-gap-not-counted',
    why: 'the gap at the end of the ring is taken for free: the head runs over the tail',
    edits: [
      {
        file: 'csi-driver/journal/log-ring.ts',
        find: 'return fitsBeforeEnd ? frameBytes : frameBytes + this.end - this.headAt',
        replace: 'return fitsBeforeEnd ? frameBytes : frameBytes',
      },
    ],
    checkers: ['trim', 'survivors', 'durability', 'bounded', 'crash', 'no-silent-loss'],
    incidents: ['process-crash'],
  },
  {
    name: 'settle-forgets-newer',
    why: 'a settled generation removes what the index knows of the block, although it was written again meanwhile',
    edits: [
      {
        file: `${ENGINE}/index/extent-index.ts`,
        find: '    this.entries.removeFragment(position, base, orig)\n    return false',
        replace:
          '    this.removeRange((snapshot.block[i] as number) * 8, (snapshot.block[i] as number) * 8 + 8)\n    return base < 0 && orig < 0',
      },
    ],
    checkers: ['durability', 'order', 'clean', 'trim', 'generation'],
    incidents: [],
  },
  {
    name: 'fill-not-poisoned',
    why: 'a read-cache fill that ran beside a backing write is kept',
    edits: [
      {
        file: `${ENGINE}/cache-fill.ts`,
        find: '      if (fill !== undefined) fill.poisoned = true\n',
        replace: '      if (fill !== undefined) fill.poisoned = false\n',
      },
    ],
    checkers: ['durability', 'order', 'committed-reads'],
    incidents: ['switch-policy', 'idle'],
  },
  {
    name: 'read-ahead-not-poisoned',
    why: 'what was read ahead is served after the backing was written over it',
    edits: [
      {
        file: `${ENGINE}/read-ahead/read-ahead.ts`,
        find: 'if (piece.number >= first && piece.number <= last) this.drop(piece)\n',
        replace: 'if (piece.number >= first && piece.number < first) this.drop(piece)\n',
      },
    ],
    checkers: ['durability', 'order', 'committed-reads'],
    incidents: ['switch-policy', 'idle'],
  },
  {
    name: 'dedupe-ignores-session',
    why: 're-sent requests are recognised by their number alone, and fresh connections start with the same numbers',
    edits: [
      {
        file: `${ENGINE}/recovered-requests.ts`,
        find: 'if (this.session === 0n || view.session !== this.session) return',
        replace: 'if (this.session === 0n) return',
      },
    ],
    checkers: ['ack', 'durability', 'clean'],
    incidents: ['holder-crash-twice'],
  },
  {
    name: 'through-write-beside-record',
    why: 'a write goes past the log although the log holds an older record of its blocks, which is destaged over it',
    edits: [
      {
        file: `${ENGINE}/volume.ts`,
        find: '      core.index.hasDirty(firstBlock, lastBlock) ||\n',
        replace: '      (firstBlock < 0 && core.index.hasDirty(firstBlock, lastBlock)) ||\n',
      },
      {
        file: `${ENGINE}/volume.ts`,
        find: '      this.destager.overlaps(start, end) ||\n',
        replace: '',
      },
    ],
    checkers: ['ack', 'durability', 'order', 'clean', 'committed-reads'],
    incidents: ['switch-policy'],
  },
  {
    name: 'read-before-commit',
    why: 'records enter the index when their batch is sent: a read returns what a crash can take back',
    edits: [
      {
        file: `${ENGINE}/write-path.ts`,
        find: '      commit.done,\n    )\n',
        replace:
          '      commit.done,\n    )\n    if (this.flying !== null) this.apply(Object.assign(commit, { early: true }))\n',
      },
      {
        file: `${ENGINE}/write-path.ts`,
        find: '    this.apply(commit)\n    this.acknowledge(commit)\n    commit.builder.reset()\n',
        replace:
          '    if (commit.early !== true) this.apply(commit)\n    commit.early = false\n    this.acknowledge(commit)\n    commit.builder.reset()\n',
      },
    ],
    checkers: ['committed-reads', 'durability', 'trim', 'order', 'generation'],
    incidents: ['power-cut-in-commit'],
  },
  {
    name: 'space-freed-before-checkpoint',
    why: 'log space is free when the checkpoint is sent, not when it is durable',
    edits: [
      {
        file: 'csi-driver/engine/destager.ts',
        find: '    await generation.writeBack()\n',
        replace:
          '    const early = core.committedBatchSeq\n    void once((done) => core.journal.checkpoint(early, {}, done))\n    await generation.writeBack()\n',
      },
    ],
    checkers: ['trim', 'survivors', 'durability', 'clean', 'generation', 'opens'],
    incidents: ['power-cut', 'survivors'],
  },
  {
    name: 'clean-while-log-in-use',
    why: 'dirty=false is written to the register while the log still holds records',
    edits: [
      {
        file: `${ENGINE}/phase-control.ts`,
        find: '    const release = await this.drainLog()\n    try {\n      await this.leaveLog(release)\n',
        replace:
          "    const release = this.host.holdWrites()\n    try {\n      await this.move('log-empty')\n      release()\n",
      },
    ],
    checkers: ['clean', 'ack'],
    incidents: ['switch-policy'],
  },
  {
    name: 'flush-answered-at-once',
    why: 'a flush in write-through does not reach the backing',
    edits: [
      {
        file: `${ENGINE}/passing-requests.ts`,
        find: '    core.unflushed.flush((error) => {\n',
        replace:
          "    if (core.phase === 'WriteThrough') {\n      request.complete(REQUEST_OK)\n      return\n    }\n    core.unflushed.flush((error) => {\n",
      },
    ],
    checkers: ['durability', 'clean', 'committed-reads', 'order'],
    incidents: ['switch-policy', 'power-cut', 'power-cut'],
  },
  {
    name: 'destage-buffer-reused',
    why: 'a destage run is free for other data while the backing still writes from its buffer',
    edits: [
      {
        file: `${ENGINE}/destage-run.ts`,
        find: '    if (error === null) this.owner?.onRunWritten(this)\n',
        replace: '    if (error === null) return\n',
      },
      {
        file: `${ENGINE}/destage-run.ts`,
        find: '  private onRead(result: CacheReadResult): void {\n',
        replace:
          "  private onRead(result: CacheReadResult): void {\n    if (result === 'ok') {\n      const { owner } = this\n      if (owner?.onRunRead(this) === false) return\n      this.core.backing.write(this.buffer, 0, this.bytes, this.startSector * SECTOR_BYTES, this.written)\n      owner?.onRunWritten(this)\n      return\n    }\n",
      },
    ],
    checkers: ['buffers', 'trim', 'foreign-write', 'durability', 'clean'],
    incidents: [],
  },
  {
    name: 'two-writes-of-a-block',
    why: 'overlapping backing writes do not wait for one another',
    edits: [
      {
        file: 'csi-driver/backing/range-locks.ts',
        find: '    request.blockers = blockers\n',
        replace: '    blockers = 0\n    request.blockers = blockers\n',
      },
    ],
    checkers: ['backing-writes'],
    incidents: ['switch-policy'],
  },
  {
    name: 'zero-keeps-old-data',
    why: 'a zero leaves older versions of its range in the index, which win over it',
    edits: [
      {
        file: `${ENGINE}/apply-record.ts`,
        find: '  target.index.removeRange(sector, sector + sectors)\n',
        replace: '',
      },
    ],
    checkers: ['durability', 'order', 'generation', 'clean', 'foreign-read'],
    incidents: [],
  },
  {
    name: 'torn-data-accepted',
    why: 'recovery checks the header of the last batch and not its data',
    edits: [
      {
        file: 'csi-driver/batch/batch-view.ts',
        find: '    for (let index = 0; index < count; index++) if (!this.verifyData(index)) return index\n',
        replace: '    for (let index = count; index < count; index++) if (!this.verifyData(index)) return index\n',
      },
    ],
    checkers: ['foreign-read', 'durability', 'foreign-write', 'order', 'survivors', 'ack'],
    incidents: ['power-cut', 'power-cut'],
  },
  {
    name: 'damage-taken-for-a-torn-tail',
    why: 'recovery cuts the log at the first bad batch, whatever follows it',
    edits: [
      {
        file: 'csi-driver/journal/recovery-cases.ts',
        find: "action: 'corrupt', here: PLAIN, start: PLAIN, proof: ['later'] }",
        replace: "action: 'cut', here: PLAIN, start: PLAIN, proof: ['later'] }",
      },
      {
        file: 'csi-driver/journal/recovery-cases.ts',
        find: "action: 'corrupt', here: PLAIN, start: PLAIN, proof: ['acked'] }",
        replace: "action: 'cut', here: PLAIN, start: PLAIN, proof: ['acked'] }",
      },
    ],
    checkers: ['durability', 'order', 'foreign-read', 'committed-reads', 'crash', 'opens'],
    incidents: ['corrupt-log', 'power-cut', 'corrupt-log', 'process-crash'],
  },
  {
    name: 'unverified-read',
    why: 'what a read of the cache returns is not compared with its checksum',
    edits: [
      {
        file: `${ENGINE}/cache-reader.ts`,
        find: "!== this.hash[i]) this.note('mismatch', i)\n",
        replace: "=== -1) this.note('mismatch', i)\n",
      },
    ],
    checkers: ['foreign-read', 'foreign-write', 'durability', 'order'],
    incidents: ['corrupt-log', 'corrupt-read-cache', 'misdirected-cache-write'],
  },
  {
    name: 'writers-not-woken',
    why: 'who waits for room in the log is not told when there is some',
    edits: [
      {
        file: `${ENGINE}/volume.ts`,
        find: '  private onProgress(): void {\n    this.answerHeld()\n    this.release()\n',
        replace: '  private onProgress(): void {\n    this.answerHeld()\n',
      },
    ],
    checkers: ['liveness'],
    incidents: [],
  },
]
