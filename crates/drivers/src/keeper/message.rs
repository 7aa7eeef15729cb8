//! What a driver and a keeper tell each other: frames of a big-endian u32 length and JSON.
//!
//! A keeper may be older than the driver by a release, or newer (I17): fields are only ever added, unknown ones are ignored, and a
//! request that a keeper does not know is answered with [`Reply::Refused`].

use serde::{Deserialize, Serialize};

use crate::driver::{Exit, NotEnforced};

/// The number of this protocol.
pub(crate) const PROTOCOL: u32 = 1;
/// The largest frame, in bytes; messages have some hundreds.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 10;

/// A request with the number its answer carries.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// Chosen by the asker; not 0.
    pub(crate) id: u64,
    /// What is asked.
    pub(crate) request: Request,
}

/// What a driver asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// The first on each connection.
    Hello {
        /// The driver's protocol.
        protocol: u32,
        /// The term it orders in; 0 only asks.
        epoch: u64,
    },
    /// How is it?
    Status,
    /// End it: SIGTERM, after so many milliseconds SIGKILL. Again while it ends: the earlier of the two deadlines holds.
    Stop {
        /// From SIGTERM to SIGKILL.
        grace_ms: u64,
    },
    /// End it at once.
    Kill,
    /// What does it use?
    Resources,
    /// The end is known and recorded: the keeper may go.
    Acknowledge,
}

/// An answer, or news with the number 0.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// That of the request; 0 for what was not asked.
    pub(crate) id: u64,
    /// The answer.
    pub(crate) reply: Reply,
}

/// What a keeper answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// To a hello.
    Hello {
        /// The keeper's protocol.
        protocol: u32,
        /// The newest term it has seen; 0 from a keeper of a release that did not tell.
        #[serde(default)]
        epoch: u64,
    },
    /// The instance runs.
    Running {
        /// Its main process.
        pid: u32,
    },
    /// The instance has ended: to a status, and unasked to everyone when it happens.
    Exited {
        /// How.
        exit: Exit,
    },
    /// To a stop, kill or acknowledgement.
    Done,
    /// To a question for resources.
    Resources {
        /// Resident bytes.
        memory_bytes: u64,
        /// CPU time in microseconds.
        cpu_us: u64,
        /// Processes.
        processes: u32,
        /// Which of its limits it is not held to; unknown to older keepers.
        #[serde(default)]
        not_enforced: NotEnforced,
    },
    /// The order is of an older term.
    Stale,
    /// It cannot be done, or is not known.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What a keeper writes to its standard output, once, as one line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Announcement {
    /// The main process runs.
    Started {
        /// It.
        pid: u32,
    },
    /// It could not be run.
    NotRunnable {
        /// Why, for people.
        reason: String,
    },
    /// Another keeper has this instance, or had it to its end.
    Already,
    /// The keeper itself failed.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A message as a frame.
pub(crate) fn frame(message: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_vec(message).expect("BUG: a message of plain fields is JSON");
    let length = u32::try_from(body.len()).expect("BUG: a message is small");
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

/// Takes one whole frame's body out of a buffer; none when it is not whole yet.
pub(crate) fn take_frame(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, String> {
    let Some(head) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(format!("a frame of {length} bytes"));
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let body = buffer[4..4 + length].to_vec();
    buffer.drain(..4 + length);
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_pieces_is_taken_when_it_is_whole() {
        let whole = frame(&Ask { id: 7, request: Request::Stop { grace_ms: 5 } });
        let mut buffer = whole[..6].to_vec();
        assert_eq!(take_frame(&mut buffer).unwrap(), None);
        buffer.extend(&whole[6..]);
        buffer.extend(&whole);
        let body = take_frame(&mut buffer).unwrap().unwrap();
        assert_eq!(serde_json::from_slice::<Ask>(&body).unwrap().request, Request::Stop { grace_ms: 5 });
        assert!(take_frame(&mut buffer).unwrap().is_some());
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_frame_beyond_the_bound_is_refused_before_it_is_read() {
        assert!(take_frame(&mut vec![0xff; 8]).is_err());
    }

    #[test]
    fn fields_of_a_later_protocol_are_ignored() {
        let text = r#"{"id":1,"request":{"hello":{"protocol":9,"epoch":3,"colour":"blue"}},"more":true}"#;
        assert!(serde_json::from_str::<Ask>(text).is_ok());
    }
}
