async function retry(work, times = 3) {
  for (let n = 1; ; n += 1) {
    try {
      return await work();
    } catch (error) {
      if (n >= times) throw error;
    }
  }
}

module.exports = { retry };
