// What the server says beside the language server protocol. server/show.go and server/session/answer.go define it.
import { NotificationType, RequestType } from 'vscode-languageclient/node'

export interface Edit {
  decl: string
  kind: string
  verdict: 'hot' | 'caveat' | 'restart'
  code: string
  /** Relative to the module's root; lines and columns count from 1. */
  file: string
  line: number
  column: number
  message: string
}

export interface Failure {
  kind: 'refused' | 'source' | 'process' | 'usage'
  message: string
}

export interface Answer {
  generation: number
  applied: boolean
  pid: number
  edits: Edit[] | null
  phases: { total_ms: number }
  error: Failure | null
  others?: Answer[]
}

export interface Process {
  pid: number
  package: string
  dir: string
  generation: number
  pending: Edit[] | null
  error?: Failure
}

export interface Status {
  processes: Process[]
  /** The command that is being carried out, '' for none. */
  working: string
  last: { command: string; answer: Answer } | null
}

export interface Explanation {
  code: string
  text: string
}

export const statusNotification = new NotificationType<Status>('limeade/status')

export const terminalRequest = new RequestType<{ title: string; dir: string; command: string[] }, { pid: number }, void>(
  'limeade/runInTerminal',
)
