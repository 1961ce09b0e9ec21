-- A user's configuration: this plugin, and gopls beside it.
vim.opt.runtimepath:append(vim.env.LIMEADE_PLUGIN)
vim.opt.swapfile = false
vim.opt.laststatus = 2
vim.g.mapleader = " "
vim.o.statusline = "%f %m%=%{v:lua.require'limeade'.statusline()} "

require("limeade").setup()

local function gopls(buf)
  local config = { name = "gopls", cmd = { vim.env.GOPLS }, root_dir = vim.fn.getcwd() }
  if vim.lsp.start then
    vim.lsp.start(config, { bufnr = buf })
    return
  end
  Gopls = Gopls or vim.lsp.start_client(config)
  vim.lsp.buf_attach_client(buf, Gopls)
end

vim.api.nvim_create_autocmd("FileType", {
  pattern = "go",
  callback = function(event)
    gopls(event.buf)
  end,
})

-- What the test asks for.

function Warnings()
  local list = {}
  for _, d in ipairs(vim.diagnostic.get()) do
    table.insert(list, {
      file = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(d.bufnr), ":t"),
      line = d.lnum + 1,
      code = tostring(d.code or vim.tbl_get(d, "user_data", "lsp", "code")),
      source = d.source,
      severity = ({ "error", "warning", "information", "hint" })[d.severity],
    })
  end
  return vim.fn.json_encode({ list = list })
end

function Lenses()
  local list = {}
  for _, lens in ipairs(vim.lsp.codelens.get(0)) do
    table.insert(list, (lens.lens or lens).command.title) -- 0.12 has more around it
  end
  return vim.fn.json_encode({ list = list })
end

function Terminal()
  for _, buf in ipairs(vim.api.nvim_list_bufs()) do
    if vim.bo[buf].buftype == "terminal" then
      return table.concat(vim.api.nvim_buf_get_lines(buf, 0, -1, false), "\n")
    end
  end
  return ""
end
