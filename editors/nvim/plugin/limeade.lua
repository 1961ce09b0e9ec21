if vim.g.loaded_limeade then
  return
end
vim.g.loaded_limeade = true

vim.api.nvim_create_user_command("Limeade", function(o)
  require("limeade").command(o.fargs)
end, {
  nargs = "*",
  complete = function(lead, line)
    return require("limeade").complete(lead, line)
  end,
  desc = "Limeade: run, refresh, rollback, restart, check, log",
})
