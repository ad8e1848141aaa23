'use strict'
const http = require('http')
const { Store } = require('./store')

function serve (store = new Store()) {
  return http.createServer(async (request, response) => {
    const answer = (status, body) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    }
    try {
      if (request.method === 'POST') {
        let text = ''
        for await (const part of request) text += part
        return answer(201, { id: await store.add(JSON.parse(text)) })
      }
      const id = Number(request.url.split('/').pop())
      answer(200, id ? await store.get(id) : await store.search(''))
    } catch (error) {
      answer(404, { error: error.message })
    }
  })
}

module.exports = { serve }
