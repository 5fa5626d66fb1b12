//! Whether the sandbox is to stop, for all who sleep or wait.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::lock::hold;

/// Not yet, at first.
#[derive(Default)]
pub struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Wakes all who sleep or wait.
    pub fn ask(&self) {
        *hold(&self.asked) = true;
        self.changed.notify_all();
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        *hold(&self.asked)
    }

    /// Sleeps for `delay`, or until it is asked.
    pub fn sleep(&self, delay: Duration) {
        // Whether the time is over or a lock is poisoned, the sleep has ended.
        let _ = self.changed.wait_timeout_while(hold(&self.asked), delay, |asked| !*asked);
    }
}
