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
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use crate::error::{Context, Error};
use crate::exit::Exit;
use crate::postbox::Postbox;
use crate::source::room::Room;

/// So many payloads at most are delayed before workers wait for them instead of taking fresh ones, so that memory stays bounded.
const DELAYED: usize = 10_000;

/// Those who wait for a delayed payload look up at least so often whether the run has stopped.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Workers, and the limit of the memory for what they read.
#[derive(Debug)]
pub struct Workers {
    threads: ThreadPool,
    room: Room,
}

impl Workers {
    /// The limit of the memory for what they read.
    pub fn room(&self) -> &Room {
        &self.room
    }
}

impl Deref for Workers {
    type Target = ThreadPool;

    fn deref(&self) -> &ThreadPool {
        &self.threads
    }
}

/// Starts a pool of `count` workers, which hold at most `memory` bytes of payloads.
pub fn workers(count: usize, memory: u64) -> Result<Workers, Error> {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(count).build();
    let threads = threads.or_stop(Exit::GivenUp, || format!("cannot start {count} workers"))?;
    Ok(Workers { threads, room: Room::new(memory) })
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
    pool: &Workers,
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
    pool: &Workers,
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
    let is_full = &|| pool.room.is_full();
    let postbox = &Postbox::new(workers, is_urgent, learn);
    pool.in_place_scope(|scope| {
        for _ in 0..workers {
            scope.spawn(move |_| {
                let work = || {
                    let mut done = Done::Nothing;
                    loop {
                        match queue.next(std::mem::replace(&mut done, Done::Nothing), is_full, stopped) {
                            Task::Send(payload) => {
                                done = Done::Sent;
                                if let Some((after, payload)) = send(payload, &|news| postbox.hand_in(news)) {
                                    queue.delay(Instant::now() + after, payload);
                                }
                            }
                            Task::Sift => {
                                // A statement of its own, so that the others can read while this block is sifted. Those who read
                                // before may have filled the room.
                                let block = {
                                    let mut blocks = lock(blocks);
                                    match is_full() && !queue.is_alone() {
                                        true => {
                                            done = Done::NotSifted;
                                            continue;
                                        }
                                        false => blocks.next(),
                                    }
                                };
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

/// What a worker has just done, as far as the queue does not know it.
#[derive(PartialEq, Eq)]
enum Done {
    Nothing,
    Sent,
    NotSifted,
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
    /// The number of workers that are sending; they free memory when they are done.
    sending: usize,
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
    /// How many workers are at something.
    fn active(&self) -> usize {
        self.sifting + self.sending
    }

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
            sending: 0,
            exhausted: false,
            given_up: false,
        };
        Queue { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// What a worker is to do next; waits while others may yet find something for it. Where memory `is_full`, nothing is read while somebody
    /// may give room back.
    fn next(&self, done: Done, is_full: &impl Fn() -> bool, stopped: &impl Fn() -> bool) -> Task<D::Item> {
        let mut state = lock(&self.state);
        state.sending -= usize::from(done == Done::Sent);
        state.sifting -= usize::from(done == Done::NotSifted);
        loop {
            if state.given_up {
                return Task::Done;
            }
            let left = match state.delayed(stopped) {
                Some(Ok(payload)) => {
                    state.sending += 1;
                    return Task::Send(payload);
                }
                Some(Err(left)) => Some(left),
                None => None,
            };
            if state.delayed.len() < DELAYED {
                if let Some(payload) = state.fresh() {
                    state.sending += 1;
                    return Task::Send(payload);
                }
                if !state.exhausted && (state.active() == 0 || !is_full()) {
                    state.sifting += 1;
                    return Task::Sift;
                }
            }
            match left {
                None if state.sifting == 0 && state.exhausted => return Task::Done,
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

    /// Whether nobody but the one who asks, who is about to read, is at anything, and nothing is there to be sent.
    fn is_alone(&self) -> bool {
        let state = lock(&self.state);
        state.active() == 1 && state.due.is_empty()
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
mod tests;
