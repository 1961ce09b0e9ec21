// Drives VS Code with the packaged extension through the scenario, by keys, the palette and the mouse.
import assert from 'node:assert/strict'
import { cp, mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import test from 'node:test'
import { freePort, patience, scenario, until } from '../../test/scenario.mjs'
import { gopls, moduleProxy, read, repository, run, stage } from '../../test/tools.mjs'
import { Code } from './browser.mjs'

const here = path.join(repository, 'editors/vscode')
const bin = path.join(here, 'node_modules/.bin')

test('VS Code', async (t) => {
  const { dir, project, env } = await stage()
  const port = await freePort()
  const diagnostics = path.join(dir, 'diagnostics.json')
  const proxy = await moduleProxy(path.join(dir, 'proxy'), env.GOMODCACHE)
  Object.assign(env, {
    SHOP_PORT: String(port),
    GOPLS: await gopls(),
    DIAGNOSTICS: diagnostics,
    // go install finds Limeade in a proxy of our own.
    GOBIN: path.join(dir, 'bin'),
    GOPROXY: `${proxy.url},${env.GOPROXY}`,
    GONOSUMDB: 'github.com/limeade-go/limeade',
  })

  const beside = path.join(dir, 'gopls')
  await cp(path.join(here, 'test/gopls/package.json'), path.join(beside, 'package.json'))
  await run(path.join(bin, 'esbuild'), [
    path.join(here, 'test/gopls/main.ts'), '--bundle', '--platform=node', '--external:vscode', `--outfile=${path.join(beside, 'extension.js')}`,
  ])
  await run(path.join(bin, 'vsce'), ['package', '--no-dependencies', '--skip-license', '--out', path.join(dir, 'gopls.vsix')], { cwd: beside })

  const begun = Date.now()
  const code = await Code.start({ dir, project, env, extensions: [path.join(here, 'limeade.vsix'), path.join(dir, 'gopls.vsix')] })
  const { page } = code
  const titles = { run: 'Limeade: Run', rollback: 'Limeade: Roll Back' }

  /** @type {import('../../test/scenario.mjs').Editor} */
  const editor = {
    open: (file) => code.open(file),
    edit: (from, to) => code.replace(from, to),
    save: () => page.keyboard.press('Control+s'),
    undo: () => page.keyboard.press('Control+z'),
    press: async (key) => {
      if (key === 'refresh') return page.keyboard.press('Control+Alt+r')
      if (key === 'restart') return code.notification('a restart is required').getByRole('button', { name: 'Restart' }).click()
      return code.command(titles[key])
    },
    refused: () => code.notification('a restart is required').waitFor(),
    warnings: async () => JSON.parse(await read(diagnostics)),
    lenses: () => page.locator('.codelens-decoration a').allInnerTexts(),
    status: () => code.status(),
    terminal: () => code.terminal(),
    picture: (name) => picture(name),
    dump: () => code.dump(),
  }

  /** @param {string} name */
  async function picture(name) {
    if (name === 'refreshed') t.diagnostic(`installed, run, edited and refreshed in ${Math.round((Date.now() - begun) / 1000)} s`)
    const images = process.env.LIMEADE_IMAGES
    if (!images) return
    await mkdir(images, { recursive: true })
    await page.mouse.move(5, 300)
    if (name === 'palette') {
      await page.keyboard.press('F1')
      await page.locator('.quick-input-widget input.input').fill('>Limeade')
      await page.locator('.quick-input-list .monaco-list-row', { hasText: 'Limeade: Refresh' }).waitFor()
    }
    if (name === 'warning') {
      await page.locator('.view-line', { hasText: 'type Shop struct' }).getByText('Shop').first().hover()
      await page.locator('.monaco-hover', { hasText: 'LMD0301' }).waitFor()
    }
    await page.screenshot({ path: path.join(images, `${name}.png`) })
    await page.keyboard.press('Escape')
  }

  try {
    await t.test('the server is installed on request', async () => {
      await code.notification('not installed').getByRole('button', { name: 'Install' }).click()
      await until('the server runs', async () => (await code.status()).trim() === 'Limeade', editor.dump, 4 * patience) // go install compiles it all
    })
    await scenario(t, editor, port)
    await t.test('check lists what is not live', async () => {
      await code.replace('sold int', 'sold bool')
      await editor.save()
      await code.command('Limeade: Check')
      await page.locator('.quick-input-list .monaco-list-row', { hasText: 'restart LMD0302' }).click()
      await page.locator('.statusbar-item', { hasText: 'Ln 11, Col 6' }).waitFor()
    })
    await t.test('a code is explained', async () => {
      await until('the light bulb is open', async () => {
        await page.keyboard.press('Escape')
        await code.focus()
        await page.keyboard.press('Control+.')
        return page.locator('.action-widget .monaco-list-row', { hasText: 'explain LMD0302' }).click({ timeout: 5000 }).then(() => true)
      }, editor.dump)
      await page.locator('.view-line', { hasText: 'What to do' }).waitFor()
      await picture('explained')
    })
    await t.test('it is activated fast', async () => {
      await page.setViewportSize({ width: 1100, height: 3000 }) // only rows that are in sight are there
      await code.command('Developer: Show Running Extensions')
      const row = page.locator('.runtime-extensions-editor .monaco-list-row', { hasText: 'Limeade' })
      const time = await until('its time', async () => /Activation: (\d+)ms/.exec(await row.innerText())?.[1], editor.dump)
      t.diagnostic(`activation: ${time} ms`)
      assert(Number(time) < 1000)
    })
  } finally {
    await code.stop()
    await proxy.forget()
    if (!process.env.LIMEADE_KEEP) await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  }
})
