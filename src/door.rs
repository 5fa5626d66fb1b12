//! Whether it is of use to send a resource at all: the API may refuse it as a whole.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::api::send::Settled;
use crate::outcome::Reason;

/// So many refusals of the resource, with no other answer between them, close its door.
const KNOCKS: u32 = 5;

/// One resource's door; workers share it.
#[derive(Debug, Default)]
pub struct Door {
    refusals: AtomicU32,
    closed: OnceLock<Reason>,
}

impl Door {
    /// Why nothing more is sent, if the door is closed.
    pub fn closed(&self) -> Option<&Reason> {
        self.closed.get()
    }

    /// Takes note of an answer.
    pub fn answered(&self, settled: &Settled) {
        match settled {
            Settled::Refused(refusal) if refusal.is_of_resource() => {
                if self.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= KNOCKS {
                    let message = format!("not sent, for the API refuses this whole resource: {}", refusal.text());
                    let _ = self.closed.set(Reason { status: Some(refusal.status), message });
                }
            }
            Settled::Accepted(_) | Settled::Refused(_) => self.refusals.store(0, Ordering::Relaxed),
            Settled::NoAnswer { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::refusal::Refusal;
    use crate::api::reply::Reply;

    fn refused(status: u16) -> Settled {
        Settled::Refused(Refusal { status, messages: vec!["no".into()], ..Refusal::default() })
    }

    #[test]
    fn five_refusals_of_the_resource_in_a_row_close_its_door() {
        let door = Door::default();
        (0..4).for_each(|_| door.answered(&refused(404)));
        assert!(door.closed().is_none());
        door.answered(&refused(404));
        assert_eq!(door.closed().and_then(|reason| reason.status), Some(404));
    }

    #[test]
    fn any_other_answer_keeps_it_open() {
        let door = Door::default();
        for answer in [Settled::Accepted(Reply::default()), refused(400)] {
            (0..4).for_each(|_| door.answered(&refused(404)));
            door.answered(&answer);
            (0..4).for_each(|_| door.answered(&refused(404)));
            assert!(door.closed().is_none());
            door.answered(&Settled::Accepted(Reply::default()));
        }
    }
}
