//go:build go1.25

package patch

import "strconv"

// SocketDirs lists the directories in which an agent of the user uid may listen, best first. runtimeDir is the value of
// XDG_RUNTIME_DIR. A directory that is not private to the user must not be used.
func SocketDirs(runtimeDir string, uid int) []string {
	dirs := make([]string, 0, 2)
	if len(runtimeDir) > 0 && runtimeDir[0] == '/' {
		dirs = append(dirs, runtimeDir+"/limeade")
	}
	return append(dirs, "/tmp/limeade-"+strconv.Itoa(uid))
}

// SocketName is the name of the socket of a process in one of the SocketDirs.
func SocketName(pid int) string { return strconv.Itoa(pid) + ".sock" }

// Unready is what follows that name until somebody listens there. The kernel knows a socket by the first name that it had.
const Unready = ".new"
