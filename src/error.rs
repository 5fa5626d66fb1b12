//! What stops a run: one opaque error that says what was being done and to what.
//!
//! A payload that the API refuses is data ([`crate::outcome`]), not an error. An [`Error`] carries the
//! exit code it ends the program with, so that no second place has to guess one.

use std::error::Error as StdError;
use std::fmt;

use crate::exit::Exit;

/// The result of whatever can stop a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that never travels without its path, URL, key or line.
pub struct Error {
    exit: Exit,
    message: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error with the exit code it ends the program with. `message` names what was being done and to what,
    /// and, where there is something to be done about it, what.
    pub fn new(exit: Exit, message: impl Into<String>) -> Error {
        Error { exit, message: message.into(), cause: None }
    }

    /// A wrong command line or configuration (exit 2).
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(Exit::Usage, message)
    }

    /// The API cannot be reached, refuses the login, or answers what no Ed-Fi API answers (exit 4).
    pub fn api(message: impl Into<String>) -> Error {
        Error::new(Exit::GivenUp, message)
    }

    /// A bug of lightbeam's (exit 70).
    pub fn bug(message: impl Into<String>) -> Error {
        Error::new(Exit::Bug, message)
    }

    /// The same error with what brought it about.
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.cause = Some(cause.into());
        self
    }

    /// The exit code that this error ends the program with.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The causes, the nearest first.
    pub fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        std::iter::successors(self.source(), |&e| e.source())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} (exit {})", self.exit.code())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|c| c as &(dyn StdError + 'static))
    }
}

/// Adds what was being done to an error of somebody else.
pub trait Context<T> {
    /// `exit` and `message` as in [`Error::new`]; the error at hand becomes the cause.
    fn or_stop(self, exit: Exit, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Context<T> for Result<T, E> {
    fn or_stop(self, exit: Exit, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::new(exit, message()).because(e))
    }
}
