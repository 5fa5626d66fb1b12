//! The only file with threads: runs one tier.
//!
//! Every worker does whichever of two things is at hand: it sends a payload that is due, or, where none is waiting, takes the next block
//! from the source and sifts out of it what is due. So a block that is wholly skipped costs no hand-over of payloads, a tier of
//! many small files keeps every worker busy, and what waits in memory is bounded by a block or two for each worker. What becomes known
//! goes through a [`Postbox`] into the books, which one thread has at a time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rayon::ThreadPool;

use crate::error::{Context, Error};
use crate::exit::Exit;
use crate::postbox::Postbox;

/// A pool of so many workers.
pub fn workers(count: usize) -> Result<ThreadPool, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
    pool.or_stop(Exit::GivenUp, || format!("cannot start {count} workers"))
}

/// A worker came upon a bug of ours; what was known until then has been handed over.
#[derive(Debug)]
pub struct Panicked;

/// Runs one tier on the pool's threads and returns when every block is sifted and every payload sent.
///
/// `sift` turns a block into a piece of news, if there is any, and the payloads that are due; `send` sends one and hands in what became of
/// it. `learn` gets the news, several pieces at once under load, on one thread at a time, and an empty list now and then when there is none.
pub fn run<B, D: IntoIterator<IntoIter: Send>, N: Send>(
    pool: &ThreadPool,
    blocks: impl Iterator<Item = B> + Send,
    sift: impl Fn(B) -> (Option<N>, D) + Sync,
    send: impl Fn(D::Item, &dyn Fn(N)) + Sync,
    learn: impl FnMut(Vec<N>) + Send,
) -> Result<(), Panicked> {
    run_with(pool, blocks, sift, send, |_| false, learn)
}

/// As [`run`]. News that `is_urgent` is entered before the worker that hands it in goes on: what sifting tells, before anything is sent of what
/// it found due.
pub fn run_with<B, D: IntoIterator<IntoIter: Send>, N: Send>(
    pool: &ThreadPool,
    blocks: impl Iterator<Item = B> + Send,
    sift: impl Fn(B) -> (Option<N>, D) + Sync,
    send: impl Fn(D::Item, &dyn Fn(N)) + Sync,
    is_urgent: fn(&N) -> bool,
    learn: impl FnMut(Vec<N>) + Send,
) -> Result<(), Panicked> {
    let workers = pool.current_num_threads();
    let blocks = Mutex::new(blocks);
    let queue = Queue::new();
    let (blocks, queue, sift, send) = (&blocks, &queue, &sift, &send);
    let postbox = &Postbox::new(workers, is_urgent, learn);
    pool.in_place_scope(|scope| {
        for _ in 0..workers {
            scope.spawn(move |_| {
                let work = || {
                    loop {
                        match queue.next() {
                            Task::Send(payload) => send(payload, &|news| postbox.hand_in(news)),
                            Task::Sift => {
                                // A statement of its own, so that the others can read while this block is sifted.
                                let block = lock(blocks).next();
                                match block.map(sift) {
                                    Some((piece, due)) => {
                                        piece.into_iter().for_each(|piece| postbox.hand_in(piece));
                                        queue.sifted(due.into_iter());
                                    }
                                    None => queue.exhausted(),
                                }
                            }
                            Task::Done => return,
                        }
                    }
                };
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    queue.give_up();
                }
                postbox.leave();
            });
        }
        postbox.watch();
    });
    if lock(&queue.state).given_up { Err(Panicked) } else { Ok(()) }
}

enum Task<P> {
    Send(P),
    Sift,
    Done,
}

/// What is at hand for the workers.
struct Queue<D> {
    state: Mutex<State<D>>,
    changed: Condvar,
}

struct State<D> {
    /// What is due, by the blocks in which it was found.
    due: VecDeque<D>,
    /// So many workers wait for something to do. To wake nobody costs a call of the system too.
    waiting: usize,
    /// So many workers are sifting and may yet add to `due`.
    sifting: usize,
    /// The source has no more blocks.
    exhausted: bool,
    given_up: bool,
}

impl<D: Iterator> Queue<D> {
    fn new() -> Queue<D> {
        let state = State { due: VecDeque::new(), waiting: 0, sifting: 0, exhausted: false, given_up: false };
        Queue { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// What a worker is to do next; waits while others may yet find something for it.
    fn next(&self) -> Task<D::Item> {
        let mut state = lock(&self.state);
        loop {
            if state.given_up {
                return Task::Done;
            }
            while let Some(first) = state.due.front_mut() {
                if let Some(payload) = first.next() {
                    return Task::Send(payload);
                }
                state.due.pop_front();
            }
            match (state.exhausted, state.sifting) {
                (true, 0) => return Task::Done,
                (true, _) => {
                    state.waiting += 1;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.waiting -= 1;
                }
                (false, _) => {
                    state.sifting += 1;
                    return Task::Sift;
                }
            }
        }
    }

    fn sifted(&self, due: D) {
        let mut state = lock(&self.state);
        state.sifting -= 1;
        state.due.push_back(due);
        self.tell(state);
    }

    fn exhausted(&self) {
        let mut state = lock(&self.state);
        state.sifting -= 1;
        state.exhausted = true;
        self.tell(state);
    }

    fn give_up(&self) {
        let mut state = lock(&self.state);
        state.given_up = true;
        self.tell(state);
    }

    fn tell(&self, state: MutexGuard<State<D>>) {
        let anybody = state.waiting > 0;
        drop(state);
        if anybody {
            self.changed.notify_all();
        }
    }
}

/// A panic elsewhere leaves these values whole: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn pool(threads: usize) -> ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    #[test]
    fn every_payload_of_every_block_is_sent_once() {
        let mut news = Vec::new();
        run(&pool(8), 0..500, |b| (None, b * 10..b * 10 + 10), |p, hand_in| hand_in(p), |n| news.extend(n)).unwrap();
        let mut sent: Vec<i32> = news;
        sent.sort();
        assert_eq!(sent, (0..5_000).collect::<Vec<_>>());
    }

    #[test]
    fn the_payloads_of_one_block_are_sent_by_all_workers_at_the_same_time() {
        let together = Barrier::new(4);
        let met = AtomicUsize::new(0);
        let send = |_: usize, _: &dyn Fn(())| {
            together.wait();
            met.fetch_add(1, Ordering::Relaxed);
        };
        run(&pool(4), std::iter::once(()), |()| (None, 0..8), send, |_| {}).unwrap();
        assert_eq!(met.into_inner(), 8);
    }

    #[test]
    fn blocks_are_sifted_by_all_workers_at_the_same_time() {
        let together = Barrier::new(4);
        let sift = |_: usize| {
            together.wait();
            (None::<()>, Vec::<()>::new())
        };
        run(&pool(4), 0..8, sift, |(), _| (), |_| {}).unwrap();
    }

    #[test]
    fn blocks_are_read_only_as_fast_as_payloads_are_sent() {
        let read = AtomicUsize::new(0);
        let sent = AtomicUsize::new(0);
        let most_ahead = AtomicUsize::new(0);
        let blocks = (0..1_000).inspect(|_| {
            let ahead = read.fetch_add(10, Ordering::SeqCst) + 10 - sent.load(Ordering::SeqCst);
            most_ahead.fetch_max(ahead, Ordering::SeqCst);
        });
        let send = |_: usize, _: &dyn Fn(())| {
            sent.fetch_add(1, Ordering::SeqCst);
        };
        run(&pool(4), blocks, |_| (None, 0..10), send, |_| {}).unwrap();
        assert_eq!(sent.into_inner(), 10_000);
        assert!(most_ahead.into_inner() <= 2 * 4 * 10 + 4, "at most two blocks for each worker");
    }

    #[test]
    fn a_bug_in_a_worker_is_told_after_the_news_were_handed_over() {
        let mut known = 0;
        let send = |p: i32, hand_in: &dyn Fn(())| {
            assert_ne!(p, 50, "a bug made for this test");
            hand_in(());
        };
        let end = run(&pool(1), 0..10, |b| (None, vec![b * 10]), send, |news| known += news.len());
        assert!(end.is_err() && known == 5, "{known}");
    }
}
