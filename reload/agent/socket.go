//go:build linux && amd64 && go1.25

package agent

import (
	"errors"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/limeade-go/limeade/reload/agent/internal/rt"
	"github.com/limeade-go/limeade/reload/patch"
)

const (
	// maxClients bounds the conversations at one time; each takes a thread.
	maxClients = 16
	// backlog is how many more may wait to be taken or turned away.
	backlog = 128
	// patience is how long a client may take to send or take one frame once it has begun, in seconds.
	patience = 10
	// lowFD keeps the listener out of the way of a program that counts on small descriptors.
	lowFD = 200
)

// A listener is the agent's socket.
type listener struct {
	fd      int
	uid     int // who may connect
	clients atomic.Int32
}

// listen opens the socket of this process.
func listen() (*listener, error) {
	uid := syscall.Geteuid()
	runtimeDir, _ := syscall.Getenv("XDG_RUNTIME_DIR")
	var errs []error
	for _, dir := range patch.SocketDirs(runtimeDir, uid) {
		err := private(dir, uid)
		if err == nil {
			var fd int
			if fd, err = bind(dir + "/" + patch.SocketName(syscall.Getpid())); err == nil {
				return &listener{fd: fd, uid: uid}, nil
			}
		}
		errs = append(errs, errors.New(dir+": "+err.Error()))
	}
	message := ""
	for i, err := range errs {
		if i > 0 {
			message += "; "
		}
		message += err.Error()
	}
	return nil, errors.New(message)
}

// private makes dir, or makes sure that it is a directory that nobody but uid can enter.
func private(dir string, uid int) error {
	if err := syscall.Mkdir(dir, 0o700); err != nil && err != syscall.EEXIST {
		return err
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(dir, &st); err != nil {
		return err
	}
	switch {
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
		return errors.New("is not a directory; remove it")
	case int(st.Uid) != uid:
		return errors.New("belongs to user " + strconv.Itoa(int(st.Uid)))
	case st.Mode&0o077 != 0:
		return errors.New("is open to others; chmod 700 it")
	}
	return nil
}

// bind makes a listening socket at path. It appears there when it is ready: a client that sees it can connect. A socket
// that is there already is of a dead process that had this pid, unless somebody answers: a process of another pid
// namespace with the same directory.
func bind(path string) (fd int, err error) {
	if answers(path) {
		return -1, errors.New("the socket of this pid is in use by another process (one in a container?)")
	}
	fd, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			syscall.Close(fd)
		}
	}()
	high, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, lowFD)
	if errno == 0 { // else there are fewer descriptors, and any will do
		syscall.Close(fd)
		fd = int(high)
	}
	// The mode of the file is that of the socket, less the umask.
	if err := syscall.Fchmod(fd, 0o600); err != nil {
		return -1, err
	}
	unready := path + patch.Unready
	if err := syscall.Unlink(unready); err != nil && err != syscall.ENOENT {
		return -1, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: unready}); err != nil {
		return -1, err
	}
	if err := syscall.Listen(fd, backlog); err != nil {
		return -1, err
	}
	return fd, syscall.Rename(unready, path)
}

// answers reports whether somebody listens at path.
func answers(path string) bool {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
	return err == nil || err == syscall.EAGAIN
}

// serve takes connections until the socket is closed, which only the program itself can do.
func (l *listener) serve(a *agent) {
	for {
		if rt.WaitReadable(l.fd) != nil {
			return
		}
		fd, _, err := syscall.Accept4(l.fd, syscall.SOCK_CLOEXEC)
		switch err {
		case nil:
			l.admit(fd, a)
		case syscall.EAGAIN, syscall.EINTR, syscall.ECONNABORTED:
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			rt.Sleep(1e9) // the connection stays in the queue
		default:
			return
		}
	}
}

// admit starts a conversation if the peer may have one.
func (l *listener) admit(fd int, a *agent) {
	c := conn(fd)
	peer, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil || int(peer.Uid) != l.uid {
		c.send(refuse(patch.Internal, "process belongs to another user").Encode())
		c.close()
		return
	}
	wait := syscall.Timeval{Sec: patience}
	if syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait) != nil ||
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &wait) != nil {
		c.close()
		return
	}
	if l.clients.Add(1) > maxClients {
		l.clients.Add(-1)
		c.send(refuse(patch.Busy, "process has too many clients; try again").Encode())
		c.close()
		return
	}
	rt.Go(func() {
		defer l.clients.Add(-1)
		defer c.close()
		c.converse(a)
	})
}

// A conn is the descriptor of one conversation.
type conn int

func (c conn) close() { syscall.Close(int(c)) }

// gone reports whether the peer has closed its end.
func (c conn) gone() bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(c), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return n == 0 && err == nil || err == syscall.ECONNRESET
}

// converse answers requests until the client goes away or cannot be understood.
func (c conn) converse(a *agent) {
	defer a.left(c)
	for {
		if rt.WaitReadable(int(c)) != nil {
			return
		}
		kind, payload, err := patch.ReadFrame(c, patch.MaxFrame)
		if err != nil {
			if e, ok := err.(*patch.Error); ok {
				c.send(e.Encode())
			}
			return
		}
		if !c.send(a.handle(kind, payload, c)) {
			return
		}
	}
}

// errEnd is the end of the conversation.
var errEnd = errors.New("connection closed")

// Read implements patch.Reader.
func (c conn) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(c), p)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, errEnd
		default:
			return n, nil
		}
	}
}

// send writes a frame and reports whether all of it went out. A client that is gone must not raise SIGPIPE.
func (c conn) send(frame []byte) bool {
	for len(frame) > 0 {
		n, err := syscall.SendmsgN(int(c), frame, nil, nil, syscall.MSG_NOSIGNAL)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return false
		}
		frame = frame[n:]
	}
	return true
}
