//! Which codes the program ends with: what callers that know other codes ask for.

use super::settings::Settings;

/// Whose ways lightbeam follows where it differs from the Python lightbeam on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// Its own.
    #[default]
    None,
    /// Those of the Python lightbeam 0.1.12.
    Python,
}

impl Compat {
    /// As the configuration spells the one that is not the default.
    pub const PYTHON: &str = "python";
}

/// Exit codes that somebody chose, 0 to 255; `None`: the usual one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitCodes {
    /// Where some payloads were refused.
    pub partial: Option<u8>,
    /// Where every payload was skipped.
    pub skipped: Option<u8>,
    /// Where there was nothing to read.
    pub nothing: Option<u8>,
}

/// Whose ways the settings ask for.
pub fn compat(settings: &Settings) -> Compat {
    let given: Option<String> = settings.get("compat");
    given.filter(|name| name == Compat::PYTHON).map_or(Compat::None, |_| Compat::Python)
}

/// The codes that the settings choose.
pub fn exit_codes(settings: &Settings) -> ExitCodes {
    let code = |name| settings.get::<u32>(name).and_then(|code| u8::try_from(code).ok());
    ExitCodes {
        partial: code("exit_codes.partial"),
        skipped: code("exit_codes.skipped"),
        nothing: code("exit_codes.nothing"),
    }
}
