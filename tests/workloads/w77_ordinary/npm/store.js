'use strict'

class Store {
  #rows = new Map()
  #next = 1

  async add (row) {
    const id = this.#next++
    this.#rows.set(id, { ...row, id })
    return id
  }

  async get (id) {
    const row = this.#rows.get(id)
    if (!row) throw new Error('no row ' + id)
    return row
  }

  async search (text) {
    return [...this.#rows.values()].filter(row => row.name.includes(text))
  }
}

module.exports = { Store }
