//! How the program ends: every exit code in one place, for `--help`, README and scripts.

/// The exit codes. Pipelines branch on 0, 1 and 99 as the Python lightbeam defined them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was accepted, or skipped because it had been accepted before.
    Ok,
    /// Every payload failed; of a count or fetch, every resource.
    AllFailed,
    /// The command line or the configuration is wrong.
    Usage,
    /// Some payloads or resources failed, or payloads whose last answer was a refusal were skipped.
    SomeFailed,
    /// The API could not be reached, refused the login, or was given up with payloads unsent.
    GivenUp,
    /// Another run holds this target's state.
    Locked,
    /// Every payload was skipped, having been accepted before.
    AllSkipped,
    /// Ctrl-c (SIGINT).
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Exit {
    /// All of them, in the order of their codes.
    pub const ALL: [Exit; 9] = [
        Exit::Ok,
        Exit::AllFailed,
        Exit::Usage,
        Exit::SomeFailed,
        Exit::GivenUp,
        Exit::Locked,
        Exit::AllSkipped,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::AllFailed => 1,
            Exit::Usage => 2,
            Exit::SomeFailed => 3,
            Exit::GivenUp => 4,
            Exit::Locked => 5,
            Exit::AllSkipped => 99,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// What it means, in a line for `--help`.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "all accepted, or skipped as accepted before",
            Exit::AllFailed => "every payload, or resource, failed",
            Exit::Usage => "wrong command line or configuration",
            Exit::SomeFailed => "some failed, or known refusals were skipped",
            Exit::GivenUp => "API unreachable, login refused, or payloads unsent",
            Exit::Locked => "another run is working on this target",
            Exit::AllSkipped => "everything skipped as accepted before",
            Exit::Interrupted => "interrupted (ctrl-c)",
            Exit::Terminated => "terminated (SIGTERM)",
        }
    }
}
