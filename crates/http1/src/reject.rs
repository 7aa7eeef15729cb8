//! Why a message was not accepted.

/// The reason a message breaks HTTP/1.1 or one of our bounds. Nothing of a rejected message is forwarded, and the
/// connection it came on is closed: after a framing error nobody knows where the next message begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reject {
    /// The start line is no request line or status line of RFC 9112.
    #[error("malformed start line")]
    StartLine,
    /// The version is not HTTP/1.0 or HTTP/1.1.
    #[error("unsupported HTTP version")]
    Version,
    /// More than one empty line came before the request line.
    #[error("too many empty lines before the request")]
    LeadingLines,
    /// A line ends in a bare LF, or a CR stands alone (RFC 9112 §2.2).
    #[error("line not ended by CRLF")]
    LineEnding,
    /// A header line is malformed: bad bytes, a space before the colon, or an obsolete line fold.
    #[error("malformed header line")]
    HeaderLine,
    /// More lines than [`crate::HEADERS_MAX`] or more bytes than [`crate::HEAD_BYTES_MAX`].
    #[error("head too large")]
    HeadTooLarge,
    /// The request target has forbidden bytes or a form we do not serve.
    #[error("malformed request target")]
    Target,
    /// `CONNECT`: this is no forward proxy.
    #[error("method CONNECT not served")]
    Connect,
    /// An HTTP/1.1 request without `Host` (RFC 9112 §3.2).
    #[error("missing Host")]
    HostMissing,
    /// More than one `Host` (RFC 9112 §3.2).
    #[error("more than one Host")]
    HostDuplicate,
    /// `Host` has bytes no host can have.
    #[error("malformed Host")]
    HostInvalid,
    /// The authority of an absolute-form target and `Host` name different hosts.
    #[error("Host differs from the request target")]
    HostMismatch,
    /// `Content-Length` is no plain decimal number, or is out of range.
    #[error("malformed Content-Length")]
    LengthInvalid,
    /// Several `Content-Length` with different values (RFC 9112 §6.3).
    #[error("differing Content-Length")]
    LengthConflict,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.1).
    #[error("both Content-Length and Transfer-Encoding")]
    LengthWithCoding,
    /// A `Transfer-Encoding` other than exactly `chunked`, or one in an HTTP/1.0 message.
    #[error("unsupported Transfer-Encoding")]
    Coding,
    /// `Content_Length` or `Transfer_Encoding`: an application in the manner of CGI would take it for the real one.
    #[error("framing header spelled with an underscore")]
    FramingAlias,
    /// More options in `Connection` than [`crate::CONNECTION_OPTIONS_MAX`].
    #[error("too many options in Connection")]
    ConnectionOptions,
    /// An `Expect` other than `100-continue`.
    #[error("unsupported Expect")]
    Expectation,
    /// A chunk-size line, a chunk's end or the trailer section is malformed.
    #[error("malformed chunk framing")]
    Chunk,
    /// The trailer section is larger than [`crate::TRAILER_BYTES_MAX`] or has too many lines.
    #[error("trailers too large")]
    TrailersTooLarge,
    /// The peer ended the connection inside a message.
    #[error("message cut short")]
    Truncated,
}

/// Short for a result of the codec.
pub type Rejected<T> = Result<T, Reject>;

impl Reject {
    /// The status code to answer a rejected *request* with. (A rejected response is a 502 of the proxy's.)
    pub fn status(self) -> u16 {
        match self {
            Self::HeadTooLarge | Self::TrailersTooLarge => 431,
            Self::Version => 505,
            Self::Connect => 405,
            Self::Coding => 501,
            Self::Expectation => 417,
            Self::StartLine
            | Self::LeadingLines
            | Self::LineEnding
            | Self::HeaderLine
            | Self::Target
            | Self::HostMissing
            | Self::HostDuplicate
            | Self::HostInvalid
            | Self::HostMismatch
            | Self::LengthInvalid
            | Self::LengthConflict
            | Self::LengthWithCoding
            | Self::FramingAlias
            | Self::ConnectionOptions
            | Self::Chunk
            | Self::Truncated => 400,
        }
    }

    pub(crate) fn of_head(error: httparse::Error) -> Self {
        match error {
            httparse::Error::HeaderName | httparse::Error::HeaderValue => Self::HeaderLine,
            httparse::Error::NewLine => Self::LineEnding,
            httparse::Error::Status | httparse::Error::Token => Self::StartLine,
            httparse::Error::TooManyHeaders => Self::HeadTooLarge,
            httparse::Error::Version => Self::Version,
        }
    }
}
