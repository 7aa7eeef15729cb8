//! The data plane: accept, HTTP/1.1, upstream connections, replay, hold, drain, control socket.
