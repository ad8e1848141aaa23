'use strict'
const test = require('node:test')
const assert = require('node:assert')
const { serve } = require('../server')

test('the server', async t => {
  const server = serve()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const base = 'http://127.0.0.1:' + server.address().port
  t.after(() => { server.closeAllConnections(); server.close() })

  await t.test('keeps what it is given', async () => {
    const made = await fetch(base + '/rows', { method: 'POST', body: JSON.stringify({ name: 'pen' }) })
    assert.strictEqual(made.status, 201)
    const { id } = await made.json()
    assert.strictEqual((await (await fetch(base + '/rows/' + id)).json()).name, 'pen')
  })

  await t.test('knows what it does not have', async () => {
    assert.strictEqual((await fetch(base + '/rows/77')).status, 404)
  })

  await t.test('lists all', async () => {
    assert.strictEqual((await (await fetch(base + '/rows')).json()).length, 1)
  })
})
