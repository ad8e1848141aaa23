// Three functions with a known share of the CPU time, and requests to a server of its own. It measures its own truth.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";

let sink = 0;

// Of the whole process, in ms.
function clock() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function hot(length) {
  const begin = clock();
  while (clock() < begin + length) for (let i = 0; i < 200000; i++) sink += i & 3;
  return clock() - begin;
}

function warm(length) {
  const begin = clock();
  while (clock() < begin + length) for (let i = 0; i < 200000; i++) sink ^= i & 3;
  return clock() - begin;
}

function cool(length) {
  const begin = clock();
  while (clock() < begin + length) for (let i = 0; i < 200000; i++) sink -= i & 3;
  return clock() - begin;
}

let answered = 0;
const server = http.createServer((request, response) => {
  answered += 1;
  response.end("ok");
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const fetched = () =>
  new Promise((done, failed) => {
    const call = http.get({ host: "127.0.0.1", port: server.address().port, path: "/item" }, (answer) => {
      answer.resume().on("end", done);
    });
    call.on("error", failed);
  });

const began = performance.now();
const inside = { hot: 0, warm: 0, cool: 0 };
for (let i = 0; i < 40; i++) {
  await fetched();
  inside.hot += hot(54);
  inside.warm += warm(27);
  inside.cool += cool(9);
}
server.close();
const all = inside.hot + inside.warm + inside.cool;
const functions = Object.entries(inside).map(([name, ms]) => ({
  function: name, wall_ms: ms, cpu_ms: ms, wall_share_pct: (100 * ms) / all,
}));
const truth = { workload: "w91_splits", process: { wall_ms: performance.now() - began }, answered, functions };
fs.writeFileSync(path.join(process.env.TRUTH_DIR ?? "truth", "w91_splits.node.json"), JSON.stringify(truth));
