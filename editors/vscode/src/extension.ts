// Limeade in VS Code. All that is known of Go, programs and edits is in the server, limeade-lsp; here is what VS Code shows
// of it.
import path from 'node:path'
import * as vscode from 'vscode'
import { ExecuteCommandRequest, LanguageClient, type LanguageClientOptions, State } from 'vscode-languageclient/node'
import { type Answer, type Edit, type Explanation, statusNotification, terminalRequest } from './protocol'
import { findServer, installServer, runTask } from './server'
import { StatusBar } from './status'

let client: LanguageClient | undefined

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel('Limeade', { log: true })
  const status = new StatusBar()
  const explanations = new Explanations()
  let starting: Promise<void> | undefined

  const start = async () => {
    const command = await findServer()
    await vscode.commands.executeCommand('setContext', 'limeade.installed', command !== undefined)
    if (!command) {
      status.fail('is not installed')
      void offerToInstall()
      return
    }
    client = newClient(command, log, status, explanations)
    try {
      await client.start()
    } catch (error) {
      log.error(String(error))
      status.fail('does not start')
    }
  }
  const restart = async () => {
    await client?.dispose()
    client = undefined
    starting = start()
    await starting
  }
  const install = async () => {
    if (await installServer()) await restart()
  }
  const offerToInstall = async () => {
    const [yes, settings] = ['Install', 'Open Settings']
    const choice = await vscode.window.showWarningMessage('Limeade needs its server, limeade-lsp, which is not installed.', yes, settings)
    if (choice === yes) await install()
    if (choice === settings) await vscode.commands.executeCommand('workbench.action.openSettings', 'limeade.server.path')
  }

  /** Has the server carry out a command; it says itself what goes wrong with programs. */
  const execute = async <R>(name: string, argument: object = {}): Promise<R | undefined> => {
    await starting
    if (!client?.isRunning()) {
      void offerToInstall()
      return undefined
    }
    try {
      return (await client.sendRequest(ExecuteCommandRequest.type, { command: `limeade.lsp.${name}`, arguments: [argument] })) as R
    } catch (error) {
      void vscode.window.showErrorMessage(`Limeade: ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }

  const commands: Record<string, () => unknown> = {
    run: () => execute('run'),
    refresh: () => execute('refresh'),
    rollback: () => execute('rollback'),
    restart: () => execute('restart'),
    check: async () => {
      const answer = await execute<Answer>('check')
      if (answer) await showCheck(answer, status)
    },
    showLog: () => log.show(),
    install,
  }
  for (const [name, run] of Object.entries(commands)) {
    context.subscriptions.push(vscode.commands.registerCommand(`limeade.${name}`, run))
  }
  context.subscriptions.push(
    log,
    status,
    vscode.workspace.registerTextDocumentContentProvider(Explanations.scheme, explanations),
    vscode.workspace.onDidChangeConfiguration((e) => {
      if (e.affectsConfiguration('limeade.server.path')) void restart()
    }),
  )
  void vscode.commands.executeCommand('setContext', 'limeade.active', true)
  starting = start()
}

export async function deactivate(): Promise<void> {
  await client?.dispose()
}

function newClient(command: string, log: vscode.LogOutputChannel, status: StatusBar, explanations: Explanations): LanguageClient {
  const settings = vscode.workspace.getConfiguration('limeade')
  const options: LanguageClientOptions = {
    documentSelector: [
      { scheme: 'file', language: 'go' },
      { scheme: 'file', pattern: '**/go.{mod,work}' },
    ],
    outputChannel: log,
    initializationOptions: Object.fromEntries(
      ['refreshOnSave', 'package', 'buildFlags', 'severity'].map((name) => [name, settings.get<unknown>(name)]),
    ),
    synchronize: { configurationSection: 'limeade' },
    middleware: {
      // What the code actions of the server ask for comes by here.
      executeCommand: async (command, args, next) => {
        const result: unknown = await next(command, args)
        if (command === 'limeade.lsp.explain') await explanations.show(result as Explanation)
        return result
      },
    },
  }
  const server = { command, args: ['serve'], options: { env: process.env } }
  const client = new LanguageClient('limeade', 'Limeade', { run: server, debug: server }, options)
  client.registerFeature({
    fillClientCapabilities: (capabilities) => {
      capabilities.experimental = { ...(capabilities.experimental as object), limeadeStatus: true, limeadeTerminal: true }
    },
    initialize: () => {},
    getState: () => ({ kind: 'static' }),
    clear: () => {},
  })
  client.onNotification(statusNotification, (s) => status.show(s))
  client.onRequest(terminalRequest, async ({ dir, command: [program, ...args] }) => {
    const task = runTask(path.basename(dir), new vscode.ProcessExecution(program, args, { cwd: dir }))
    return { pid: await task.pid }
  })
  client.onDidChangeState((e) => {
    if (e.newState === State.Stopped) status.fail('is not running')
  })
  return client
}

/** Lists what is not live yet, to jump to. */
async function showCheck(answer: Answer, status: StatusBar): Promise<void> {
  const items = [answer, ...(answer.others ?? [])].flatMap((a) =>
    (a.edits ?? []).map((edit) => ({
      edit,
      file: vscode.Uri.file(path.join(status.dirOf(a.pid), edit.file)),
      label: `$(${icons[edit.verdict]}) ${edit.decl}`,
      description: `${edit.verdict} ${edit.code}`,
      detail: edit.message,
    })),
  )
  if (items.length === 0) {
    if (!answer.error) void vscode.window.showInformationMessage('Limeade: everything is live.')
    else void vscode.window.showWarningMessage(`Limeade: ${answer.error.message}`)
    return
  }
  const chosen = await vscode.window.showQuickPick(items, { title: 'Limeade: not live yet', matchOnDetail: true })
  if (!chosen) return
  const at = new vscode.Position(chosen.edit.line - 1, chosen.edit.column - 1)
  await vscode.window.showTextDocument(chosen.file, { selection: new vscode.Range(at, at) })
}

const icons: Record<Edit['verdict'], string> = { hot: 'zap', caveat: 'info', restart: 'warning' }

/** Explanations are documents that only exist to be read. */
class Explanations implements vscode.TextDocumentContentProvider {
  static readonly scheme = 'limeade'
  private readonly texts = new Map<string, string>()

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.path) ?? ''
  }

  async show({ code, text }: Explanation): Promise<void> {
    const uri = vscode.Uri.from({ scheme: Explanations.scheme, path: `${code}.md` }) // VS Code wraps the lines of such files
    this.texts.set(uri.path, text)
    const document = await vscode.workspace.openTextDocument(uri)
    await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true, preview: true })
  }
}
