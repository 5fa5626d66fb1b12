//! How news gets from the workers into the books.
//!
//! Waking another thread for each piece, or for several, costs more than the pieces. So the worker whose piece fills the postbox enters
//! what is inside, one worker at a time; the calling thread only watches, and enters what has waited a moment. When the program is
//! killed, fewer than three pieces for each worker are unwritten: those that are being entered and those inside, each of which are
//! fewer than half a piece for each worker and one more from each that waits for its turn to enter them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The calling thread looks up at least so often, even if nothing becomes known.
const LOOK_UP: Duration = Duration::from_millis(250);
/// What is known waits about so long for more to be entered with it.
const GATHER: Duration = Duration::from_millis(1);

/// Filled by workers; `learn` gets what they hand in.
pub struct Postbox<N, L> {
    inside: Mutex<Inside<N>>,
    /// For the calling thread: the first piece after a pause is there, or nobody is left.
    changed: Condvar,
    learn: Mutex<L>,
    size: usize,
    /// What must be entered before whoever hands it in goes on.
    is_urgent: fn(&N) -> bool,
}

struct Inside<N> {
    news: Vec<N>,
    /// Workers that may yet hand in something.
    workers: usize,
    /// Something was handed in since the calling thread last looked.
    fresh: bool,
    /// The calling thread waits for the first piece.
    idle: bool,
}

impl<N, L: FnMut(Vec<N>)> Postbox<N, L> {
    /// For that many workers. `is_urgent` decides what must be entered before whoever hands it in goes on.
    pub fn new(workers: usize, is_urgent: fn(&N) -> bool, learn: L) -> Postbox<N, L> {
        let size = (workers / 2).max(1);
        let inside = Inside { news: Vec::new(), workers, fresh: false, idle: false };
        Postbox { inside: Mutex::new(inside), changed: Condvar::new(), learn: Mutex::new(learn), size, is_urgent }
    }

    /// Hands in a piece, and has all that is inside entered if that is enough, or if it is urgent.
    pub fn hand_in(&self, piece: N) {
        let is_urgent = (self.is_urgent)(&piece);
        let mut inside = lock(&self.inside);
        inside.news.push(piece);
        inside.fresh = true;
        if std::mem::take(&mut inside.idle) {
            self.changed.notify_one();
        }
        let full = inside.news.len() >= self.size;
        drop(inside);
        if full || is_urgent {
            self.enter();
        }
    }

    /// Says that a worker hands in nothing more.
    pub fn leave(&self) {
        lock(&self.inside).workers -= 1;
        self.changed.notify_one();
    }

    /// Returns when every worker has left and all that they handed in is entered. Until then `learn` also gets what has waited a moment, and
    /// an empty list now and then.
    pub fn watch(&self) {
        loop {
            let mut inside = lock(&self.inside);
            let idle = !std::mem::take(&mut inside.fresh);
            inside.idle = idle;
            let long = if idle { LOOK_UP } else { GATHER };
            let as_before = |inside: &mut Inside<N>| inside.workers > 0 && inside.idle == idle;
            let (inside, waited) =
                self.changed.wait_timeout_while(inside, long, as_before).unwrap_or_else(PoisonError::into_inner);
            let nobody_left = inside.workers == 0;
            drop(inside);
            if nobody_left || waited.timed_out() {
                self.enter();
            }
            if nobody_left {
                return;
            }
        }
    }

    fn enter(&self) {
        let mut learn = lock(&self.learn);
        let news = std::mem::take(&mut lock(&self.inside).news);
        learn(news);
    }
}

/// A panic elsewhere leaves what is inside whole: it is changed in one step. Where `learn` panicked, the run is known to have failed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn everything_that_is_handed_in_is_entered_in_order_and_then_the_watch_ends() {
        let mut entered = Vec::new();
        let postbox = Postbox::new(1, |_| false, |news: Vec<i32>| entered.extend(news));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..1_000).for_each(|i| postbox.hand_in(i));
                postbox.leave();
            });
            postbox.watch();
        });
        drop(postbox);
        assert_eq!(entered, (0..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn what_does_not_fill_it_is_entered_while_workers_are_still_there() {
        let (told, hear) = std::sync::mpsc::channel();
        let postbox =
            Postbox::new(8, |_| false, |news: Vec<i32>| news.into_iter().for_each(|piece| told.send(piece).unwrap()));
        std::thread::scope(|scope| {
            let postbox = &postbox;
            scope.spawn(move || {
                for i in 0..3 {
                    postbox.hand_in(i);
                    assert_eq!(hear.recv().unwrap(), i);
                }
                (0..8).for_each(|_| postbox.leave());
            });
            postbox.watch();
        });
    }

    #[test]
    fn what_is_unwritten_is_always_fewer_than_three_pieces_for_each_worker() {
        let handed_in = AtomicUsize::new(0);
        let (mut entered, mut most) = (0, 0);
        let postbox = Postbox::new(
            8,
            |_| false,
            |news: Vec<()>| {
                most = most.max(handed_in.load(Ordering::SeqCst) - entered);
                entered += news.len();
            },
        );
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        handed_in.fetch_add(1, Ordering::SeqCst);
                        postbox.hand_in(());
                    }
                    postbox.leave();
                });
            }
            postbox.watch();
        });
        drop(postbox);
        assert!(entered == 8_000 && (1..24).contains(&most), "{entered} {most}");
    }
}
