// Tries the recipes: each editor has the server beside gopls, shows what it says, and makes an edit live by a key.
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import test from 'node:test'
import { freePort, until } from '../test/scenario.mjs'
import { debian, debianPackages, fromDebian, gopls, limeade, read, repository, run, stage } from '../test/tools.mjs'

const here = path.join(repository, 'editors/recipes')
const tmux = await debian('tmux')
const goplsDir = path.dirname(await gopls())

/**
 * @typedef {object} Recipe
 * @property {string} name
 * @property {(env: Record<string, string>, dir: string) => Promise<string[]>} start puts the recipe in its place, and returns the command
 * @property {Keys} edit makes "Hello" a "Welcome" and saves
 * @property {Keys} refresh
 * @property {Keys} field adds a field, saves, and has the warning shown
 *
 * @typedef {(string | RegExp | {paste: string})[]} Keys what is typed; names of keys are in angle brackets; a regular expression
 *   waits until the screen is like that
 */

/**
 * @param {string} from
 * @param {string} to
 */
function replaced(from, to) {
  return ['<M-<>', '<M-x>', 'replace-string', '<Enter>', from, '<Enter>', to, '<Enter>', '<C-x>', '<C-s>']
}

// The mode line counts errors and warnings; the list has the texts.
const flymake = [/Flymake\[0 1\]/, '<M-x>', 'flymake-show-buffer-diagnostics', '<Enter>']

/**
 * Makes the init file of an Emacs, and returns the command.
 * @param {string} dir
 * @param {string} recipe
 * @param {string[]} packages that the recipe needs beside go-mode
 * @param {string} settings what a test does not want on the screen
 */
async function emacs(dir, recipe, packages, settings) {
  const program = await debian('emacs', ['emacs-nox'])
  await debianPackages(...packages, 'elpa-go-mode')
  const init = path.join(dir, 'init.el')
  await writeFile(init, `${await read(path.join(here, recipe))}
(setq lsp-session-file "${dir}/session" lsp-auto-guess-root t make-backup-files nil create-lockfiles nil)
${settings}
`)
  return [program, '-nw', '--no-init-file', '-f', 'package-initialize', '-l', init]
}

/** @type {Recipe[]} */
const recipes = [
  {
    name: 'Helix',
    start: async (env) => {
      const root = await fromDebian('trixie', 'hx', 'usr/bin/hx')
      env.HELIX_RUNTIME = path.join(root, 'usr/lib/hx/runtime')
      const config = path.join(env.XDG_CONFIG_HOME, 'helix')
      await mkdir(config)
      for (const name of ['languages.toml', 'config.toml']) {
        await writeFile(path.join(config, name), await read(path.join(here, `helix-${name}`)))
      }
      return [path.join(root, 'usr/bin/hx')]
    },
    // Helix sends changes out of order that come faster than anybody types; a paste is one. Its text is as gopls formats it.
    field: ['gg', '/visitors int', '<Enter>', 'o', /INS/, { paste: 'sold     int' }, '<Escape>', /NOR/, ':w', '<Enter>', 'gg', '/type Shop', '<Enter>'],
    edit: ['gg', '/Hello', '<Enter>', 'c', /INS/, { paste: 'Welcome' }, '<Escape>', /NOR/, ':w', '<Enter>'],
    refresh: [' ', 'l', 'r'],
  },
  {
    name: 'Vim with ALE',
    start: async (_, dir) => {
      const vim = await debian('vim')
      await debianPackages('vim-ale')
      const vimrc = path.join(dir, 'vimrc')
      const recipe = await read(path.join(here, 'ale.vim'))
      await writeFile(vimrc, `set nocompatible noswapfile\nlet g:ale_open_list = 1\nfiletype plugin on\npackadd ale\n${recipe}`)
      return [vim, '-u', vimrc]
    },
    field: [':%s/visitors int/visitors int; sold int/', '<Enter>', ':w', '<Enter>'],
    edit: [':%s/Hello/Welcome/', '<Enter>', ':w', '<Enter>'],
    refresh: ['\\', 'l', 'r'],
  },
  {
    name: 'Emacs with lsp-mode',
    start: (_, dir) => emacs(dir, 'lsp-mode.el', ['elpa-lsp-mode'], '(setq lsp-headerline-breadcrumb-enable nil lsp-modeline-diagnostics-enable nil)'),
    edit: [/limeade:\d+\]/, ...replaced('Hello', 'Welcome')],
    refresh: ['<C-c>', 'l', 'r'],
    field: [...replaced('visitors int', 'visitors int; sold int'), ...flymake],
  },
  {
    name: 'Emacs with Eglot',
    start: (_, dir) => emacs(dir, 'eglot.el', ['elpa-eglot'], ''),
    edit: [/\[eglot:/, ...replaced('Hello', 'Welcome')],
    refresh: ['<C-c>', 'l', 'r'],
    field: [...replaced('visitors int', 'visitors int; sold int'), ...flymake],
  },
]

for (const recipe of recipes) {
  test(recipe.name, async (t) => {
    const { dir, project, env } = await stage()
    const port = await freePort()
    env.PATH = [path.dirname(await limeade(dir)), goplsDir, process.env.PATH].join(path.delimiter)
    const inTmux = ['-S', path.join(dir, 'tmux.sock'), '-f', '/dev/null']
    const command = await recipe.start(env, dir)
    const all = { ...process.env, ...env, SHOP_PORT: String(port), TERM: 'screen-256color', LC_ALL: 'C.UTF-8', COLORTERM: 'truecolor' }
    /** @param {string[]} args */
    const terminal = (...args) => run(tmux, [...inTmux, ...args], { env: all })
    const screen = () => terminal('capture-pane', '-p', '-t', 'editor')
    /** @param {Keys} keys */
    const type = async (keys) => {
      for (const key of keys) {
        if (key instanceof RegExp) {
          await until(`${key}`, async () => key.test(await screen()), screen)
          continue
        }
        if (typeof key === 'object') {
          await terminal('set-buffer', '--', key.paste)
          await terminal('paste-buffer', '-p', '-t', 'editor')
          continue
        }
        const name = /^<(.+)>$/.exec(key)?.[1]
        await terminal('send-keys', '-t', 'editor', ...(name ? [name] : ['-l', key]))
      }
    }
    /** @param {string} text */
    const greets = (text) =>
      until(`the program says ${text}`, async () => (await (await fetch(`http://127.0.0.1:${port}/`)).text()).startsWith(text), screen)

    try {
      await terminal('new-session', '-d', '-s', 'program', '-c', project, 'limeade-lsp', 'run', '.')
      await greets('Hello')
      await terminal('new-session', '-d', '-s', 'editor', '-x', '120', '-y', '40', '-c', project, ...command, 'shop.go')
      await until('the file', async () => (await screen()).includes('type Shop struct'), screen)

      await t.test('an edit goes live by a key', async () => {
        await type(recipe.edit)
        await until('the edit is saved', async () => (await read(path.join(project, 'shop.go'))).includes('"Welcome'), screen)
        await type(recipe.refresh)
        await greets('Welcome')
      })
      await t.test('what the server says is shown', async () => {
        await type(recipe.field)
        await until('the warning', async () => (await screen()).includes('a struct got a field'), screen)
      })
    } finally {
      await terminal('kill-server').catch(() => {})
      await rm(dir, { recursive: true, force: true, maxRetries: 5 })
    }
  })
}
