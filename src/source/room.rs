//! How much of the files may be in memory at the same time, whatever the number of workers and the length of lines.
//!
//! Half of it is for what is read the first time: no further block is read while that is full ([`Room::is_full`]), unless nobody holds
//! anything that could be given back. The other half is for payloads that are read again, each by the worker that sends it and then lets it go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::Piece;

/// The limit of the bytes in memory; clones share it.
#[derive(Clone, Debug)]
pub struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    half: u64,
    first: AtomicU64,
    again: Mutex<u64>,
    changed: Condvar,
}

/// Bytes that are held until this is dropped.
#[derive(Debug, Default)]
pub struct Held {
    _while: Option<Holding>,
}

#[derive(Debug)]
struct Holding {
    room: Room,
    bytes: u64,
    again: bool,
}

/// A text of that length or more is a large one.
const LARGE: usize = 512 * 1024;
/// What is at least as large glibc's allocator always asks of the system and gives back (`mallopt(3)`, `DEFAULT_MMAP_THRESHOLD_MAX`). Of less
/// it keeps what was freed, in an arena for each worker, so that 64 workers with long lines would keep hundreds of MB.
const GIVEN_BACK: usize = 33 * 1024 * 1024;

/// Prepares a buffer for `length` bytes. The part of a large buffer that is never written takes no memory.
pub fn make_large(bytes: &mut Vec<u8>, length: usize) {
    if length >= LARGE && bytes.capacity() < GIVEN_BACK {
        bytes.reserve_exact(GIVEN_BACK.max(length) - bytes.len());
    }
}

impl Room {
    /// A limit of `bytes`.
    pub fn new(bytes: u64) -> Room {
        Room(Arc::new(Shared {
            half: bytes / 2,
            first: AtomicU64::new(0),
            again: Mutex::new(0),
            changed: Condvar::new(),
        }))
    }

    /// Whether nothing more is to be read for now.
    pub fn is_full(&self) -> bool {
        self.0.first.load(Ordering::Relaxed) >= self.0.half
    }

    /// Counts what was read the first time.
    pub fn hold(&self, bytes: usize) -> Held {
        self.0.first.fetch_add(bytes as u64, Ordering::Relaxed);
        Held { _while: Some(Holding { room: self.clone(), bytes: bytes as u64, again: false }) }
    }

    /// Waits until there is room for what is about to be read again, or nobody else holds any. Whoever holds it must not wait for more.
    pub fn hold_again(&self, bytes: usize) -> Held {
        let bytes = bytes as u64;
        let lock = self.0.again.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |held: &mut u64| *held > 0 && *held + bytes > self.0.half;
        *self.0.changed.wait_while(lock, fits).unwrap_or_else(PoisonError::into_inner) += bytes;
        Held { _while: Some(Holding { room: self.clone(), bytes, again: true }) }
    }
}

impl Piece {
    /// The same piece, counted in this room.
    pub fn held_in(mut self, room: &Room) -> Piece {
        if let Piece::Lines(block) = &mut self {
            block.held = room.hold(block.bytes.len());
        }
        self
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let shared = &self.room.0;
        if self.again {
            *shared.again.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
            shared.changed.notify_all();
        } else {
            shared.first.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_large_buffers_are_made_so_large_that_they_are_given_back() {
        let capacity = |length| {
            let mut bytes = vec![1; 10];
            make_large(&mut bytes, length);
            assert_eq!(bytes, [1; 10]);
            bytes.capacity()
        };
        assert_eq!(capacity(LARGE - 1), 10);
        assert!(capacity(LARGE) >= GIVEN_BACK);
        assert!(capacity(2 * GIVEN_BACK) >= 2 * GIVEN_BACK);
    }

    #[test]
    fn what_is_read_first_fills_half_of_it_and_gives_it_back() {
        let room = Room::new(100);
        let (small, large) = (room.hold(49), room.hold(200));
        assert!(room.is_full());
        drop(large);
        assert!(!room.is_full());
        drop((small, Held::default()));
        assert_eq!(room.0.first.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_read_again_waits_for_room_unless_nobody_holds_any() {
        let room = Room::new(100);
        let alone = room.hold_again(500);
        let (entered, heard) = mpsc::channel();
        let other = room.clone();
        let waiting = std::thread::spawn(move || {
            let _held = other.hold_again(50);
            entered.send(()).unwrap();
        });
        assert!(heard.recv_timeout(Duration::from_millis(50)).is_err(), "there is no room");
        drop(alone);
        heard.recv().unwrap();
        waiting.join().unwrap();
        assert_eq!(*room.0.again.lock().unwrap(), 0);
    }
}
