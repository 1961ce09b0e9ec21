// The item in the status bar: which programs run, at which generation, and what of the source they do not run yet.
import * as vscode from 'vscode'
import type { Process, Status } from './protocol'

export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem('limeade.status', vscode.StatusBarAlignment.Left, 50)
  private status: Status = { processes: [], working: '', last: null }

  constructor() {
    this.item.name = 'Limeade'
    this.show(this.status)
    this.item.show()
  }

  show(status: Status): void {
    const before = this.status
    this.status = status
    const { processes, working, last } = status
    const restart = processes.some(needsRestart)
    this.item.text = `${working ? '$(sync~spin)' : '$(zap)'} ${working && processes.length === 0 ? working : describe(processes)}`
    this.item.backgroundColor = restart ? new vscode.ThemeColor('statusBarItem.warningBackground') : undefined
    this.item.command = processes.length > 0 ? 'limeade.refresh' : 'limeade.run'
    this.item.tooltip = tooltip(status)
    if (before.working && !working && last && !last.answer.error) {
      const { applied, generation, phases } = last.answer
      const result = applied ? `generation ${generation}, ${Math.round(phases.total_ms)} ms` : 'nothing to do'
      vscode.window.setStatusBarMessage(`Limeade ${last.command}: ${result}`, 8000)
    }
    void vscode.commands.executeCommand('setContext', 'limeade.running', processes.length > 0)
  }

  /** Shows what hinders the server. */
  fail(text: string): void {
    this.show({ processes: [], working: '', last: null })
    this.item.text = `$(warning) Limeade ${text}`
    this.item.tooltip = undefined
  }

  /** Where the files of a process are. */
  dirOf(pid: number): string {
    return this.status.processes.find((p) => p.pid === pid)?.dir ?? ''
  }

  dispose(): void {
    this.item.dispose()
  }
}

function needsRestart(p: Process): boolean {
  return (p.pending ?? []).some((e) => e.verdict === 'restart')
}

/** The text of the item, as Neovim's status line has it too. */
function describe(processes: Process[]): string {
  const texts = processes.map((p) => {
    const text = `${p.package.slice(p.package.lastIndexOf('/') + 1)} gen ${p.generation}`
    const pending = p.pending?.length ?? 0
    return needsRestart(p) ? `${text}, restart required` : pending > 0 ? `${text}, ${pending} pending` : text
  })
  return texts.join(' | ') || 'Limeade'
}

function tooltip({ processes }: Status): vscode.MarkdownString {
  const text = new vscode.MarkdownString()
  if (processes.length === 0) {
    return text.appendText('No program of this workspace runs. Click to run one.')
  }
  for (const p of processes) {
    text.appendMarkdown(`**Process ${p.pid}**, generation ${p.generation}: `).appendText(p.package).appendMarkdown('\n\n')
    for (const e of p.pending ?? []) {
      text.appendMarkdown(`- *${e.verdict}* ${e.code} `).appendText(e.decl).appendMarkdown('\n')
    }
    if (p.error) text.appendText(p.error.message)
    text.appendMarkdown('\n\n')
  }
  return text.appendText('Click to refresh.')
}
