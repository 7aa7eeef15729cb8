//! A sans-IO HTTP/1.1 codec over httparse: heads, framing, bodies, upgrades, for both sides.
