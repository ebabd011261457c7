// The socket towards programs: datagrams come in at 127.0.0.1:5300 on a, and go out to 127.0.0.1:7000 on b.
'use strict'
const dgram = require('node:dgram')

// `send(data)` is called for each datagram of a program; the result gives one to the program.
module.exports = function bridge (role, send) {
  const local = dgram.createSocket('udp4')
  let program = role === 'a' ? null : { port: 7000, address: '127.0.0.1' }
  local.on('message', (data, from) => {
    program = from
    send(data)
  })
  local.on('error', () => {}) // nobody listens there yet
  local.bind(role === 'a' ? 5300 : 5301, '127.0.0.1')
  return (data) => {
    if (program !== null) local.send(data, program.port, program.address)
  }
}
