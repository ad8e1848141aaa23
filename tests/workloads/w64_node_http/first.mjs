// Requests at once when it starts, one after the other, each on a connection of its own.
// usage: first.mjs PORT
import http from 'node:http';

function ask(path) {
  const options = { host: '127.0.0.1', port: process.argv[2], path, agent: false };
  return new Promise((resolve, reject) => {
    const request = http.get(options, (answer) => {
      answer.resume();
      answer.on('end', resolve);
    });
    request.on('error', reject);
  });
}

async function inTurn() {
  for (let i = 0; i < 8; i++) await ask('/timer');
}

await inTurn();
