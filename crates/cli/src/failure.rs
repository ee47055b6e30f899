//! How a command ends badly: what it says and its exit code.

use std::{fmt, io};

use sosik_client::{Error, Fault, Refusal};
use sosik_server::operate::OperateError;

/// Why a command ended.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of the output went away: no fault of anybody.
    Closed,
    /// Ctrl-C.
    Interrupted,
    /// What the user said makes no sense; it was not sent.
    Usage(String),
    /// The client's.
    Client(Error),
    /// The client's, of one line of standard input.
    Line {
        /// Which one, from 1.
        number: u64,
        /// What came of it.
        error: Error,
    },
    /// The server that we run.
    Serve(String),
    /// The data directory is not one that can be used as it is.
    Data(String),
    /// What an operator asked for.
    Operate(OperateError),
    /// A log that was read whole is damaged. What was found is printed already.
    Damaged,
    /// Standard input or output.
    Io(io::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Serve(_) | Self::Io(_) => 1,
            Self::Usage(_) | Self::Client(Error::Option(_) | Error::Payload(_)) => 2,
            Self::Client(error) | Self::Line { error, .. } if error.fault() == Fault::Caller => 3,
            Self::Client(_) | Self::Line { .. } => 1,
            Self::Data(_) => 4,
            Self::Operate(OperateError::Running { .. } | OperateError::Whole(_)) => 3,
            Self::Operate(OperateError::Path(_)) => 2,
            Self::Operate(error) if error.is_of_a_directory() => 4,
            Self::Operate(OperateError::Refused(problem)) if problem.status < 500 => 3,
            Self::Operate(_) => 1,
            Self::Damaged => 5,
            Self::Interrupted => 130,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the reader of the output went away"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Usage(text) | Self::Serve(text) | Self::Data(text) => f.write_str(text),
            Self::Client(error) => write!(f, "{error}{}", advice(error)),
            Self::Line { number, error } => {
                write!(f, "line {number} and those after it: {error}{}", advice(error))
            }
            Self::Operate(error) => write!(f, "{error}"),
            Self::Damaged => f.write_str(
                "the log is damaged; restore a backup, or stop the server and run `sosik verify --repair`",
            ),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

/// What to do next, where it is not in the error already.
pub(crate) fn advice(error: &Error) -> &'static str {
    match error {
        Error::Unreachable { .. } => {
            "\nIs the server running? Start one with `sosik serve --demo`, or name another with --server or SOSIK_SERVER."
        }
        Error::Refused(Refusal { code, .. }) if code.is_empty() => {
            "\nIs that a sosik server? Name it with --server or SOSIK_SERVER."
        }
        _ => "",
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        Self::Operate(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Io(error) }
    }
}
