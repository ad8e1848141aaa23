//! mutex: four threads, 2 ms of rest and 4 ms under one mutex for each item.
//! sharing: four threads that count side by side in one cache line; nothing is locked.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use std::time::{Duration, Instant};

const WORKERS: usize = 4;
const ITEMS: usize = 100;

#[inline(never)]
fn fetch() {
    std::thread::sleep(Duration::from_millis(2));
}

#[inline(never)]
fn write(all: &Mutex<u64>) {
    let mut all = all.lock().expect("the lock");
    std::thread::sleep(Duration::from_millis(4));
    *all += 1;
}

#[inline(never)]
fn count(counters: &[AtomicU64; 8], own: usize, until: Instant) {
    while Instant::now() < until {
        for _ in 0..1000 {
            counters[own].fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[inline(never)]
fn work(variant: &str, own: usize, all: &Mutex<u64>, counters: &[AtomicU64; 8]) {
    if variant == "mutex" {
        for _ in 0..ITEMS {
            fetch();
            write(all);
        }
    } else {
        count(counters, own, Instant::now() + Duration::from_millis(1500));
    }
}

fn main() {
    let variant = std::env::args().nth(1).unwrap_or_default();
    let (all, counters) = (Arc::new(Mutex::new(0)), Arc::new(<[AtomicU64; 8]>::default()));
    let start = Instant::now();
    let threads: Vec<_> = (0..WORKERS)
        .map(|own| {
            let (variant, all, counters) = (variant.clone(), all.clone(), counters.clone());
            std::thread::spawn(move || work(&variant, own, &all, &counters))
        })
        .collect();
    for thread in threads {
        thread.join().expect("a worker");
    }
    let seconds = start.elapsed().as_secs_f64();
    let items = if variant == "mutex" { WORKERS * ITEMS } else { 0 };
    let truth = format!(
        "{{\"variant\": \"{variant}\", \"workers\": {WORKERS}, \"items\": {items}, \"seconds\": {seconds}, \"rate\": {}}}",
        items as f64 / seconds
    );
    let dir = std::env::var("TRUTH_DIR").unwrap_or_else(|_| "truth".into());
    std::fs::write(format!("{dir}/w79_workers.{variant}.json"), truth).expect("the truth");
}
