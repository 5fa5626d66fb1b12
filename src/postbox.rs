//! How news gets from the workers to the calling thread.
//!
//! Waking the calling thread for each piece costs more than the piece, so it is woken when several are there, or a moment after the first.
//! Workers wait where it does not keep up. So when the program is killed, fewer than three pieces for each worker are unwritten: collected,
//! posted, and on their way.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The calling thread looks up at least so often, even if nothing becomes known.
const LOOK_UP: Duration = Duration::from_millis(250);
/// What is known waits no longer than this for more to be collected with it.
const GATHER: Duration = Duration::from_millis(1);

/// Filled by workers, emptied by the calling thread.
pub struct Postbox<N> {
    inside: Mutex<Inside<N>>,
    /// For the calling thread: there is something to collect, or nobody is left.
    collectable: Condvar,
    /// For workers: there is room.
    room: Condvar,
    size: usize,
}

struct Inside<N> {
    news: Vec<N>,
    /// Workers that may yet hand in something.
    workers: usize,
    /// The calling thread has nothing to do and is to be woken by the first piece.
    idle: bool,
    /// Nobody collects any more.
    closed: bool,
}

impl<N> Postbox<N> {
    /// For so many workers.
    pub fn new(workers: usize) -> Postbox<N> {
        let size = (workers * 3 / 4).max(1);
        let inside = Inside { news: Vec::with_capacity(size), workers, idle: false, closed: false };
        Postbox { inside: Mutex::new(inside), collectable: Condvar::new(), room: Condvar::new(), size }
    }

    /// Hands in a piece; waits for room.
    pub fn hand_in(&self, piece: N) {
        let full = |inside: &mut Inside<N>| inside.news.len() >= self.size && !inside.closed;
        let mut inside = self.room.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        inside.news.push(piece);
        if std::mem::take(&mut inside.idle) || inside.news.len() >= self.size {
            self.collectable.notify_one();
        }
    }

    /// Says that a worker hands in nothing more.
    pub fn leave(&self) {
        self.lock().workers -= 1;
        self.collectable.notify_one();
    }

    /// What was handed in, in that order; an empty list now and then when there is nothing; `None` when every worker has left.
    pub fn collect(&self) -> Option<Vec<N>> {
        let mut inside = self.lock();
        inside.idle = true;
        inside = self.wait(inside, LOOK_UP, 1);
        inside.idle = false;
        if inside.news.is_empty() {
            return (inside.workers > 0).then(Vec::new);
        }
        inside = self.wait(inside, GATHER, self.size);
        let news = std::mem::replace(&mut inside.news, Vec::with_capacity(self.size));
        self.room.notify_all();
        Some(news)
    }

    /// Lets workers wait for room no longer, once nobody collects any more, however that comes about.
    pub fn close_at_end(&self) -> impl Drop + use<'_, N> {
        Closing(self)
    }

    /// Until so many pieces are there, or every worker has left, or that long.
    fn wait<'a>(
        &'a self,
        inside: MutexGuard<'a, Inside<N>>,
        long: Duration,
        pieces: usize,
    ) -> MutexGuard<'a, Inside<N>> {
        let fewer = |inside: &mut Inside<N>| inside.news.len() < pieces && inside.workers > 0;
        self.collectable.wait_timeout_while(inside, long, fewer).unwrap_or_else(PoisonError::into_inner).0
    }

    /// A panic elsewhere leaves what is inside whole: it is changed in one step.
    fn lock(&self) -> MutexGuard<'_, Inside<N>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Closing<'a, N>(&'a Postbox<N>);

impl<N> Drop for Closing<'_, N> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_handed_in_is_collected_in_order_and_then_no_more() {
        let postbox = Postbox::new(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..1_000).for_each(|i| postbox.hand_in(i));
                postbox.leave();
            });
            let mut collected = Vec::new();
            while let Some(news) = postbox.collect() {
                collected.extend(news);
            }
            assert_eq!(collected, (0..1_000).collect::<Vec<_>>());
        });
    }

    #[test]
    fn no_more_is_kept_inside_than_three_quarters_of_a_piece_for_each_worker() {
        let postbox = Postbox::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    (0..100).for_each(|i| postbox.hand_in(i));
                    postbox.leave();
                });
            }
            let mut most = 0;
            while let Some(news) = postbox.collect() {
                most = most.max(news.len());
            }
            assert!((1..=6).contains(&most), "{most}");
        });
    }

    #[test]
    fn workers_do_not_wait_for_a_collector_that_is_gone() {
        let postbox = Postbox::new(1);
        drop(postbox.close_at_end());
        (0..10).for_each(|i| postbox.hand_in(i));
        postbox.leave();
        assert_eq!(postbox.collect().map(|news| news.len()), Some(10));
        assert!(postbox.collect().is_none());
    }
}
