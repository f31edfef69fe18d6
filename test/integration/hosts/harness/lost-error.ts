// Something that was acknowledged is missing, or older than it should be: the one thing that must never happen, told
// apart from everything else that can go wrong in a test.
export class LostError extends Error {
  override readonly name = 'LostError'
}
