//! Ctrl-c and SIGTERM as a flag that the run looks at; a second one ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Context, Result};
use crate::exit::Exit;

/// Whether somebody asked the program to stop. Clones share the flag.
#[derive(Clone, Default)]
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
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
        match self.signal.load(Ordering::Relaxed) as i32 {
            0 => None,
            SIGTERM => Some(Exit::Terminated),
            _ => Some(Exit::Interrupted),
        }
    }
}
