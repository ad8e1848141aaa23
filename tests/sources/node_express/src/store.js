const { Pool, Client } = require('pg');

const pool = new Pool({ max: 10, connectionTimeoutMillis: 2000 });

async function loadJob(id) {
  const { rows } = await pool.query('SELECT id, name FROM jobs WHERE id = $1', [id]);
  return rows[0];
}

const loadTags = async (id) => {
  const client = new Client();
  await client.connect();
  const { rows } = await client.query('SELECT name FROM tags WHERE job = $1', [id]);
  return rows;
};

module.exports = { loadJob, loadTags };
