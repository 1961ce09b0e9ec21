;; -*- lexical-binding: t -*-
;; ~/.emacs.d/init.el, with Eglot (Emacs has it since 29) and go-mode; the line above must be the first of the file
(require 'eglot)
(require 'go-mode)

;; Eglot has one server for a buffer, and that is gopls. So what Limeade says comes to Flymake another way.
(defvar-local limeade-check nil "The process that looks what is not live.")

(defun limeade-flymake (report &rest _)
  "Have REPORT show what of the saved buffer needs a restart."
  (unless (buffer-modified-p)
    (let ((source (current-buffer))
          (root (locate-dominating-file default-directory "go.mod")))
      (setq limeade-check
            (make-process
             :name "limeade-check"
             :buffer (generate-new-buffer " *limeade-check*")
             :command '("limeade-lsp" "check" "--json")
             :noquery t
             :sentinel
             (lambda (process _)
               (unless (process-live-p process)
                 (when (and (buffer-live-p source) (eq process (buffer-local-value 'limeade-check source)))
                   (funcall report (limeade-diagnostics process source root)))
                 (kill-buffer (process-buffer process)))))))))

(defun limeade-diagnostics (process source root)
  "Turn the answer of PROCESS into diagnostics of SOURCE, in the module at ROOT."
  (let ((answer (with-current-buffer (process-buffer process)
                  (goto-char (point-min))
                  (json-parse-buffer :object-type 'alist :array-type 'list)))
        diagnostics)
    (dolist (edit (alist-get 'edits answer) diagnostics)
      (let-alist edit
        (when (and (not (equal .verdict "hot"))
                   (file-equal-p (expand-file-name .file root) (buffer-file-name source)))
          (let ((region (flymake-diag-region source .line .column)))
            (push (flymake-make-diagnostic
                   source (car region) (cdr region)
                   (if (equal .verdict "restart") :warning :note)
                   (format "%s [%s]" .message .code))
                  diagnostics)))))))

(defun limeade-do (command)
  "Have Limeade carry out COMMAND: refresh, rollback or restart."
  (shell-command (concat "limeade-lsp " command))
  (flymake-start))

(define-key go-mode-map (kbd "C-c l r") (lambda () (interactive) (limeade-do "refresh")))
(define-key go-mode-map (kbd "C-c l b") (lambda () (interactive) (limeade-do "rollback")))
(define-key go-mode-map (kbd "C-c l R") (lambda () (interactive) (limeade-do "restart")))

(add-hook 'eglot-managed-mode-hook
          (lambda () (when (derived-mode-p 'go-mode) (add-hook 'flymake-diagnostic-functions #'limeade-flymake nil t))))
(add-hook 'go-mode-hook #'eglot-ensure)
