// Installs what the tests of the editors need, where it is missing. If that cannot be, it says in one line what to do.
import { codeServer, debian, debianPackages, fromDebian, gopls, neovims } from './tools.mjs'

try {
  await debian('tmux')
  await debian('vim')
  await debian('emacs', ['emacs-nox'])
  await debian('chromium')
  await debianPackages('vim-ale', 'elpa-go-mode', 'elpa-lsp-mode', 'elpa-eglot')
  await fromDebian('trixie', 'hx', 'usr/bin/hx')
  await neovims()
  await codeServer()
  await gopls()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
