// Fifty loops of one event loop: each item is asked for on a connection of its own (20 ms), then stored over an agent that
// has two connections (12 ms). It measures its own rate.
'use strict'
const fs = require('fs')
const http = require('http')
const path = require('path')
const { spawn } = require('child_process')

const [WORKERS, ITEMS] = [50, 6]
const many = new http.Agent({ keepAlive: true })
const few = new http.Agent({ keepAlive: true, maxSockets: 2 })

if (process.argv[2] === 'serve') {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => setTimeout(() => response.end('ok'), request.url === '/item' ? 20 : 12))
  })
  server.keepAliveTimeout = 60000
  server.listen(0, '127.0.0.1', () => process.stdout.write(server.address().port + '\n'))
  process.stdin.resume().on('end', () => process.exit(0))
} else {
  const server = spawn(process.execPath, [__filename, 'serve'], { stdio: ['pipe', 'pipe', 'inherit'] })
  server.stdout.once('data', line => main(Number(line), server))
}

function ask (port, method, target, agent) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, method, path: target, agent }, response => {
      response.resume().on('end', resolve)
    })
    request.on('error', reject).end()
  })
}

function fetchItem (port) {
  return ask(port, 'GET', '/item', many)
}

function storeItem (port) {
  return ask(port, 'PUT', '/stored', few)
}

async function worker (port) {
  for (let item = 0; item < ITEMS; item++) {
    await fetchItem(port)
    await storeItem(port)
  }
}

async function main (port, server) {
  // Connections are made, and the functions compiled, before it counts.
  await Promise.all(Array.from({ length: WORKERS }, () => ask(port, 'GET', '/warm', many)))
  const start = performance.now()
  await Promise.all(Array.from({ length: WORKERS }, () => worker(port)))
  const seconds = (performance.now() - start) / 1000
  const items = WORKERS * ITEMS
  const truth = { variant: 'pool2', workers: WORKERS, items, seconds, rate: items / seconds }
  fs.writeFileSync(path.join(process.env.TRUTH_DIR || path.join(__dirname, 'truth'), 'w79_workers.pool2.json'), JSON.stringify(truth))
  many.destroy()
  few.destroy()
  server.stdin.end()
}
