// Where the server is, and how it gets there.
import { access, constants } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import * as vscode from 'vscode'

const module = 'github.com/limeade-go/limeade/cmd/limeade-lsp@latest'

/** Finds limeade-lsp: in the settings, in PATH, where go install puts it. */
export async function findServer(): Promise<string | undefined> {
  const configured = vscode.workspace.getConfiguration('limeade').get<string>('server.path')
  if (configured) return (await executable(configured)) ? configured : undefined
  const { PATH = '', GOBIN, GOPATH } = process.env
  const dirs = PATH.split(path.delimiter)
  if (GOBIN) dirs.push(GOBIN)
  for (const dir of (GOPATH ?? '').split(path.delimiter)) if (dir) dirs.push(path.join(dir, 'bin'))
  dirs.push(path.join(homedir(), 'go', 'bin'))
  for (const dir of dirs) {
    const file = path.join(dir, 'limeade-lsp')
    if (dir && (await executable(file))) return file
  }
  return undefined
}

function executable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** Has go install build the server, in a terminal. */
export async function installServer(): Promise<boolean> {
  const execution = new vscode.ProcessExecution('go', ['install', module])
  return (await runTask('install', execution).exit) === 0
}

let tasks = 0

/** A task of this extension runs in a terminal that stays when the command has ended. */
export function runTask(name: string, execution: vscode.ProcessExecution): { pid: Promise<number>; exit: Promise<number | undefined> } {
  const definition = { type: 'limeade', id: ++tasks }
  const task = new vscode.Task(definition, vscode.TaskScope.Workspace, name, 'Limeade', execution)
  task.presentationOptions = { echo: false, focus: false, showReuseMessage: false, clear: true, panel: vscode.TaskPanelKind.Dedicated }
  task.problemMatchers = []
  const mine = (e: { execution: vscode.TaskExecution }) => e.execution.task.definition.id === definition.id
  const exit = new Promise<number | undefined>((resolve) => {
    const listener = vscode.tasks.onDidEndTaskProcess((e) => {
      if (!mine(e)) return
      listener.dispose()
      resolve(e.exitCode)
    })
  })
  const pid = new Promise<number>((resolve, reject) => {
    const listener = vscode.tasks.onDidStartTaskProcess((e) => {
      if (!mine(e)) return
      listener.dispose()
      resolve(e.processId)
    })
    vscode.tasks.executeTask(task).then(undefined, reject)
    void exit.then(() => reject(new Error(`${execution.process} did not start`)))
  })
  return { pid, exit }
}
