// The faults of the catalogue in Node, each with its twin: twins.js RULE.bad | RULE.good. The services are those of w70_twins.
'use strict'
const { execFile, execFileSync, spawn } = require('child_process')
const crypto = require('crypto')
const fs = require('fs')
const http = require('http')
const os = require('os')
const path = require('path')

const variant = process.argv[2]
const [rule, way] = variant.split('.')
const server = spawn(process.env.WL_PYTHON || 'python3', [path.join(__dirname, '..', 'w70_twins', 'serve.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
let port = 0

function get (target, agent) {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: target, agent }, response => {
      let text = ''
      response.on('data', part => { text += part })
      response.on('end', () => resolve(text))
    }).on('error', reject)
  })
}

const kept = new http.Agent({ keepAlive: true })

// As a store would name it.
function uuid (i) {
  const hex = crypto.createHash('sha1').update(String(i)).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), '5' + hex.slice(13, 16), '8' + hex.slice(17, 20), hex.slice(20, 32)].join('-')
}

async function loadItem (i) {
  return get('/t/30/item/' + uuid(i), kept)
}

// What the calls of each page took beyond the longest of them: nothing more can be saved.
let beyond = 0

async function page (i) {
  const times = [performance.now()]
  const user = await get('/t/25/user/' + i, kept)
  times.push(performance.now())
  const orders = await get('/t/25/orders/' + i, kept)
  times.push(performance.now())
  const prices = await get('/t/25/prices/' + i, kept)
  times.push(performance.now())
  const each = [1, 2, 3].map(n => times[n] - times[n - 1])
  beyond += each[0] + each[1] + each[2] - Math.max(...each)
  return [user, orders, prices]
}

async function pageAtOnce (i) {
  return Promise.all([get('/t/25/user/' + i, kept), get('/t/25/orders/' + i, kept), get('/t/25/prices/' + i, kept)])
}

function convertHere () {
  return execFileSync('sleep', ['0.25'])
}

function convertElsewhere () {
  return new Promise((resolve, reject) => execFile('sleep', ['0.25'], error => error ? reject(error) : resolve()))
}

// Two others wait for their answers meanwhile: Node writes a request only once the loop goes on.
async function crowd (convert) {
  const others = [get('/t/150/a', kept), get('/t/150/b', kept)]
  await new Promise(resolve => setTimeout(resolve, 50))
  await convert()
  await Promise.all(others)
}

function writeLines (size) {
  const file = fs.openSync(path.join(os.tmpdir(), 'twins-' + process.pid), 'w')
  try {
    let lines = ''
    for (let i = 0; i < 60000; i++) {
      lines += String(i).padStart(39, '0') + '\n'
      if (lines.length >= size) {
        fs.writeSync(file, lines)
        lines = ''
      }
    }
    fs.writeSync(file, lines)
  } finally {
    fs.closeSync(file)
    fs.unlinkSync(path.join(os.tmpdir(), 'twins-' + process.pid))
  }
}

function parseAll () {
  let x = 1
  for (const end = process.cpuUsage().user + 700000; process.cpuUsage().user < end;) {
    for (let i = 0; i < 20000; i++) x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff
  }
  return x
}

// Eight functions that do the same and share the work.
const parts = Array.from({ length: 8 }, (_, n) => new Function('now', `return function part${n} () {
  let x = 1
  for (const end = now() + 90000; now() < end;) {
    for (let i = 0; i < 20000; i++) x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff
  }
  return x
}`)(() => process.cpuUsage().user))

const ways = {
  async connection_per_request_bad () { for (let i = 0; i < 30; i++) await get('/t/2/item/' + i, false) },
  async connection_per_request_good () { for (let i = 0; i < 30; i++) await get('/t/2/item/' + i, kept) },
  async sequential_http_calls_bad () { for (let i = 0; i < 24; i++) await loadItem(i) },
  async sequential_http_calls_good () { await Promise.all(Array.from({ length: 24 }, (_, i) => loadItem(i))) },
  async sequential_awaits_bad () { for (let i = 0; i < 8; i++) await page(i) },
  async sequential_awaits_good () { for (let i = 0; i < 8; i++) await pageAtOnce(i) },
  async sync_io_in_async_bad () { for (let i = 0; i < 3; i++) await crowd(convertHere) },
  async sync_io_in_async_good () { for (let i = 0; i < 3; i++) await crowd(convertElsewhere) },
  async tiny_io_bad () { writeLines(1) },
  async tiny_io_good () { writeLines(65536) },
  async cpu_bound_hot_function_bad () { parseAll() },
  async cpu_bound_hot_function_good () { parts.forEach(part => part()) },
  async repeated_request_bad () { for (let i = 0; i < 20; i++) await get('/t/15/rates', kept) },
  async repeated_request_good () { await get('/t/15/rates', kept) }
}

async function work () {
  const began = process.hrtime.bigint()
  await ways[rule + '_' + way]()
  return Number(process.hrtime.bigint() - began) / 1e6
}

server.stdout.once('data', async data => {
  port = Number(String(data).split(' ')[0])
  const wall = await work()
  server.stdin.end()
  kept.destroy()
  const dir = process.env.TRUTH_DIR || path.join(__dirname, 'truth')
  fs.mkdirSync(dir, { recursive: true })
  const truth = { workload: 'w71_twins_node', variant, functions: [{ function: 'work', wall_ms: wall, beyond_longest_ms: beyond }] }
  fs.writeFileSync(path.join(dir, 'w71_twins_node.' + variant + '.json'), JSON.stringify(truth))
})
