//! How a tier is shared among workers.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn pool(threads: usize) -> Workers {
    workers(threads, 1 << 20).unwrap()
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
    // As soon as this number waits, all are due.
    run_again(&pool(2), blocks, |block| (None, block), send, |_| false, |_| {}, || stop.load(Ordering::SeqCst) == 1)
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

/// Blocks of one payload each that take up room until they are dropped.
#[test]
fn where_memory_is_full_no_block_is_read_until_a_payload_is_sent_unless_nothing_is_under_way() {
    for size in [10, 30, 50, 500] {
        let pool = workers(8, 100).unwrap();
        let most = Mutex::new((0, 0));
        let read = |_| {
            let held = pool.room().hold(size);
            let mut most = lock(&most);
            most.0 += 1;
            most.1 = most.1.max(most.0);
            held
        };
        let send = |held: crate::source::room::Held, hand_in: &dyn Fn(())| {
            lock(&most).0 -= 1;
            drop(held);
            hand_in(());
        };
        let mut sent = 0;
        run(&pool, (0..2_000).map(read), |held| (None, [held]), send, |news| sent += news.len()).unwrap();
        let (left, peak) = *lock(&most);
        assert_eq!((sent, left), (2_000, 0));
        // What fills the half, and nothing beyond it.
        assert!(peak <= 50_usize.div_ceil(size), "{peak} blocks of {size}");
    }
}
