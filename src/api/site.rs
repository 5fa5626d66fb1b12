//! Whether the API is still there where others answer in its place: a firewall that blocks one payload, or a host that is gone.
//!
//! One such answer is about the request that got it. Many that follow one another are about the host, unless a question of ours gets an
//! answer of the API: then it was one after the other that was blocked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many answers of others, with none of the API between them, raise the question whether it is there.
pub const ROW: u32 = 16;

/// What a question of ours got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The API gave records.
    Serves,
    /// The API answered, if only to say that it gives none.
    Answers,
    /// Not the API; what it was instead.
    Gone(String),
}

/// How many answers of others followed one another. Workers share it.
#[derive(Debug, Default)]
pub struct Site {
    row: AtomicU32,
    /// Who is there instead of the API, once that is known: it ends the run. Locked by the one who asks, so that the others hear its result
    /// before they go on.
    instead: Mutex<Option<String>>,
}

impl Site {
    /// The API has answered.
    pub fn is_there(&self) {
        if self.row.load(Ordering::Relaxed) != 0 {
            self.row.store(0, Ordering::Relaxed);
        }
    }

    /// Somebody else has answered. If that was one too many, `probe` asks; the result tells who is there instead of the API.
    pub fn is_foreign(&self, probe: impl FnOnce() -> Probed) -> Result<(), String> {
        self.row.fetch_add(1, Ordering::Relaxed);
        self.ask(ROW, probe)
    }

    /// Asks also after fewer such answers in a row, if there is one: nothing more is sent that would tell.
    pub fn judge(&self, probe: impl FnOnce() -> Probed) -> Result<(), String> {
        self.ask(1, probe)
    }

    fn ask(&self, least: u32, probe: impl FnOnce() -> Probed) -> Result<(), String> {
        let mut instead = lock(&self.instead);
        if let Some(what) = &*instead {
            return Err(what.clone());
        }
        // Whoever asked before may have found the API.
        if self.row.load(Ordering::Relaxed) < least {
            return Ok(());
        }
        match probe() {
            Probed::Serves | Probed::Answers => {
                self.row.store(0, Ordering::Relaxed);
                Ok(())
            }
            Probed::Gone(what) => {
                *instead = Some(what.clone());
                Err(what)
            }
        }
    }
}

fn lock(mutex: &Mutex<Option<String>>) -> MutexGuard<'_, Option<String>> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> Probed {
        panic!("nobody should ask")
    }

    #[test]
    fn sixteen_answers_of_others_in_a_row_and_a_question_in_vain_show_that_the_api_is_gone() {
        let site = Site::default();
        (1..ROW).for_each(|_| assert_eq!(site.is_foreign(never), Ok(())));
        assert_eq!(site.is_foreign(|| Probed::Gone("a page".into())), Err("a page".into()));
        assert_eq!(site.is_foreign(never), Err("a page".into()), "the others hear it without asking");
    }

    #[test]
    fn an_answer_of_the_api_between_them_or_to_the_question_shows_that_it_is_there() {
        for there in [Probed::Serves, Probed::Answers] {
            let site = Site::default();
            (1..ROW).for_each(|_| assert_eq!(site.is_foreign(never), Ok(())));
            site.is_there();
            (1..ROW).for_each(|_| assert_eq!(site.is_foreign(never), Ok(())));
            assert_eq!(site.is_foreign(|| there.clone()), Ok(()));
            assert_eq!(site.is_foreign(never), Ok(()), "and so it starts anew");
        }
    }

    #[test]
    fn where_nothing_more_is_sent_one_is_enough_to_ask() {
        let site = Site::default();
        assert_eq!(site.judge(never), Ok(()));
        assert_eq!(site.is_foreign(never), Ok(()));
        assert_eq!(site.judge(|| Probed::Answers), Ok(()));
        assert_eq!(site.judge(never), Ok(()));
        assert_eq!(site.is_foreign(never), Ok(()));
        assert_eq!(site.judge(|| Probed::Gone("a page".into())), Err("a page".into()));
    }
}
