" ~/.vimrc
let g:ale_linters = {'go': ['gopls', 'limeade']}

call ale#linter#Define('go', {
\   'name': 'limeade',
\   'lsp': 'stdio',
\   'executable': 'limeade-lsp',
\   'command': '%e serve --stdio',
\   'project_root': {buffer -> fnamemodify(ale#path#FindNearestFile(buffer, 'go.mod'), ':h')},
\})

nnoremap <leader>lr :!limeade-lsp refresh<CR>
nnoremap <leader>lb :!limeade-lsp rollback<CR>
nnoremap <leader>lR :!limeade-lsp restart<CR>
nnoremap <leader>lc :!limeade-lsp check<CR>
