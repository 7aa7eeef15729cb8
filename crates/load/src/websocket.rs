//! The few WebSocket frames an echo needs (RFC 6455), for both ends.

use base64::Engine;
use sha1::{Digest, Sha1};

use crate::http::{Broken, Peer};

/// The largest frame taken, in bytes.
const FRAME_MAX: usize = 64 * 1024;
/// RFC 6455 §1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The frames we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// With its code; 1005 where none was given.
    Close(u16),
}

/// Who sends: clients mask, services do not (RFC 6455 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Service,
}

/// The `Sec-WebSocket-Accept` that answers a key.
pub(crate) fn accept(key: &str) -> String {
    let digest = Sha1::digest(format!("{key}{GUID}"));
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// The bytes of a frame. The mask is fixed: it guards caches in between against scripts in a browser, which there are none of here.
pub(crate) fn encode(frame: &Frame, side: Side) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let (opcode, payload) = match frame {
        Frame::Text(text) => (1, text.clone()),
        Frame::Ping(data) => (9, data.clone()),
        Frame::Pong(data) => (10, data.clone()),
        Frame::Close(code) => (8, code.to_be_bytes().to_vec()),
    };
    let mask_bit = if side == Side::Client { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..=125 => bytes.push(mask_bit | short as u8),
        long => {
            bytes.push(mask_bit | 126);
            bytes.extend((long.min(usize::from(u16::MAX)) as u16).to_be_bytes());
        }
    }
    if side == Side::Client {
        bytes.extend(MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        bytes.extend(payload);
    }
    bytes
}

/// The next frame; fragments are refused, since nobody here sends any.
pub(crate) async fn read(peer: &mut Peer) -> Result<Frame, Broken> {
    let start = peer.exactly(2).await?;
    let (opcode, masked) = (start[0] & 0x0f, start[1] & 0x80 != 0);
    if start[0] & 0x80 == 0 {
        return Err(Broken::malformed("a fragmented frame"));
    }
    let length = match start[1] & 0x7f {
        127 => return Err(Broken::malformed("a frame past 64 KiB")),
        126 => {
            let long = peer.exactly(2).await?;
            usize::from(u16::from_be_bytes([long[0], long[1]]))
        }
        short => usize::from(short),
    };
    if length > FRAME_MAX {
        return Err(Broken::malformed("a frame past 64 KiB"));
    }
    let mask = if masked { peer.exactly(4).await? } else { vec![0; 4] };
    let mut payload = peer.exactly(length).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    match opcode {
        1 | 2 => Ok(Frame::Text(payload)),
        8 if payload.len() >= 2 => Ok(Frame::Close(u16::from_be_bytes([payload[0], payload[1]]))),
        8 => Ok(Frame::Close(1005)),
        9 => Ok(Frame::Ping(payload)),
        10 => Ok(Frame::Pong(payload)),
        other => Err(Broken::malformed(format!("opcode {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn the_masked_hello_of_the_rfc() {
        let bytes = encode(&Frame::Text(b"Hello".to_vec()), Side::Client);
        assert_eq!(bytes, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }
}
