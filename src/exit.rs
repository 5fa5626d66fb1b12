//! How the program ends: every exit code in one place, for `--help`, README and scripts.

use crate::config::codes::{Compat, ExitCodes};

/// How a run can end. Pipelines branch on 0, 1 and 99 as the Python lightbeam defined them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was accepted, or skipped because it had been accepted before.
    Ok,
    /// Every payload failed; of a count or fetch, every resource.
    AllFailed,
    /// The command line or the configuration is wrong.
    Usage,
    /// There is nothing to read: no data file of a selected resource.
    Nothing,
    /// Some payloads or resources failed, or payloads whose last answer was a refusal were skipped.
    SomeFailed,
    /// The API could not be reached, refused the login, or was given up with payloads unsent.
    GivenUp,
    /// Another run holds this target's state.
    Locked,
    /// lightbeam itself failed. What the API accepted until then is kept.
    Bug,
    /// What was to be written at the end, such as the results file, could not be.
    Unwritten,
    /// Every payload was skipped, having been accepted before.
    AllSkipped,
    /// Ctrl-c (SIGINT).
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Exit {
    /// All of them, in the order of their codes.
    pub const ALL: [Exit; 12] = [
        Exit::Ok,
        Exit::AllFailed,
        Exit::Usage,
        Exit::Nothing,
        Exit::SomeFailed,
        Exit::GivenUp,
        Exit::Locked,
        Exit::Bug,
        Exit::Unwritten,
        Exit::AllSkipped,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    /// How a run ends whose output was written so: what became of the load tells more than what became of the output.
    pub fn and(self, output: Exit) -> Exit {
        match self {
            Exit::Ok | Exit::AllSkipped => {
                if output == Exit::Ok {
                    self
                } else {
                    output
                }
            }
            _ => self,
        }
    }

    /// The number that the shell sees, in a run with these settings.
    pub fn code_in(self, compat: Compat, chosen: &ExitCodes) -> u8 {
        let chosen = match self {
            Exit::SomeFailed => chosen.partial,
            Exit::AllSkipped => chosen.skipped,
            Exit::Nothing => chosen.nothing,
            _ => None,
        };
        chosen.unwrap_or_else(|| match compat {
            Compat::None => self.code(),
            Compat::Python => self.code_in_python(),
        })
    }

    /// The number that the Python lightbeam 0.1.12 ends with.
    fn code_in_python(self) -> u8 {
        match self {
            Exit::Ok | Exit::SomeFailed => 0,
            Exit::AllFailed | Exit::Usage | Exit::GivenUp | Exit::Locked | Exit::Bug | Exit::Unwritten => 1,
            Exit::Nothing => 255,
            Exit::AllSkipped | Exit::Interrupted | Exit::Terminated => self.code(),
        }
    }

    /// The number that the shell sees where no setting says otherwise.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::AllFailed => 1,
            Exit::Usage | Exit::Nothing => 2,
            Exit::SomeFailed => 3,
            Exit::GivenUp => 4,
            Exit::Locked => 5,
            Exit::Bug => 70,
            Exit::Unwritten => 74,
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
            Exit::Nothing => "nothing to read (unless --allow-empty)",
            Exit::SomeFailed => "some failed, or known refusals were skipped",
            Exit::GivenUp => "API unreachable, login refused, or payloads unsent",
            Exit::Locked => "another run is working on this target",
            Exit::Bug => "a bug in lightbeam; please report it",
            Exit::Unwritten => "output could not be written at the end",
            Exit::AllSkipped => "everything skipped as accepted before",
            Exit::Interrupted => "interrupted (ctrl-c)",
            Exit::Terminated => "terminated (SIGTERM)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_the_code_of_the_python_where_that_is_asked_for() {
        let codes = Exit::ALL.map(|exit| exit.code_in(Compat::Python, &ExitCodes::default()));
        let python: [(Exit, u8); 12] = [
            (Exit::Ok, 0),
            (Exit::AllFailed, 1),
            (Exit::Usage, 1),
            (Exit::Nothing, 255),
            (Exit::SomeFailed, 0),
            (Exit::GivenUp, 1),
            (Exit::Locked, 1),
            (Exit::Bug, 1),
            (Exit::Unwritten, 1),
            (Exit::AllSkipped, 99),
            (Exit::Interrupted, 130),
            (Exit::Terminated, 143),
        ];
        assert_eq!(Exit::ALL.into_iter().zip(codes).collect::<Vec<_>>(), python);
    }

    #[test]
    fn a_chosen_code_counts_more_and_unsent_is_never_chosen() {
        let chosen = ExitCodes { partial: Some(0), skipped: Some(0), nothing: Some(99) };
        let code = |exit: Exit| (exit.code_in(Compat::None, &chosen), exit.code_in(Compat::Python, &chosen));
        assert_eq!(code(Exit::SomeFailed), (0, 0));
        assert_eq!(code(Exit::AllSkipped), (0, 0));
        assert_eq!(code(Exit::Nothing), (99, 99));
        assert_eq!(code(Exit::GivenUp), (4, 1));
    }
}
