// hyperdht as a bridge: node hyperdht_peer.js network ADDRESS, or a|b SERVER
// The server has a network of ten nodes of its own. a connects to b's key; when that ends or fails, it tries again.
'use strict'
const DHT = require('hyperdht')
const bridge = require('./bridge')

const NODES = 10
const PORT = 49737
const [role, server] = process.argv.slice(2)
const keyPair = DHT.keyPair(Buffer.alloc(32, 'b'))
let stream = null

async function network () {
  const first = DHT.bootstrapper(PORT, server)
  await first.fullyBootstrapped()
  for (let number = 1; number < NODES; number++) {
    const node = new DHT({
      bootstrap: [`${server}:${PORT}`], port: PORT + number, ephemeral: false, firewalled: false, anyPort: false
    })
    await node.fullyBootstrapped()
  }
  console.log('the network stands')
}

function use (opened, give) {
  opened.on('open', () => {
    console.log('connected')
    stream = opened
  })
  opened.on('data', give)
  opened.on('error', (error) => console.log(`stream ended: ${error.message}`))
  opened.on('close', () => {
    if (stream === opened) stream = null
  })
}

async function peer () {
  const give = bridge(role, (data) => {
    if (stream !== null) stream.write(data)
  })
  const node = new DHT({ bootstrap: [`${server}:${PORT}`] })
  if (role === 'b') {
    await node.createServer((opened) => use(opened, give)).listen(keyPair)
    console.log('listening')
    return
  }
  for (;;) {
    const opened = node.connect(keyPair.publicKey)
    use(opened, give)
    await new Promise((resolve) => opened.on('close', resolve))
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}

if (role === 'network') network()
else peer()
