//! What instances write, kept in bounded files, read back merged by time.
