// An extension for the test: gopls, as the Go extension starts it, and a file with the diagnostics that VS Code has.
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import * as vscode from 'vscode'
import { LanguageClient } from 'vscode-languageclient/node'

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const write = () => {
    const list = vscode.languages.getDiagnostics().flatMap(([uri, diagnostics]) =>
      diagnostics.map((d) => ({
        file: path.basename(uri.path),
        line: d.range.start.line + 1,
        code: String(typeof d.code === 'object' ? d.code.value : d.code),
        source: d.source,
        severity: vscode.DiagnosticSeverity[d.severity].toLowerCase(),
      })),
    )
    writeFileSync(process.env.DIAGNOSTICS!, JSON.stringify(list))
  }
  context.subscriptions.push(vscode.languages.onDidChangeDiagnostics(write))
  write()
  const client = new LanguageClient('gopls', 'gopls', { command: process.env.GOPLS! }, { documentSelector: [{ scheme: 'file', language: 'go' }] })
  context.subscriptions.push(client)
  await client.start()
}
