// The one scenario that every editor is taken through, with the real server, the real gopls and a real program.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * @typedef {object} Warning
 * @property {string} file base name
 * @property {number} line from 1
 * @property {string} code
 * @property {string} source
 * @property {'error' | 'warning' | 'information' | 'hint'} severity
 *
 * @typedef {object} Editor
 * @property {(file: string) => Promise<void>} open
 * @property {(from: string, to: string) => Promise<unknown>} edit changes the one place of a text in the open file, by hand
 * @property {() => Promise<unknown>} save
 * @property {() => Promise<unknown>} undo takes the last edit back
 * @property {(command: 'run' | 'refresh' | 'rollback' | 'restart') => Promise<unknown>} press a key, or what the palette has
 * @property {() => Promise<Warning[]>} warnings
 * @property {() => Promise<string[]>} lenses the titles of those that the editor shows, from the top
 * @property {() => Promise<string>} status
 * @property {() => Promise<void>} refused waits until the user is told that a restart is required
 * @property {() => Promise<string>} terminal what the terminal of the program shows
 * @property {(name: string) => Promise<void>} [picture]
 * @property {() => Promise<string>} dump what to look at when something went wrong
 */

/** How long anything is waited for, in ms: machines may be busy. */
export const patience = Number(process.env.LIMEADE_PATIENCE ?? 120) * 1000

/**
 * Waits until something is the case.
 * @template T
 * @param {string} what
 * @param {() => Promise<T | undefined | false>} look
 * @param {() => Promise<string>} [dump]
 * @param {number} [limit] how long, in ms
 * @returns {Promise<T>}
 */
export async function until(what, look, dump, limit = patience) {
  const deadline = Date.now() + limit
  let last = ''
  for (;;) {
    try {
      const found = await look()
      if (found) return found
    } catch (error) {
      last = String(error)
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${limit / 1000} s: ${what}\n${last}\n${dump ? await dump() : ''}`)
    }
    await sleep(100)
  }
}

/** Returns a port that nobody listens on. */
export async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  const address = server.address()
  assert(address && typeof address === 'object')
  await new Promise((resolve) => server.close(resolve))
  return address.port
}

/**
 * @param {import('node:test').TestContext} t
 * @param {Editor} editor with the project open
 * @param {number} port of the program
 */
export async function scenario(t, editor, port) {
  let visitors = 0
  const ask = async () => {
    const answer = await (await fetch(`http://127.0.0.1:${port}/`)).text()
    const [, greeting, n] = /^(.+), visitor (\d+) of Limes & Co\n$/.exec(answer) ?? assert.fail(answer)
    return { greeting, n: Number(n) }
  }
  /** @param {string} greeting */
  const greets = async (greeting) => assert.deepEqual(await ask(), { greeting, n: ++visitors })
  /**
   * @template T
   * @param {string} what
   * @param {() => Promise<T | undefined | false>} look
   */
  const see = (what, look) => until(what, look, editor.dump)
  /** @param {string} text */
  const status = (text) => see(`status ${text}`, async () => (await editor.status()).includes(text))
  /** @param {string} file */
  const warnings = async (file) => (await editor.warnings()).filter((w) => w.source === 'limeade' && w.file === file)
  /** @param {string} title of a lens */
  const lens = (title) => see(`lens ${title}`, async () => (await editor.lenses()).includes(title))
  const silent = () => see('no warning', async () => (await warnings('shop.go')).length === 0)

  let failed = false
  /**
   * @param {string} name
   * @param {() => Promise<void>} body
   */
  const step = (name, body) =>
    t.test(name, { skip: failed }, async () => {
      failed = true
      await body()
      failed = false
    })
  const addField = async () => {
    await editor.edit('visitors int', 'visitors int; sold int')
    await editor.save()
    const warning = await see('a warning', async () => {
      const all = await warnings('shop.go')
      return all.length === 1 && all[0].severity === 'warning' && all[0]
    })
    assert.deepEqual(warning, { file: 'shop.go', line: 11, code: 'LMD0301', source: 'limeade', severity: 'warning' })
    await lens('restart required')
    await status('restart required')
  }

  await step('a key starts the program in a terminal', async () => {
    await editor.open('shop.go')
    await editor.press('run')
    await status('shop gen 0')
    visitors = (await see('the program answers', ask)).n
    await see('the terminal', async () => (await editor.terminal()).includes('Limes & Co is open'))
    await greets('Hello')
  })

  await step('gopls is there as well', async () => {
    await editor.open('report.go')
    await see('what gopls says', async () =>
      (await editor.warnings()).some((w) => w.file === 'report.go' && w.line === 7 && w.source === 'printf'))
    await editor.open('shop.go')
  })

  await step('a refresh makes the edit live and keeps the counter', async () => {
    await editor.edit('"Hello', '"Welcome')
    await editor.save()
    await status('shop gen 0, 1 pending')
    await lens('hot: refresh')
    await greets('Hello')
    assert.deepEqual(await warnings('shop.go'), [])
    await editor.picture?.('palette')
    await editor.press('refresh')
    await status('shop gen 1')
    await greets('Welcome')
    await see('no lens', async () => (await editor.lenses()).length === 0)
    await editor.picture?.('refreshed')
  })

  await step('a new field is warned of, and undoing it clears that', async () => {
    await addField()
    await editor.picture?.('warning')
    await greets('Welcome')
    await editor.undo()
    await editor.save()
    await silent()
    await status('shop gen 1')
  })

  await step('a rollback brings the old answer back', async () => {
    await editor.press('rollback')
    await status('shop gen 2, 1 pending')
    await greets('Hello')
  })

  await step('a restart runs what could not be refreshed', async () => {
    await addField()
    await editor.press('refresh')
    await editor.refused()
    await greets('Hello')
    await editor.press('restart')
    await silent()
    await status('shop gen 0')
    visitors = 0
    await see('the new program answers', async () => {
      const { greeting, n } = await ask()
      assert.equal(greeting, 'Welcome')
      assert(n < 10)
      visitors = n
      return true
    })
    await greets('Welcome')
    await see('the terminal', async () => (await editor.terminal()).split('Limes & Co is open').length === 3)
    await editor.picture?.('restarted')
  })
}
