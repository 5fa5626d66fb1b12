//! Ctrl-c and SIGTERM as a flag that the run looks at; a second one ends the program at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Context, Result};
use crate::exit::Exit;

/// How long requests under way may take after a signal. By default Kubernetes kills a program 30 s after the signal
/// (`terminationGracePeriodSeconds`), and the run still has to write its state and its results.
pub const GRACE: Duration = Duration::from_secs(20);

/// Whether somebody asked the program to stop. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
    /// When that was noticed.
    noticed: Arc<OnceLock<Instant>>,
}

impl Interrupt {
    /// A flag that SIGINT and SIGTERM set.
    pub fn on_signals() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let asked_before = Arc::new(AtomicBool::new(false));
        for (signal, exit) in [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)] {
            // The order matters: the exit looks at the flag that the line after it sets.
            signal_hook::flag::register_conditional_shutdown(signal, exit.code().into(), asked_before.clone())
                .and_then(|_| signal_hook::flag::register(signal, asked_before.clone()))
                .and_then(|_| signal_hook::flag::register_usize(signal, interrupt.signal.clone(), signal as usize))
                .or_stop(Exit::GivenUp, || "cannot listen for signals".into())?;
        }
        Ok(interrupt)
    }

    /// How the program is to end, once somebody asked it to.
    pub fn asked(&self) -> Option<Exit> {
        self.exit().inspect(|_| _ = self.noticed.get_or_init(Instant::now))
    }

    /// How long a request under way may still go on, once somebody asked the program to stop.
    pub fn left(&self) -> Option<Duration> {
        self.asked()?;
        Some(GRACE.saturating_sub(self.noticed.get()?.elapsed()))
    }

    fn exit(&self) -> Option<Exit> {
        match self.signal.load(Ordering::Relaxed) as i32 {
            0 => None,
            SIGTERM => Some(Exit::Terminated),
            _ => Some(Exit::Interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_under_way_have_a_grace_from_the_signal_on_and_no_end_before() {
        let interrupt = Interrupt::default();
        assert_eq!((interrupt.asked(), interrupt.left()), (None, None));
        interrupt.signal.store(SIGTERM as usize, Ordering::Relaxed);
        assert_eq!(interrupt.asked(), Some(Exit::Terminated));
        let left = interrupt.left().unwrap();
        assert!(left <= GRACE && left > GRACE / 2, "{left:?}");
        assert!(interrupt.clone().left().unwrap() <= left);
    }
}
