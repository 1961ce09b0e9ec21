// Drives each Neovim there is through the scenario, in tmux, by its keys.
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import test from 'node:test'
import { freePort, scenario, until } from '../../test/scenario.mjs'
import { debian, exists, gopls, limeade, neovims, read, repository, run, stage } from '../../test/tools.mjs'

const tmux = await debian('tmux')
const versions = await neovims()
const goplsPath = await gopls()

for (const nvim of versions) {
  test(`Neovim ${nvim.version}`, async (t) => {
    const { dir, project, env } = await stage()
    env.PATH = `${path.dirname(await limeade(dir))}${path.delimiter}${process.env.PATH ?? ''}`
    const port = await freePort()
    const socket = path.join(dir, 'nvim.sock')
    const inTmux = ['-S', path.join(dir, 'tmux.sock'), '-f', '/dev/null']
    const all = {
      ...process.env,
      ...env,
      ...nvim.env,
      SHOP_PORT: String(port),
      GOPLS: goplsPath,
      LIMEADE_PLUGIN: path.join(repository, 'editors/nvim'),
      TERM: 'screen-256color',
      LC_ALL: 'C.UTF-8',
    }
    /** @param {string[]} args */
    const terminal = (...args) => run(tmux, [...inTmux, ...args], { env: all })
    /**
     * Evaluates an expression. Neovim 0.7 prints the result on standard error.
     * @param {string} expression
     */
    const ask = (expression) =>
      run('sh', ['-c', 'exec "$0" "$@" 2>&1', nvim.command, '--server', socket, '--remote-expr', expression], {
        env: all,
        timeout: 10_000,
      })
    /** @param {string} text */
    const type = (text) => terminal('send-keys', '-l', text)
    /** @param {string} text */
    const command = async (text) => {
      await type(`:${text}`)
      await terminal('send-keys', 'Enter')
    }
    const screen = () => terminal('capture-pane', '-p')
    const keys = { run: ' ls', refresh: ' lr', rollback: ' lb', restart: ' lR' }

    /** @type {import('../../test/scenario.mjs').Editor} */
    const editor = {
      open: async (file) => {
        await command(`edit ${file}`)
        await until(`${file} is open`, async () => (await ask('expand("%:t")')).trim() === file, screen)
      },
      edit: (from, to) => command(`%s/${from}/${to}/`),
      save: () => command('write'),
      undo: () => type('u'),
      press: (key) => type(keys[key]),
      warnings: async () => JSON.parse(await ask('luaeval("Warnings()")')).list,
      lenses: async () => JSON.parse(await ask('luaeval("Lenses()")')).list,
      status: async () => (await screen()).split('\n').filter((line) => line.startsWith('shop.go')).join('\n'),
      refused: async () => {
        await until('the refusal', async () => /a restart is required/.test(await ask('execute("messages")')), screen)
      },
      terminal: () => ask('luaeval("Terminal()")'),
      dump: async () => {
        const log = path.join(env.XDG_STATE_HOME, 'nvim/lsp.log')
        const old = path.join(env.XDG_CACHE_HOME, 'nvim/lsp.log')
        const file = (await exists(log)) ? log : old
        return `${await screen()}\n${await ask('execute("messages")').catch(String)}\n${await read(file).catch(String)}`
      },
    }

    try {
      await terminal('new-session', '-d', '-x', '120', '-y', '40', '-c', project,
        nvim.command, '--clean', '-u', path.join(repository, 'editors/nvim/test/init.lua'), '--listen', socket)
      await until('Neovim listens', async () => (await exists(socket)) && ask('1'), screen)
      await scenario(t, editor, port)
      await t.test('check lists what is not live', async () => {
        await editor.edit('sold int', 'sold bool')
        await editor.save()
        await command('Limeade check')
        const list = async () => JSON.parse(await ask('json_encode(getqflist())'))
        const [entry] = await until('the list', async () => (await list()).length > 0 && list(), editor.dump)
        assert.match(entry.text, /^restart LMD0302 main.Shop: /)
        assert.deepEqual([entry.lnum, entry.type], [11, 'W'])
        await command('cclose')
      })
      await t.test('checkhealth finds nothing wrong', async () => {
        await command('checkhealth limeade')
        const report = await until('the report', async () => {
          const text = await ask('join(getline(1, "$"), "\n")')
          return /process \d+ runs example.com\/shop/.test(text) && text
        }, editor.dump)
        assert.doesNotMatch(report, /ERROR|WARNING/)
      })
      await t.test('help is there', async () => {
        await command('helptags $LIMEADE_PLUGIN/doc | help :Limeade')
        await until('the help', async () => (await ask('expand("%:t")')).trim() === 'limeade.txt', editor.dump)
      })
    } finally {
      await command('qall!').catch(() => {})
      await terminal('kill-server').catch(() => {})
      await rm(dir, { recursive: true, force: true, maxRetries: 5 })
    }
  })
}
