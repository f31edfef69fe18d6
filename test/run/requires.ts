// The one way to leave a test out on a machine that cannot run it: with the reason in its title, where the summary of
// `make test` prints it.
//
//     testOn(hasFuse ? undefined : 'no /dev/fuse')('an ext4 survives', async () => { … })

type Body = Exclude<Parameters<typeof test>[1], undefined>
type Declare = (title: string, body: Body, timeoutMs?: number) => void

/** `test` when `obstacle` is undefined; otherwise a skipped test that names the obstacle. */
export function testOn(obstacle: string | undefined): Declare {
  if (obstacle === undefined) return (title, body, timeoutMs) => test(title, body, timeoutMs)
  const leaveOut = test.skip
  return (title, body) => leaveOut(`${title} [skipped: ${obstacle}]`, body)
}
