'use strict'
const test = require('node:test')
const assert = require('node:assert')
const { Store } = require('../store')

test('what is added is found', async () => {
  const store = new Store()
  const id = await store.add({ name: 'pen' })
  assert.deepStrictEqual(await store.get(id), { name: 'pen', id })
})

test('what is not there is an error', async () => {
  await assert.rejects(new Store().get(1), /no row 1/)
})

test('a search', async () => {
  const store = new Store()
  for (const name of ['pen', 'pencil', 'ink']) await store.add({ name })
  assert.strictEqual((await store.search('pen')).length, 2)
})
