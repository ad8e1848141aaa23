const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export async function deliver(name) {
  for (let n = 0; n < 3; n++) {
    await sleep(100);
  }
}
