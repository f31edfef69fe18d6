// A fence command of the tests: asks the test, which holds the power switches and the storage, to fence a node, and ends
// with the status that it is told.
//
//   node fence-program.ts SOCKET off|cut NODE
import { connect } from 'node:net'

const [socketPath = '', kind = '', node = ''] = process.argv.slice(2)
const socket = connect(socketPath)
let answer = ''
socket.setEncoding('utf8').on('data', (text: string) => (answer += text))
socket.on('error', (error) => {
  process.stderr.write(`fence: ${error.message}\n`)
  process.exitCode = 1
})
socket.on('close', () => {
  const [status, ...said] = answer.trim().split(' ')
  if (said.length > 0) process.stderr.write(`fence: ${said.join(' ')}\n`)
  process.exitCode = status === '' ? 1 : Number(status)
})
socket.write(`${kind} ${node}\n`)
