//! The only file with threads: runs one tier.
//!
//! Every worker does whichever of two things is at hand: it sends a payload that is due, or, where none is waiting, takes the next block
//! from the source and sifts out of it what is due. So a block that is wholly skipped costs no hand-over of payloads, a tier of
//! many small files keeps every worker busy, and what waits in memory is bounded by a block or two for each worker. What becomes known
//! goes through a [`Postbox`] into the books, which one thread has at a time.
//!
//! What is to be sent again after a delay waits in a queue of its own and holds no worker: whoever is free takes it when it is due, else
//! something fresh. When the run stops it is due at once, so that nobody waits for what is not sent any more.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use crate::error::{Context, Error};
use crate::exit::Exit;
use crate::postbox::Postbox;

/// So many payloads at most are delayed before workers wait for them instead of taking fresh ones, so that memory stays bounded.
const DELAYED: usize = 10_000;

/// Those who wait for a delayed payload look up at least so often whether the run has stopped.
const LOOK_UP: Duration = Duration::from_millis(50);

/// A pool of so many workers.
pub fn workers(count: usize) -> Result<ThreadPool, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
    pool.or_stop(Exit::GivenUp, || format!("cannot start {count} workers"))
}

/// A worker came upon a bug of ours; what was known until then has been handed over.
#[derive(Debug)]
pub struct Panicked;

/// What is to be sent again, and after which delay.
pub type Delayed<P> = (Duration, P);

/// Runs one tier on the pool's threads and returns when every block is sifted and every payload sent.
///
/// `sift` turns a block into a piece of news, if there is any, and the payloads that are due; `send` sends one and hands in what became of
/// it. `learn` gets the news, several pieces at once under load, on one thread at a time, and an empty list now and then when there is none.
pub fn run<B, D: IntoIterator<Item: Send, IntoIter: Send>, N: Send>(
    pool: &ThreadPool,
    blocks: impl Iterator<Item = B> + Send,
    sift: impl Fn(B) -> (Option<N>, D) + Sync,
    send: impl Fn(D::Item, &dyn Fn(N)) + Sync,
    learn: impl FnMut(Vec<N>) + Send,
) -> Result<(), Panicked> {
    let once = |payload, hand_in: &dyn Fn(N)| {
        send(payload, hand_in);
        None
    };
    run_again(pool, blocks, sift, once, |_| false, learn, || false)
}

/// The same where a payload may have to be sent again: `send` gives back what is to be sent again and after which delay. Once the run has
/// `stopped`, delays are over. News that `is_urgent` is entered before the worker that hands it in goes on: what sifting tells, before anything
/// is sent of what it found due.
pub fn run_again<B, D: IntoIterator<Item: Send, IntoIter: Send>, N: Send>(
    pool: &ThreadPool,
    blocks: impl Iterator<Item = B> + Send,
    sift: impl Fn(B) -> (Option<N>, D) + Sync,
    send: impl Fn(D::Item, &dyn Fn(N)) -> Option<Delayed<D::Item>> + Sync,
    is_urgent: fn(&N) -> bool,
    learn: impl FnMut(Vec<N>) + Send,
    stopped: impl Fn() -> bool + Sync,
) -> Result<(), Panicked> {
    let workers = pool.current_num_threads();
    let blocks = Mutex::new(blocks);
    let queue = Queue::new();
    let (blocks, queue, sift, send, stopped) = (&blocks, &queue, &sift, &send, &stopped);
    let postbox = &Postbox::new(workers, is_urgent, learn);
    pool.in_place_scope(|scope| {
        for _ in 0..workers {
            scope.spawn(move |_| {
                let work = || {
                    loop {
                        match queue.next(stopped) {
                            Task::Send(payload) => {
                                if let Some((after, payload)) = send(payload, &|news| postbox.hand_in(news)) {
                                    queue.delay(Instant::now() + after, payload);
                                }
                            }
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
struct Queue<D: Iterator> {
    state: Mutex<State<D>>,
    changed: Condvar,
}

struct State<D: Iterator> {
    /// What is due, by the blocks in which it was found.
    due: VecDeque<D>,
    /// What is due later, the earliest first.
    delayed: BinaryHeap<Reverse<Later<D::Item>>>,
    /// How many were delayed so far.
    numbers: u64,
    /// So many workers wait for something to do. To wake nobody costs a call of the system too.
    waiting: usize,
    /// So many workers are sifting and may yet add to `due`.
    sifting: usize,
    /// The source has no more blocks.
    exhausted: bool,
    given_up: bool,
}

/// What is to be sent again; ordered by when, and among equals by which came first.
struct Later<P> {
    at: Instant,
    number: u64,
    payload: P,
}

impl<P> Later<P> {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl<P> PartialEq for Later<P> {
    fn eq(&self, other: &Later<P>) -> bool {
        self.key() == other.key()
    }
}

impl<P> Eq for Later<P> {}

impl<P> PartialOrd for Later<P> {
    fn partial_cmp(&self, other: &Later<P>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Later<P> {
    fn cmp(&self, other: &Later<P>) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<D: Iterator> State<D> {
    /// The earliest delayed payload if it is due, else how long it is until then.
    fn delayed(&mut self, stopped: &impl Fn() -> bool) -> Option<Result<D::Item, Duration>> {
        let Reverse(first) = self.delayed.peek()?;
        let left = first.at.saturating_duration_since(Instant::now());
        match left.is_zero() || stopped() {
            true => self.delayed.pop().map(|Reverse(first)| Ok(first.payload)),
            false => Some(Err(left)),
        }
    }

    fn fresh(&mut self) -> Option<D::Item> {
        while let Some(first) = self.due.front_mut() {
            if let Some(payload) = first.next() {
                return Some(payload);
            }
            self.due.pop_front();
        }
        None
    }
}

impl<D: Iterator> Queue<D> {
    fn new() -> Queue<D> {
        let state = State {
            due: VecDeque::new(),
            delayed: BinaryHeap::new(),
            numbers: 0,
            waiting: 0,
            sifting: 0,
            exhausted: false,
            given_up: false,
        };
        Queue { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// What a worker is to do next; waits while others may yet find something for it.
    fn next(&self, stopped: &impl Fn() -> bool) -> Task<D::Item> {
        let mut state = lock(&self.state);
        loop {
            if state.given_up {
                return Task::Done;
            }
            let left = match state.delayed(stopped) {
                Some(Ok(payload)) => return Task::Send(payload),
                Some(Err(left)) => Some(left),
                None => None,
            };
            if state.delayed.len() < DELAYED {
                if let Some(payload) = state.fresh() {
                    return Task::Send(payload);
                }
                if !state.exhausted {
                    state.sifting += 1;
                    return Task::Sift;
                }
            }
            match left {
                None if state.sifting == 0 => return Task::Done,
                None => {
                    state.waiting += 1;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Some(left) => {
                    state.waiting += 1;
                    let waited = self.changed.wait_timeout(state, left.min(LOOK_UP));
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
            state.waiting -= 1;
        }
    }

    /// Has a payload wait. Whoever gives it comes for the next one, so that nobody needs to be woken.
    fn delay(&self, at: Instant, payload: D::Item) {
        let mut state = lock(&self.state);
        let number = state.numbers;
        state.numbers += 1;
        state.delayed.push(Reverse(Later { at, number, payload }));
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
    fn what_waits_to_be_sent_again_holds_no_worker() {
        let sent = Mutex::new(Vec::new());
        // One worker: were it held by the delay of the first payload, none of the others would be sent before it.
        let send = |payload: (u32, bool), _: &dyn Fn(())| {
            lock(&sent).push(payload);
            let again = payload.0 == 0 && !payload.1;
            again.then_some((Duration::from_millis(200), (0, true)))
        };
        let blocks = (0..10).map(|block| (block * 10..block * 10 + 10).map(|n| (n, false)).collect::<Vec<_>>());
        run_again(&pool(1), blocks, |block| (None, block), send, |_| false, |_| {}, || false).unwrap();
        let sent = sent.into_inner().unwrap();
        assert_eq!((sent.len(), sent[0], sent[100]), (101, (0, false), (0, true)));
    }

    #[test]
    fn what_waits_longest_is_sent_first_and_what_waits_when_the_run_stops_is_due_at_once() {
        let (sent, stop) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let hours = |n: u64| Duration::from_secs(3_600 * n);
        let send = |(n, again): (u64, bool), _: &dyn Fn(())| {
            if again {
                lock(&sent).push(n);
                return None;
            }
            stop.fetch_add(1, Ordering::SeqCst);
            Some((hours(n), (n, true)))
        };
        let stopped = || stop.load(Ordering::SeqCst) == 4;
        let block = std::iter::once([3, 1, 4, 2].map(|n| (n, false)));
        run_again(&pool(1), block, |block| (None, block), send, |_| false, |_| {}, stopped).unwrap();
        assert_eq!(sent.into_inner().unwrap(), [1, 2, 3, 4]);
    }

    #[test]
    fn no_more_than_so_many_wait_before_workers_wait_for_them() {
        let (waiting, most, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let send = |(n, again): (usize, bool), _: &dyn Fn(())| {
            if again {
                waiting.fetch_sub(1, Ordering::SeqCst);
                return None;
            }
            let now = waiting.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            stop.fetch_max(usize::from(now >= DELAYED), Ordering::SeqCst);
            Some((Duration::from_secs(3_600), (n, true)))
        };
        let blocks = (0..30).map(|_| (0..1_000).map(|n| (n, false)).collect::<Vec<_>>());
        // As soon as so many wait, all are due.
        run_again(
            &pool(2),
            blocks,
            |block| (None, block),
            send,
            |_| false,
            |_| {},
            || stop.load(Ordering::SeqCst) == 1,
        )
        .unwrap();
        let (waiting, most) = (waiting.into_inner(), most.into_inner());
        assert!(waiting == 0 && (DELAYED..=DELAYED + 2).contains(&most), "{waiting} {most}");
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
