// Requests over Node's event loop to `server.py`: one after another, at once, and beside a callback that computes. Each async
// function times itself; of one that runs several times at once the union counts. usage: main.mjs fetch|http|tls|bare
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const variant = process.argv[2];
const spans = {};

async function timed(name, work) {
  const from = performance.now();
  try {
    return await work();
  } finally {
    (spans[name] ??= []).push([from, performance.now()]);
  }
}

function busy(ms) {
  const end = performance.now() + ms;
  let x = 1;
  while (performance.now() < end) for (let i = 0; i < 400; i++) x = (x * 1103515245 + 12345) & 0x7fffffff;
  return x;
}

const agent = new http.Agent({ keepAlive: true });
let base;

function byHttp(path) {
  return new Promise((resolve, reject) => {
    http.get(base + path, { agent }, (answer) => {
      answer.resume();
      answer.on('end', resolve);
    }).on('error', reject);
  });
}

async function byFetch(path) {
  await (await fetch(base + path)).arrayBuffer();
}

const get = variant === 'http' || variant === 'bare' ? byHttp : byFetch;

async function fetchTimer() {
  await get('/timer');
}

async function fetchSlow() {
  await get('/slow');
}

async function oneAfterAnother() {
  for (let i = 0; i < 10; i++) await timed('fetchTimer', fetchTimer);
}

async function worker() {
  for (let i = 0; i < 5; i++) await timed('fetchSlow', fetchSlow);
}

async function allAtOnce() {
  await Promise.all([...Array(8).keys()].map(() => timed('worker', worker)));
}

function hog() {
  timedNow('hog', () => busy(200));
}

function timedNow(name, work) {
  const from = performance.now();
  work();
  (spans[name] ??= []).push([from, performance.now()]);
}

async function besideCallback() {
  setTimeout(hog, 20);
  await timed('fetchBehind', fetchBehind);
}

async function fetchBehind() {
  await get('/timer');
  await get('/slow');
}

async function nap() {
  await sleep(150);
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

const tls = variant === 'tls' ? ['cert.pem', 'key.pem'] : [];
const server = spawn('python3', ['server.py', '2', ...tls], { cwd: new URL('.', import.meta.url).pathname, stdio: ['ignore', 'pipe', 'pipe'] });
const [port] = await once(server.stderr, 'data');
base = tls.length ? `https://localhost:${Number(port)}` : `http://127.0.0.1:${Number(port)}`;
// The connections that the phases go on using: the first request on a new one is sent by Node itself, once it is there.
await Promise.all([...Array(8).keys()].map(() => get('/timer')));
for (const phase of [oneAfterAnother, allAtOnce, besideCallback, nap]) await timed(phase.name, phase);
agent.destroy();
server.kill('SIGTERM');
await once(server, 'exit');
const wall = performance.now();
const functions = Object.keys(spans).sort().map((name) => {
  const ms = union(spans[name]);
  return { function: name, calls: spans[name].length, wall_ms: ms, cpu_ms: 0, wall_share_pct: (100 * ms) / wall };
});
const dir = process.env.TRUTH_DIR || '.';
fs.mkdirSync(dir, { recursive: true });
fs.writeFileSync(`${dir}/w43_node.${variant}.json`, JSON.stringify({ schema: 1, process: { wall_ms: wall }, functions }));
process.exit(0);
