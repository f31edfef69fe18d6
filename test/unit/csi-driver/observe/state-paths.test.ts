// Proves that the socket of a replica store fits into a socket's path whatever the node is called, and that two nodes
// never share one.
import { peerSocketPath } from '../../../../csi-driver/observe/state-paths.ts'

test('short names stand for themselves, long ones by a digest', () => {
  expect(peerSocketPath('/var/lib/forebay', 'host-b.example')).toBe('/var/lib/forebay/peers/host-b.example.sock')
  const long = 'long-'.repeat(40)
  const one = peerSocketPath('/var/lib/forebay', `${long}1`)
  expect(one).toMatch(/^\/var\/lib\/forebay\/peers\/long-long-long-l~[0-9a-f]{12}\.sock$/)
  expect(one).not.toBe(peerSocketPath('/var/lib/forebay', `${long}2`))
})
