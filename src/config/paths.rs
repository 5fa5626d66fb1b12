//! Where the configuration, the user's home and the data are.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{self, Readers, System, create};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;

/// Looked for in the working folder, in this order, where no configuration is given.
pub const DEFAULT_FILES: [&str; 2] = ["./lightbeam.yaml", "./lightbeam.yml"];

/// The first of [`DEFAULT_FILES`] that is there.
pub fn locate(is_file: impl Fn(&Path) -> bool) -> Result<PathBuf> {
    DEFAULT_FILES.iter().map(PathBuf::from).find(|path| is_file(path)).ok_or_else(|| {
        let [first, second] = DEFAULT_FILES;
        Error::usage(format!("there is neither {first} nor {second}; name the configuration with -c"))
    })
}

/// An error if a configuration that was only found belongs to another ordinary user: whoever can put one into a shared folder would else
/// choose what is sent where, and which commands are run. One that is named is the user's own choice.
pub fn refuse_of_others(file: PathBuf) -> Result<PathBuf> {
    match disk::owner(&file) {
        Ok(disk::Owner::Other) => Err(Error::usage(format!(
            "{} belongs to another user; if you trust it, name it: -c {}",
            file.display(),
            file.display()
        ))),
        _ => Ok(file),
    }
}

/// The path with a leading `~` replaced by the user's home. `Err` says what is missing.
pub fn expand_home(path: &str, env: &dyn Fn(&str) -> Option<String>) -> std::result::Result<PathBuf, String> {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with(std::path::is_separator) => {
            let variable = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
            let home = env(variable).filter(|home| !home.is_empty());
            let home = home.ok_or_else(|| format!("{variable} is not set, so that '~' is nowhere"))?;
            Ok(Path::new(&home).join(rest.trim_start_matches(std::path::is_separator)))
        }
        _ => Ok(path.into()),
    }
}

/// Makes a folder, if it is not there, and tries to write to it.
pub fn try_to_write(folder: &Path) -> io::Result<()> {
    disk::make_folders(&System, folder)?;
    let trial = create::draft_of(&folder.join("trial"));
    create::draft(&trial, Readers::Owner)?;
    std::fs::remove_file(trial)
}

/// Stops the run unless `data_dir` is a folder that can be read.
pub fn check_data_dir(data_dir: &Path) -> Result<()> {
    let read = std::fs::read_dir(data_dir);
    read.map(drop).or_stop(Exit::Usage, || format!("data_dir {} is no folder that can be read", data_dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        ["HOME", "USERPROFILE"].contains(&name).then(|| "/home/me".into())
    }

    #[test]
    fn the_yaml_file_is_taken_before_the_yml_file() {
        assert_eq!(locate(|_| true).ok(), Some("./lightbeam.yaml".into()));
        assert_eq!(locate(|path| path.ends_with("lightbeam.yml")).ok(), Some("./lightbeam.yml".into()));
    }

    #[test]
    fn both_names_are_told_where_there_is_no_configuration() {
        let message = locate(|_| false).map_or_else(|e| e.to_string(), |path| panic!("{path:?}"));
        assert!(DEFAULT_FILES.iter().all(|name| message.contains(name)) && message.contains("-c"), "{message}");
    }

    #[test]
    fn a_tilde_is_the_home_only_where_it_is_the_first_name() {
        for (path, expected) in [
            ("~", "/home/me"),
            ("~/", "/home/me"),
            ("~/a/b", "/home/me/a/b"),
            ("~other/a", "~other/a"),
            ("a/~", "a/~"),
            ("./", "./"),
        ] {
            assert_eq!(expand_home(path, &env), Ok(expected.into()), "{path}");
        }
    }

    #[test]
    fn a_tilde_without_a_home_is_an_error() {
        for home in [None, Some(String::new())] {
            assert!(expand_home("~/a", &|_| home.clone()).is_err_and(|e| e.contains("is not set")));
        }
    }

    #[test]
    fn a_data_dir_must_be_a_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(check_data_dir(folder).is_ok());
        for wrong in ["no-such-folder", "Cargo.toml"] {
            let message = check_data_dir(&folder.join(wrong)).map_or_else(|e| e.to_string(), |()| String::new());
            assert!(message.contains("data_dir") && message.contains(wrong), "{message}");
        }
    }
}
