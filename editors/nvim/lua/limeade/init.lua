-- Limeade in Neovim. All that is known of Go, programs and edits is in the server, limeade-lsp; here is what
-- Neovim shows of it: commands, keys, a terminal, a text for the status line. Works with Neovim 0.7 and later.
local client = require("limeade.client")

local M = {}

local defaults = {
  -- The server; the first word may be a path. nil: limeade-lsp from PATH, $GOBIN, $GOPATH/bin or ~/go/bin.
  cmd = nil,
  -- What the keys begin with, false for none.
  keys = "<leader>l",
  -- As the server has them: refreshOnSave, buildFlags, package, severity.
  settings = {},
}

local keys = {
  { "r", "refresh", "make the saved edits live" },
  { "s", "run", "build and start the program" },
  { "b", "rollback", "undo the last refresh" },
  { "R", "restart", "build anew and start again" },
  { "c", "check", "list what is not live yet" },
  { "l", "log", "open the log" },
}

--- Starts the server with the first Go file of a module, and sets the keys.
function M.setup(options)
  local config = vim.tbl_deep_extend("force", defaults, options or {})
  if config.keys then
    for _, k in ipairs(keys) do
      vim.keymap.set("n", config.keys .. k[1], "<Cmd>Limeade " .. k[2] .. "<CR>", { desc = "Limeade: " .. k[3] })
    end
  end
  client.enable(config)
end

--- Does what `:Limeade` was called with.
function M.command(words)
  local name = words[1] or "refresh"
  local do_it = client.commands[name]
  if not do_it then
    client.say("no such command: " .. name .. "; there are " .. table.concat(M.complete("", "Limeade "), ", "), "ERROR")
    return
  end
  do_it(vim.list_slice(words, 2))
end

--- Completes the first word of `:Limeade`; those of run are file names.
function M.complete(lead, line)
  if line:match("^%s*%S+%s+run%s") then
    return vim.fn.getcompletion(lead, "dir")
  end
  if line:match("^%s*%S+%s+%S+%s") then
    return {}
  end
  local names = vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, vim.tbl_keys(client.commands))
  table.sort(names)
  return names
end

--- What the programs of the workspace do, for a status line: "shop gen 2, 1 pending"; "" if none runs.
function M.statusline()
  local s = client.status
  local texts = {}
  for _, p in ipairs(s.processes) do
    local text = p.package:match("[^/]+$") .. " gen " .. p.generation
    if client.needs_restart(p) then
      text = text .. ", restart required"
    elseif #p.pending > 0 then
      text = text .. ", " .. #p.pending .. " pending"
    end
    table.insert(texts, text)
  end
  if s.working ~= "" then
    table.insert(texts, s.working .. " …")
  end
  return table.concat(texts, " | ")
end

return M
