-- The client of the language server: it starts it, on whatever Neovim has for that, and shows what it says.
local M = {}

-- The last limeade/status.
M.status = { processes = {}, working = "", last = nil }

local config

-- Commands that came while a server was starting; nil if none is.
local waiting

--- Tells the user something. Neovim's own vim.notify would ask for a key after what is longer than a line; `:echomsg`
--- shortens it, and `:messages` has the whole.
function M.say(text, level)
  text = "Limeade: " .. text
  local source = debug.getinfo(vim.notify, "S").source
  if not source:find("^@vim/_") and not source:find("^=?%?$") then -- a plugin's
    vim.notify(text, vim.log.levels[level or "INFO"])
    return
  end
  local highlight = ({ ERROR = "ErrorMsg", WARN = "WarningMsg" })[level] or "None"
  vim.cmd(("echohl %s | echomsg %s | echohl None"):format(highlight, vim.fn.string((text:gsub("\n", "; ")))))
end

--- Finds the server's program, nil if there is none.
function M.executable()
  local name = config and config.cmd and config.cmd[1] or "limeade-lsp"
  for _, dir in ipairs({ "", "$GOBIN/", "$GOPATH/bin/", "~/go/bin/" }) do
    local path = vim.fn.exepath(vim.fn.expand(dir .. name))
    if path ~= "" then
      return path
    end
  end
end

--- Reports whether a refresh of a process would be refused.
function M.needs_restart(process)
  for _, e in ipairs(process.pending) do
    if e.verdict == "restart" then
      return true
    end
  end
  return false
end

local function clients()
  local get = vim.lsp.get_clients or vim.lsp.get_active_clients
  return vim.tbl_filter(function(c)
    return c.name == "limeade"
  end, get())
end

-- The directory around a file that has a go.work or a go.mod.
local function root_of(path)
  local dir = vim.fn.fnamemodify(path, ":p:h")
  for _, name in ipairs({ "go.work", "go.mod" }) do
    local found = vim.fn.findfile(name, vim.fn.escape(dir, " ;,\\") .. ";")
    if found ~= "" then
      return vim.fn.fnamemodify(found, ":p:h")
    end
  end
end

local function refresh_lenses()
  if vim.lsp.codelens.enable then
    return -- it looks after them by itself
  end
  for _, c in ipairs(clients()) do
    for _, buf in ipairs(vim.lsp.get_buffers_by_client_id(c.id)) do
      vim.api.nvim_buf_call(buf, function()
        vim.lsp.codelens.refresh(vim.fn.has("nvim-0.10") == 1 and { bufnr = buf } or nil)
      end)
    end
  end
end

-- A new outcome in one line.
local function summary(outcome)
  local a = outcome.answer
  if not a.applied then
    return outcome.command .. ": nothing to do"
  end
  return ("%s: generation %d, %.0f ms"):format(outcome.command, a.generation, a.phases.total_ms)
end

-- A list of Neovim's own: null is nil.
local function list(v)
  return type(v) == "table" and v or {}
end

local handlers = {}

handlers["limeade/status"] = function(_, status)
  local before = M.status
  for _, p in ipairs(status.processes) do
    p.pending = list(p.pending)
  end
  M.status = { processes = status.processes, working = status.working, last = status.last ~= vim.NIL and status.last or nil }
  local done = before.working ~= "" and M.status.working == "" and M.status.last
  if done and (done.answer.error == nil or done.answer.error == vim.NIL) then -- the server itself tells what went wrong
    M.say(summary(done))
  end
  vim.api.nvim_exec_autocmds("User", { pattern = "LimeadeStatus", modeline = false })
  vim.cmd("redrawstatus!")
end

handlers["limeade/runInTerminal"] = function(_, request)
  local window = vim.api.nvim_get_current_win()
  vim.cmd("botright 10new")
  local options = { cwd = request.dir }
  local job
  if vim.fn.has("nvim-0.11") == 1 then
    options.term = true
    job = vim.fn.jobstart(request.command, options)
  else
    job = vim.fn.termopen(request.command, options)
  end
  vim.cmd("normal! G") -- it follows the output
  vim.bo.buflisted = false
  vim.api.nvim_set_current_win(window)
  return { pid = vim.fn.jobpid(job) }
end

-- Neovim's own asks for an answer before anything else can be done.
handlers["window/showMessageRequest"] = function(_, request)
  local hints = { Restart = ":Limeade restart", Show = ":Limeade check" }
  local texts = {}
  for _, action in ipairs(list(request.actions)) do
    table.insert(texts, hints[action.title] or (":Limeade run " .. action.title))
  end
  local hint = #texts > 0 and "  (" .. table.concat(texts, ", ") .. ")" or ""
  M.say(request.message:gsub("^Limeade: ", "") .. hint, request.type == 1 and "ERROR" or "WARN")
  return vim.NIL
end

handlers["workspace/codeLens/refresh"] = vim.lsp.handlers["workspace/codeLens/refresh"] or function()
  refresh_lenses()
  return vim.NIL
end

local function attached(_, buf)
  if vim.lsp.codelens.enable then
    vim.lsp.codelens.enable(true, { bufnr = buf })
    return
  end
  vim.api.nvim_create_autocmd({ "BufEnter", "InsertLeave", "TextChanged", "BufWritePost" }, {
    group = vim.api.nvim_create_augroup("limeade_lenses_" .. buf, { clear = true }),
    buffer = buf,
    callback = refresh_lenses,
  })
  refresh_lenses()
end

local function client_config(cmd)
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities = vim.tbl_deep_extend("force", capabilities, {
    workspace = { codeLens = { refreshSupport = true } },
    experimental = { limeadeStatus = true, limeadeTerminal = true },
  })
  return {
    name = "limeade",
    cmd = cmd,
    capabilities = capabilities,
    handlers = handlers,
    init_options = next(config.settings) and config.settings or nil,
    before_init = function()
      waiting = waiting or {}
    end,
    on_init = function()
      local commands = waiting or {}
      waiting = nil
      vim.schedule(function() -- Neovim lists the client after this
        for _, command in ipairs(commands) do
          command()
        end
      end)
    end,
    on_attach = attached,
    on_exit = vim.schedule_wrap(function()
      waiting = nil
      M.status = { processes = {}, working = "", last = nil }
      vim.cmd("redrawstatus!")
    end),
  }
end

-- Before 0.8 there is nothing that starts one server per module.
local function start(buf, options)
  if vim.lsp.start then
    return vim.lsp.start(options, { bufnr = buf })
  end
  for _, c in ipairs(clients()) do
    if c.config.root_dir == options.root_dir and not c.is_stopped() then
      return vim.lsp.buf_attach_client(buf, c.id)
    end
  end
  options.workspace_folders = { { uri = vim.uri_from_fname(options.root_dir), name = options.root_dir } }
  local id = vim.lsp.start_client(options)
  if id then
    vim.lsp.buf_attach_client(buf, id)
  end
end

--- Has the server started with the first Go file of a module.
function M.enable(options)
  config = options
  local executable = M.executable()
  local missing = not executable
  local cmd = { executable or "limeade-lsp", "serve", "--stdio" }
  if config.cmd and #config.cmd > 1 then
    cmd = vim.list_extend({ cmd[1] }, vim.list_slice(config.cmd, 2))
  end
  if vim.lsp.enable and not missing then
    local c = client_config(cmd)
    c.filetypes, c.root_markers = { "go", "gomod" }, { "go.work", "go.mod" }
    vim.lsp.config("limeade", c)
    vim.lsp.enable("limeade")
    return
  end
  local function open(buf)
    local root = root_of(vim.api.nvim_buf_get_name(buf))
    if not root then
      return
    end
    if missing then
      M.say("limeade-lsp is not installed: go install github.com/limeade-go/limeade/cmd/limeade-lsp@latest", "WARN")
      return true -- once is enough
    end
    local c = client_config(cmd)
    c.root_dir = root
    start(buf, c)
  end
  vim.api.nvim_create_autocmd("FileType", {
    group = vim.api.nvim_create_augroup("limeade", { clear = true }),
    pattern = { "go", "gomod" },
    callback = function(event)
      return open(event.buf)
    end,
  })
  for _, buf in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(buf) and vim.tbl_contains({ "go", "gomod" }, vim.bo[buf].filetype) then
      open(buf)
    end
  end
end

-- Asks the server of the current buffer, or else the first one.
local execute
function execute(name, arguments, done)
  local all = clients()
  local here = vim.tbl_filter(function(c)
    return vim.lsp.buf_is_attached(0, c.id)
  end, all)
  local c = here[1] or all[1]
  if waiting then
    table.insert(waiting, function()
      execute(name, arguments, done)
    end)
    return
  end
  if not c then
    M.say("no server runs: open a Go file of a module; :checkhealth limeade says more", "WARN")
    return
  end
  local params = { command = "limeade.lsp." .. name, arguments = { arguments or vim.empty_dict() } }
  local handler = function(err, result)
    if err then
      M.say(err.message, "ERROR")
    elseif done then
      done(result)
    end
  end
  if vim.fn.has("nvim-0.11") == 1 then
    c:request("workspace/executeCommand", params, handler)
  else
    c.request("workspace/executeCommand", params, handler)
  end
end

-- The pending edits, where one can jump to them.
local function show_check(answer)
  local items = {}
  local answers = { answer, unpack(list(answer.others)) }
  for _, a in ipairs(answers) do
    local dir = ""
    for _, p in ipairs(M.status.processes) do
      dir = p.pid == a.pid and p.dir .. "/" or dir
    end
    for _, e in ipairs(list(a.edits)) do
      table.insert(items, {
        filename = dir .. e.file,
        lnum = e.line,
        col = e.column,
        type = ({ restart = "W", caveat = "I" })[e.verdict] or "N",
        text = ("%s %s %s: %s"):format(e.verdict, e.code, e.decl, e.message),
      })
    end
  end
  if #items == 0 then
    local err = answer.error
    M.say(type(err) == "table" and err.message or "everything is live")
    return
  end
  vim.fn.setqflist({}, " ", { title = "Limeade: not live yet", items = items })
  vim.cmd("botright copen")
end

M.commands = {
  run = function(words)
    local arguments = {}
    if words[1] and vim.fn.isdirectory(words[1]) == 1 then -- it may be of another module
      arguments.dir, arguments.package = vim.fn.fnamemodify(words[1], ":p:h"), "."
    elseif words[1] then
      arguments.dir, arguments.package = vim.fn.getcwd(), words[1]
    end
    arguments.args = words[2] and vim.list_slice(words, 2) or nil
    execute("run", next(arguments) and arguments or nil)
  end,
  refresh = function()
    execute("refresh")
  end,
  rollback = function()
    execute("rollback")
  end,
  restart = function()
    execute("restart")
  end,
  check = function()
    execute("check", nil, show_check)
  end,
  log = function()
    local path = vim.lsp.log and vim.lsp.log.get_filename and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
    vim.cmd("tabnew " .. vim.fn.fnameescape(path))
    vim.cmd("normal! G")
  end,
}

-- Of code actions: what a code means, in a window beside the cursor.
vim.lsp.commands["limeade.lsp.explain"] = function(command)
  execute("explain", command.arguments[1], function(e)
    vim.lsp.util.open_floating_preview(vim.split(e.text, "\n"), "", { border = "single", focus_id = "limeade" })
  end)
end

return M
