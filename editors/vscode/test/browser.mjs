// VS Code: code-server in headless Chromium, with hands on its keyboard.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { chromium } from 'playwright-core'
import { freePort, patience, until } from '../../test/scenario.mjs'
import { codeServer, debian, run } from '../../test/tools.mjs'

const settings = {
  'files.autoSave': 'off',
  'workbench.startupEditor': 'none',
  'workbench.colorTheme': 'Default Light Modern',
  'workbench.tips.enabled': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'chat.disableAIFeatures': true,
  'chat.commandCenter.enabled': false,
  'telemetry.telemetryLevel': 'off',
  'extensions.ignoreRecommendations': true,
  'editor.minimap.enabled': false,
  'editor.fontSize': 13,
  'editor.occurrencesHighlight': 'off',
  'editor.quickSuggestions': { other: 'off' },
  'terminal.integrated.gpuAcceleration': 'off',
  'terminal.integrated.showExitAlert': false,
  'terminal.integrated.initialHint': false,
  'git.enabled': false,
}

export class Code {
  /**
   * Starts it on a project.
   * @param {{dir: string, project: string, env: Record<string, string>, extensions: string[], settings?: object}} options
   */
  static async start({ dir, project, env, extensions, settings: own }) {
    const { node, entry } = await codeServer()
    const browser = await debian('chromium')
    const user = path.join(dir, 'user')
    await mkdir(path.join(user, 'User'), { recursive: true })
    await writeFile(path.join(user, 'User/settings.json'), JSON.stringify({ ...settings, ...own }))
    const all = { ...process.env, ...env }
    const common = [entry, '--user-data-dir', user, '--extensions-dir', path.join(dir, 'extensions')]
    for (const vsix of extensions) await run(node, [...common, '--install-extension', vsix], { env: all })
    const port = await freePort()
    const server = spawn(
      node,
      [...common, '--auth', 'none', '--bind-addr', `127.0.0.1:${port}`, '--disable-workspace-trust', '--disable-telemetry',
        '--disable-update-check', '--disable-getting-started-override'],
      { env: all, stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    )
    let log = ''
    server.stdout.on('data', (/** @type {Buffer} */ data) => (log += String(data)))
    server.stderr.on('data', (/** @type {Buffer} */ data) => (log += String(data)))
    const chrome = await chromium.launch({ executablePath: browser, args: ['--no-sandbox', '--disable-gpu'] })
    const page = await chrome.newPage({ viewport: { width: 1100, height: 720 }, deviceScaleFactor: 1 })
    page.setDefaultTimeout(patience)
    const code = new Code(server, chrome, page, user, () => log)
    try {
      const url = `http://127.0.0.1:${port}/`
      await until('code-server listens', async () => log.includes('HTTP server listening'), async () => log)
      await page.goto(`${url}?folder=${encodeURIComponent(project)}`)
      await page.locator('.monaco-workbench .statusbar').waitFor()
    } catch (error) {
      await code.stop()
      throw error
    }
    return code
  }

  /**
   * @param {import('node:child_process').ChildProcess} server
   * @param {import('playwright-core').Browser} chrome
   * @param {import('playwright-core').Page} page
   * @param {string} user
   * @param {() => string} log
   */
  constructor(server, chrome, page, user, log) {
    this.server = server
    this.chrome = chrome
    this.page = page
    this.user = user
    this.log = log
  }

  async stop() {
    await this.chrome.close()
    if (this.server.exitCode === null && this.server.pid) {
      const ended = once(this.server, 'exit')
      process.kill(-this.server.pid, 'SIGTERM')
      await ended
    }
  }

  /**
   * Picks an entry of the quick input that a prefix opens.
   * @param {string} text
   * @param {string} entry
   */
  async pick(text, entry = text) {
    const { page } = this
    const input = page.locator('.quick-input-widget input.input')
    await page.keyboard.press('F1')
    await input.waitFor()
    await input.fill(text)
    const row = page.locator('.quick-input-list .monaco-list-row', { hasText: entry.replace(/^>/, '') }).first()
    await row.click()
    await until('it is picked', async () => !(await input.isVisible()) || (await input.inputValue()) !== text) // it may ask on
  }

  /**
   * Runs a command of the palette.
   * @param {string} title
   */
  command(title) {
    return this.pick(`>${title}`)
  }

  /** @param {string} file */
  async open(file) {
    await this.pick(file)
    await this.page.locator('.tab.active', { hasText: file }).waitFor()
    await this.focus()
  }

  async focus() {
    await this.command('View: Focus Active Editor Group')
  }

  /**
   * Replaces a text with the find widget.
   * @param {string} from
   * @param {string} to
   */
  async replace(from, to) {
    const { page } = this
    await this.focus()
    await page.keyboard.press('Control+h')
    const widget = page.locator('.find-widget.visible')
    await widget.locator('.find-part textarea').fill(from)
    await widget.locator('.replace-part textarea').fill(to)
    await widget.locator('.find-part .matchesCount', { hasText: '1 of 1' }).waitFor()
    await page.keyboard.press('Control+Alt+Enter')
    await page.locator('.view-line', { hasText: to }).first().waitFor()
    await until('the find widget is closed', async () => {
      await this.focus()
      await page.keyboard.press('Escape')
      return widget.waitFor({ state: 'hidden', timeout: 2000 }).then(() => true)
    })
  }

  /** The text of the status bar's item of this extension. */
  status() {
    return this.page.locator('.statusbar-item[id^="limeade.limeade"]').first().innerText({ timeout: 5000 })
  }

  /** What is visible of the terminal. */
  async terminal() {
    const rows = await this.page.locator('.terminal-wrapper.active .xterm-rows > div').allInnerTexts()
    return rows.join('\n').replaceAll('\u00a0', ' ')
  }

  /** @param {string} text */
  notification(text) {
    return this.page.locator('.notifications-toasts .notification-list-item', { hasText: text }).first()
  }

  async dump() {
    const file = path.join(this.user, '..', 'failure.png')
    await this.page.screenshot({ path: file })
    const logs = await run('sh', ['-c', `find ${this.user} -name Limeade.log -exec cat {} +`]).catch(String)
    return `${file}\n${await this.page.locator('body').innerText()}\n${logs}\n${this.log()}`
  }
}
