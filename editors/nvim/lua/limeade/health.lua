-- :checkhealth limeade
local M = {}

local health = vim.health or require("health")
local start = health.start or health.report_start
local ok = health.ok or health.report_ok
local warn = health.warn or health.report_warn
local error = health.error or health.report_error

local function output(command)
  local lines = vim.fn.systemlist(command)
  return vim.v.shell_error == 0 and table.concat(lines, "\n") or nil
end

function M.check()
  local client = require("limeade.client")
  start("limeade")
  if vim.fn.has("nvim-0.7") == 1 then
    ok("Neovim is 0.7 or later")
  else
    error("Neovim is older than 0.7")
  end
  local go = vim.fn.exepath("go")
  if go == "" then
    error("go is not in PATH", { "install Go 1.26 or later: https://go.dev/dl" })
  else
    ok(output({ go, "version" }) or go)
  end
  local tool = client.executable()
  if not tool then
    error("limeade-lsp is not installed", {
      "go install github.com/limeade-go/limeade/cmd/limeade-lsp@latest",
      "or name it: require('limeade').setup({ cmd = { '/path/to/limeade-lsp', 'serve', '--stdio' } })",
    })
  else
    ok("limeade-lsp is " .. tool)
  end
  if vim.fn.has("linux") == 0 then
    error("programs can be refreshed on linux/amd64 only")
  end
  local get = vim.lsp.get_clients or vim.lsp.get_active_clients
  local running = vim.tbl_filter(function(c)
    return c.name == "limeade"
  end, get())
  if #running == 0 then
    warn("no server runs", { "call require('limeade').setup() and open a Go file of a module" })
  end
  for _, c in ipairs(running) do
    ok("a server runs for " .. (c.config.root_dir or "?"))
  end
  if #client.status.processes == 0 then
    warn("no program runs", { ":Limeade run, or in a terminal: limeade-lsp run PACKAGE" })
  end
  for _, p in ipairs(client.status.processes) do
    ok(("process %d runs %s, generation %d"):format(p.pid, p.package, p.generation))
  end
end

return M
