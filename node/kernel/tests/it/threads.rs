use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use shoal_kernel::Pool;

#[test]
fn every_element_is_in_one_chunk() {
    let pool = Pool::new(3);
    for (len, size) in [(0, 1), (1, 1), (100, 7), (100, 1000), (1000, 1), (5, 0)] {
        let counts: Vec<_> = (0..len).map(|_| AtomicUsize::new(0)).collect();
        pool.chunks(len, size, |range| {
            for count in &counts[range] {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{len} {size}");
    }
}

#[test]
fn workers_come_to_a_job_that_lasts() {
    let pool = Pool::new(3);
    for _ in 0..5 {
        // Each thread waits for the other two, so the job ends only if all three run it.
        let barrier = std::sync::Barrier::new(3);
        pool.run(3, |_| {
            barrier.wait();
        });
    }
}

#[test]
fn workers_that_have_gone_to_sleep_wake_up() {
    let pool = Pool::new(3);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(20));
        let count = AtomicUsize::new(0);
        pool.run(30, |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 30);
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
    let pool = Pool::new(3);
    for index in 0..20 {
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.run(20, |id| assert_ne!(id, index, "on purpose"));
        }));
        assert!(result.is_err());
        let count = AtomicUsize::new(0);
        pool.run(30, |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 30);
    }
}

#[test]
fn a_job_may_start_a_job_and_callers_take_turns() {
    let pool = Pool::new(2);
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..100 {
                    pool.run(2, |_| {
                        pool.run(2, |_| {
                            count.fetch_add(1, Ordering::Relaxed);
                        });
                    });
                }
            });
        }
    });
    assert_eq!(count.into_inner(), 3 * 100 * 2 * 2);
}
