// The trace of a simulated run: every event goes into a hash, the last ones are kept as text. Two runs of one seed must
// give the same hash; the text is what a person reads after a violation.

/** Lines kept for a report, unless the whole trace is asked for. */
export const TRACE_LINES = 400
/** Lines of a whole trace. */
export const TRACE_LINES_MAX = 1_000_000

export class Trace {
  /** Number of entries so far. */
  entries = 0
  private low = 0x811c9dc5
  private high = 0x1b873593
  private readonly lines: string[] = []
  private linesMax = TRACE_LINES

  /** Mixes one entry in. `name` is a short fixed word, the numbers are whatever tells this event from another. */
  add(nowMs: number, name: string, first = 0, second = 0, third = 0): void {
    this.entries++
    for (let i = 0; i < name.length; i++) this.mix(name.charCodeAt(i))
    // Microseconds as an integer, so that the hash covers the time exactly enough and never a rounding of text.
    const microseconds = Math.round(nowMs * 1000)
    this.mix(microseconds)
    this.mix(Math.floor(microseconds / 0x1_0000_0000))
    this.mix(first)
    this.mix(second)
    this.mix(third)
    this.lines.push(`${nowMs.toFixed(3)} ${name} ${first} ${second} ${third}`)
    // Cut by half, so that the cost per entry stays constant.
    if (this.lines.length > 2 * this.linesMax) this.lines.splice(0, this.linesMax)
  }

  /** A remark for people; part of the hash through its length only. */
  note(nowMs: number, text: string): void {
    this.add(nowMs, 'note', text.length)
    this.lines[this.lines.length - 1] = `${nowMs.toFixed(3)} # ${text}`
  }

  /** Keeps everything from now on. */
  keepAll(): void {
    this.linesMax = TRACE_LINES_MAX
  }

  hash(): string {
    return (this.high >>> 0).toString(16).padStart(8, '0') + (this.low >>> 0).toString(16).padStart(8, '0')
  }

  /** What was kept, oldest first. */
  kept(): readonly string[] {
    return this.lines.slice(-this.linesMax)
  }

  private mix(value: number): void {
    this.low = Math.imul(this.low ^ (value | 0), 0x01000193)
    this.low ^= this.low >>> 15
    this.high = Math.imul(this.high ^ this.low, 0x85ebca6b)
    this.high ^= this.high >>> 13
  }
}
