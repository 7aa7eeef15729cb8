//! Frames: a length (32 bits, big-endian) and so many bytes of JSON. Sans-IO: bytes and descriptors in, messages out.
//!
//! Descriptors come in beside the bytes. The kernel never hands them over later than the last byte they were sent with, so when a
//! frame is complete the descriptors it names are there.

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest frame: ten times the largest report or table that the bounds of the routing registry allow.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Descriptors per frame: what one message of the kernel takes is 253 (`SCM_MAX_FD`).
pub const FDS_MAX: usize = 128;

/// Descriptors that may wait for their frame.
const FDS_WAITING_MAX: usize = FDS_MAX * 2;

const HEADER: usize = 4;

/// What came is no frame of this protocol; the connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum FrameInvalid {
    /// Longer than [`FRAME_BYTES_MAX`].
    #[error("a frame of {0} bytes is longer than {FRAME_BYTES_MAX}")]
    TooLong(usize),
    /// Not the JSON that was expected.
    #[error("a frame is not a message of this protocol")]
    Json(#[from] serde_json::Error),
    /// More descriptors than any frame asks for.
    #[error("more than {FDS_WAITING_MAX} descriptors came without their frame")]
    TooManyDescriptors,
    /// A frame names descriptors that did not come with it.
    #[error("a frame names {named} descriptors and {came} came")]
    DescriptorsMissing {
        /// As the frame says.
        named: usize,
        /// As the kernel says.
        came: usize,
    },
}

/// A message as a frame.
///
/// # Errors
/// [`FrameInvalid`] when it is too long, or cannot be JSON.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameInvalid> {
    let mut frame = vec![0; HEADER];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - HEADER;
    let header =
        u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX).ok_or(FrameInvalid::TooLong(length))?;
    frame[..HEADER].copy_from_slice(&header.to_be_bytes());
    Ok(frame)
}

/// Puts frames together. `F` is the type of a descriptor.
#[derive(Debug)]
pub struct Decoder<F> {
    bytes: VecDeque<u8>,
    descriptors: VecDeque<F>,
}

impl<F> Default for Decoder<F> {
    fn default() -> Self {
        Decoder { bytes: VecDeque::new(), descriptors: VecDeque::new() }
    }
}

impl<F> Decoder<F> {
    /// Takes what came from the socket.
    ///
    /// # Errors
    /// [`FrameInvalid::TooManyDescriptors`].
    pub fn feed(&mut self, bytes: &[u8], descriptors: impl IntoIterator<Item = F>) -> Result<(), FrameInvalid> {
        self.bytes.extend(bytes);
        self.descriptors.extend(descriptors);
        if self.descriptors.len() > FDS_WAITING_MAX { Err(FrameInvalid::TooManyDescriptors) } else { Ok(()) }
    }

    /// The next message, when all of it came.
    ///
    /// # Errors
    /// [`FrameInvalid`]; the stream cannot be read on.
    pub fn message<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameInvalid> {
        if self.bytes.len() < HEADER {
            return Ok(None);
        }
        let length = self.bytes.iter().take(HEADER).fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        if length > FRAME_BYTES_MAX {
            return Err(FrameInvalid::TooLong(length));
        }
        if self.bytes.len() < HEADER + length {
            return Ok(None);
        }
        self.bytes.drain(..HEADER);
        let message = serde_json::from_slice(&self.bytes.make_contiguous()[..length]);
        self.bytes.drain(..length);
        Ok(Some(message?))
    }

    /// Whether nothing waits for its rest.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The descriptors that belong to the message just read, which says how many.
    ///
    /// # Errors
    /// [`FrameInvalid::DescriptorsMissing`].
    pub fn descriptors(&mut self, named: usize) -> Result<Vec<F>, FrameInvalid> {
        let came = self.descriptors.len();
        if named > came {
            return Err(FrameInvalid::DescriptorsMissing { named, came });
        }
        Ok(self.descriptors.drain(..named).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            texts in prop::collection::vec(any::<String>(), 1..6),
            cut in 1_usize..9,
        ) {
            let sent: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
            let bytes: Vec<u8> = sent.iter().flat_map(|message| encode(message).unwrap()).collect();
            let mut decoder = Decoder::<u32>::default();
            let mut received = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.feed(piece, []).unwrap();
                while let Some(message) = decoder.message::<Value>().unwrap() {
                    received.push(message);
                }
            }
            prop_assert_eq!(received, sent);
        }
    }

    #[test]
    fn what_is_too_long_or_no_message_is_refused_before_it_is_kept() {
        let mut decoder = Decoder::<u32>::default();
        decoder.feed(&[0xff; 4], []).unwrap();
        assert!(matches!(decoder.message::<Value>(), Err(FrameInvalid::TooLong(0xffff_ffff))));
        let mut decoder = Decoder::<u32>::default();
        decoder.feed(b"\0\0\0\x03{]}", []).unwrap();
        assert!(matches!(decoder.message::<Value>(), Err(FrameInvalid::Json(_))));
        assert!(matches!(encode(&"x".repeat(FRAME_BYTES_MAX)), Err(FrameInvalid::TooLong(_))));
    }

    #[test]
    fn descriptors_wait_for_the_frame_that_names_them() {
        let mut decoder = Decoder::default();
        let frame = encode(&json!(2)).unwrap();
        decoder.feed(&frame[..3], [7, 8, 9]).unwrap();
        assert!(decoder.message::<u32>().unwrap().is_none());
        decoder.feed(&frame[3..], []).unwrap();
        assert_eq!(decoder.message::<u32>().unwrap(), Some(2));
        assert_eq!(decoder.descriptors(2).unwrap(), [7, 8]);
        assert!(matches!(decoder.descriptors(2), Err(FrameInvalid::DescriptorsMissing { named: 2, came: 1 })));
        assert!(matches!(decoder.feed(&[], 0..1_000), Err(FrameInvalid::TooManyDescriptors)));
    }
}
