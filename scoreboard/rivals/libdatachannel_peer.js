// libdatachannel, and libjuice in it, as a bridge: node libdatachannel_peer.js a|b SERVER
// STUN and TURN are on SERVER's port 3478, signalling on its port 8080 (swap.py). A peer connection that has
// failed is not used again; whoever uses the library makes another, and so does this.
'use strict'
const net = require('node:net')
const { PeerConnection } = require('node-datachannel')
const bridge = require('./bridge')

const [role, server] = process.argv.slice(2)
let channel = null
const give = bridge(role, (data) => {
  if (channel !== null && channel.isOpen()) channel.sendMessageBinary(data)
})

// The other peer's line for ours.
function swap (own) {
  return new Promise((resolve, reject) => {
    let heard = ''
    const socket = net.connect(8080, server, () => socket.write(`${role} ${JSON.stringify(own)}\n`))
    socket.on('data', (data) => { heard += data })
    socket.on('error', reject)
    socket.on('close', () => {
      try { resolve(JSON.parse(heard)) } catch (error) { reject(error) }
    })
  })
}

function gathered (connection) {
  return new Promise((resolve) => {
    connection.onGatheringStateChange((state) => {
      if (state === 'complete') resolve(connection.localDescription())
    })
  })
}

async function session () {
  const connection = new PeerConnection(role, {
    iceServers: [`stun:${server}:3478`, `turn:lab:secret@${server}:3478?transport=udp`]
  })
  const ended = new Promise((resolve) => {
    connection.onStateChange((state) => {
      console.log(state)
      if (['failed', 'closed', 'disconnected'].includes(state)) resolve()
    })
  })
  const use = (opened) => {
    opened.onMessage((data) => give(Buffer.from(data)))
    channel = opened
  }
  connection.onDataChannel(use)
  try {
    const own = gathered(connection)
    if (role === 'a') {
      // As datagrams go: none waits for another, and none is sent twice.
      use(connection.createDataChannel('bridge', { unordered: true, maxRetransmits: 0 }))
      await swap(await own)
      const answer = await swap(null)
      connection.setRemoteDescription(answer.sdp, answer.type)
    } else {
      const offer = await swap(null)
      connection.setRemoteDescription(offer.sdp, offer.type)
      await swap(await own)
    }
    await ended
  } finally {
    channel = null
    connection.close()
  }
}

async function run () {
  for (;;) {
    await session().catch((error) => console.log(`session ended: ${error.message}`))
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}

run()
