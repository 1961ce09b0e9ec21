;; ~/.emacs.d/init.el, with lsp-mode and go-mode
(require 'lsp-mode)

(lsp-register-client
 (make-lsp-client
  :new-connection (lsp-stdio-connection '("limeade-lsp" "serve" "--stdio"))
  :activation-fn (lsp-activate-on "go" "go.mod")
  :server-id 'limeade
  :priority -1
  :add-on? t)) ; beside gopls

;; With Flymake, lsp-mode shows a buffer what the server says that spoke last, and only if the buffer is the current one
;; then (emacs-lsp/lsp-mode#2808): gopls would hide Limeade's warnings. Flycheck needs none of this.
(defun limeade-show-all ()
  "Have Flymake show what all servers say, in each buffer."
  (dolist (buffer (buffer-list))
    (with-current-buffer buffer
      (when (bound-and-true-p lsp-diagnostics--flymake-report-fn)
        (let (lsp--cur-workspace)
          (lsp-diagnostics--flymake-update-diagnostics))))))

(add-hook 'lsp-diagnostics-updated-hook #'limeade-show-all)

(defun limeade-do (command)
  "Have Limeade carry out COMMAND: refresh, rollback or restart."
  (with-lsp-workspace (lsp-find-workspace 'limeade nil)
    (lsp-request "workspace/executeCommand" (list :command (concat "limeade.lsp." command)))))

(global-set-key (kbd "C-c l r") (lambda () (interactive) (limeade-do "refresh")))
(global-set-key (kbd "C-c l b") (lambda () (interactive) (limeade-do "rollback")))
(global-set-key (kbd "C-c l R") (lambda () (interactive) (limeade-do "restart")))

(add-hook 'go-mode-hook #'lsp-deferred)
