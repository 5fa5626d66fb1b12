//! Whether a folder of state, tokens, cache or rejects can be trusted: who else may write to it could plant records as sent, read tokens, or
//! take the API's place.

use std::io;
use std::path::{Path, PathBuf};

use super::{Owner, System, make_folders, make_private, owner};

/// What is done with a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is used as it is.
    Whole,
    /// Everybody may write to it, and no ordinary user owns it, as with a volume of Kubernetes: a folder in it is used, into which only
    /// this user may look.
    Within(PathBuf),
    /// Another ordinary user owns it, and others may write to it.
    Refused,
}

/// Who besides the owner may write: the group or everybody (`inode(7)`).
const OTHERS_WRITE: u32 = 0o022;
/// Everybody may write.
const EVERYBODY_WRITES: u32 = 0o002;

/// What is done with this folder. One that is not there is made, and then belongs to who runs the program; one that cannot be looked at
/// cannot be written either, and whoever tries that says why.
pub fn trust(folder: &Path) -> Trust {
    let found = owner(folder).and_then(|owner| Ok((owner, mode(folder)?)));
    match found.map(|(owner, mode)| judge(owner, mode)) {
        Ok(Trust::Within(name)) => Trust::Within(folder.join(name)),
        Ok(whole_or_refused) => whole_or_refused,
        Err(_) => Trust::Whole,
    }
}

/// Makes the folder that nobody else may look into. An error if it is a link or belongs to somebody else.
pub fn make_own(folder: &Path) -> io::Result<()> {
    super::create::refuse_link(folder)?;
    make_folders(&System, folder)?;
    super::create::refuse_link(folder)?;
    make_private(folder)
}

fn judge(owner: Owner, mode: u32) -> Trust {
    match owner {
        Owner::Root if mode & EVERYBODY_WRITES != 0 => Trust::Within(own_name().into()),
        Owner::Other if mode & OTHERS_WRITE != 0 => Trust::Refused,
        Owner::Own | Owner::Root | Owner::Other => Trust::Whole,
    }
}

#[cfg(unix)]
fn mode(folder: &Path) -> io::Result<u32> {
    Ok(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(folder)?))
}

#[cfg(not(unix))]
fn mode(_: &Path) -> io::Result<u32> {
    Ok(0)
}

/// A name that is the same in every run of this user, also in another container.
fn own_name() -> String {
    match super::own_uid() {
        Some(uid) => format!("lightbeam-{uid}"),
        None => "lightbeam".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_users_folder_is_refused_where_others_may_write_and_roots_gets_a_folder_of_ones_own() {
        let within = Trust::Within(own_name().into());
        for (owner, mode, expected) in [
            (Owner::Own, 0o777, Trust::Whole),
            (Owner::Own, 0o700, Trust::Whole),
            (Owner::Root, 0o755, Trust::Whole),
            (Owner::Root, 0o775, Trust::Whole),
            (Owner::Root, 0o777, within.clone()),
            (Owner::Root, 0o1777, within),
            (Owner::Other, 0o755, Trust::Whole),
            (Owner::Other, 0o775, Trust::Refused),
            (Owner::Other, 0o1777, Trust::Refused),
        ] {
            assert_eq!(judge(owner, mode), expected, "{owner:?} {mode:o}");
        }
    }
}
