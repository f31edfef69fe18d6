// Proves the HTTP endpoint over a real socket: metrics, health both ways, nothing else, nothing but GET, and a port in
// use as a clear refusal.
import { ObserveServer } from '../../../../csi-driver/observe/http.ts'

const HOST = '127.0.0.1'
let healthy = true
const sources = {
  metrics: () => 'forebay_dirty_bytes 5\n',
  health: () => ({ ok: healthy, text: healthy ? 'ok' : 'Blocked: log is damaged' }),
}
let server: ObserveServer
let base: string

beforeEach(async () => {
  healthy = true
  server = new ObserveServer({ host: HOST, port: 0 }, sources)
  base = `http://${HOST}:${await server.listen()}`
})
afterEach(() => server.close())

test('metrics in Prometheus text format', async () => {
  const response = await fetch(`${base}/metrics?x=1`)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(await response.text()).toBe('forebay_dirty_bytes 5\n')
})

test('health says yes, and no with the reason', async () => {
  expect((await fetch(`${base}/healthz`)).status).toBe(200)
  healthy = false
  const response = await fetch(`${base}/healthz`)
  expect(response.status).toBe(503)
  expect(await response.text()).toBe('Blocked: log is damaged\n')
})

test('other paths and methods', async () => {
  expect((await fetch(`${base}/`)).status).toBe(404)
  expect((await fetch(`${base}/metrics/../etc`)).status).toBe(404)
  const posted = await fetch(`${base}/metrics`, { method: 'POST' })
  expect(posted.status).toBe(405)
  expect(posted.headers.get('allow')).toBe('GET, HEAD')
  expect(await (await fetch(`${base}/metrics`, { method: 'HEAD' })).text()).toBe('')
})

test('a port in use is refused with a remedy', async () => {
  const port = Number(new URL(base).port)
  await expect(new ObserveServer({ host: HOST, port }, sources).listen()).rejects.toMatchObject({
    kind: 'invalid',
    code: 'CACHE_METRICS_ADDRESS',
    remedy: expect.stringContaining('free port'),
  })
})
