// Proves the URI that the ready line and the status show.
import { exportUri } from '../../../../../csi-driver/frontend/nbd/export-uri.ts'

test.each([
  ['/var/lib/forebay/run/db1.nbd', 'nbd+unix:///db1?socket=/var/lib/forebay/run/db1.nbd'],
  ['/tmp/a b&c?d=ä#', 'nbd+unix:///db1?socket=/tmp/a%20b%26c%3Fd%3D%C3%A4%23'],
])('%s', (socket, uri) => expect(exportUri('db1', socket)).toBe(uri))
