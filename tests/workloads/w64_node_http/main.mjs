// Requests of Node's own http module to `server.py`: on new connections, on one that is kept, several at once, with a body, to
// a name; and timers. Each async function times itself; of one that runs several times at once the union counts.
// usage: main.mjs http|tls
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const variant = process.argv[2];
const client = variant === 'tls' ? https : http;
const spans = {};
let port;

async function timed(work) {
  const from = performance.now();
  try {
    return await work();
  } finally {
    (spans[work.name] ??= []).push([from, performance.now()]);
  }
}

function ask(host, path, options, body) {
  return new Promise((resolve, reject) => {
    const request = client.request({ host, port, path, ...options }, (answer) => {
      answer.resume();
      answer.on('end', resolve);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function onNewConnection() {
  await ask('127.0.0.1', '/timer', { agent: false });
}

const kept = new client.Agent({ keepAlive: true });

async function onKeptConnection() {
  await ask('127.0.0.1', '/slow', { agent: kept });
}

async function byName() {
  await ask('localhost', '/timer', { agent: false, family: 4 });
}

async function withBody() {
  await ask('127.0.0.1', '/slow', { agent: false, method: 'POST' }, 'x'.repeat(2000));
}

async function worker() {
  for (let i = 0; i < 4; i++) await ask('127.0.0.1', '/slow', { agent: kept });
}

async function nap() {
  await sleep(200);
}

function later(done) {
  setTimeout(done, 150);
}

async function callback() {
  await new Promise(later);
}

async function inTurn() {
  for (let i = 0; i < 10; i++) await timed(onNewConnection);
  for (let i = 0; i < 6; i++) await timed(onKeptConnection);
  for (let i = 0; i < 8; i++) await timed(byName);
  for (let i = 0; i < 4; i++) await timed(withBody);
}

async function atOnce() {
  await Promise.all([...Array(6).keys()].map(() => timed(worker)));
}

function union(of) {
  let total = 0;
  let end = 0;
  for (const [a, b] of of.toSorted((x, y) => x[0] - y[0])) {
    if (b > end) {
      total += b - Math.max(a, end);
      end = b;
    }
  }
  return total;
}

const here = new URL('.', import.meta.url).pathname;
const tls = variant === 'tls' ? ['cert.pem', 'key.pem'] : [];
const server = spawn('python3', ['server.py', '2', ...tls], { cwd: here, stdio: ['ignore', 'pipe', 'pipe'] });
let said = '';
server.stdout.on('data', (data) => { said += data; });
[port] = (await once(server.stderr, 'data')).map(Number);
for (const phase of [inTurn, atOnce, nap, callback]) await timed(phase);
kept.destroy();
server.kill('SIGTERM');
await once(server, 'close');
const wall = performance.now();
const functions = Object.keys(spans).sort().map((name) => {
  const ms = union(spans[name]);
  return { function: name, calls: spans[name].length, wall_ms: ms, cpu_ms: 0, wall_share_pct: (100 * ms) / wall };
});
const dir = process.env.TRUTH_DIR || '.';
fs.mkdirSync(dir, { recursive: true });
const truth = { schema: 1, process: { wall_ms: wall }, functions, answered: JSON.parse(said) };
fs.writeFileSync(`${dir}/w64_node_http.${variant}.json`, JSON.stringify(truth));
process.exit(0);
