//! The folders that the configuration names and that others may write to.

use std::path::PathBuf;

use super::Config;
use crate::disk::trust::{self, Trust};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;

/// The option by which a user says that such a folder is fine.
const OPTION: &str = "--trust-state-dir";

impl Config {
    /// Refuses a folder of state or rejects that another ordinary user owns and others may write to. In one of the administrator's that
    /// everybody may write to, a folder of one's own takes its place. Returns warnings.
    pub fn keep_to_trusted_folders(&mut self) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for (key, folder) in [("state_dir", &mut self.state_dir), ("rejects_dir", &mut self.rejects_dir)] {
            if let Some(folder) = folder {
                warnings.extend(trusted(key, folder)?);
            }
        }
        Ok(warnings)
    }
}

fn trusted(key: &str, folder: &mut PathBuf) -> Result<Option<String>> {
    let named = folder.display().to_string();
    match trust::trust(folder) {
        Trust::Whole => Ok(None),
        Trust::Refused => Err(Error::usage(format!(
            "{key} {named} belongs to another user, and others may write to it: they could change what lightbeam knows and read its \
             tokens; choose a folder of your own, or say with {OPTION} that you trust it"
        ))),
        Trust::Within(own) => {
            trust::make_own(&own).or_stop(Exit::Usage, || format!("cannot use {} in {key}", own.display()))?;
            *folder = own;
            Ok(Some(format!(
                "everybody may write to {key} {named}, so lightbeam uses {}, into which only this user may look; {OPTION} uses {named} \
                 itself",
                folder.display()
            )))
        }
    }
}
