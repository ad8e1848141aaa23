//! The split of `native.c` in Rust: -O, no frame pointers, inlined code, recursion 40, shared by two callers.

use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
}

const PROCESS_CPU: i32 = 2;
const THREAD_CPU: i32 = 3;

fn cpu(clock: i32) -> Duration {
    let mut time = Timespec { seconds: 0, nanos: 0 };
    // SAFETY: a valid pointer to a timespec of this platform's layout.
    unsafe { clock_gettime(clock, &mut time) };
    Duration::new(time.seconds as u64, time.nanos as u32)
}

const CRC: u32 = line!() + 2;
#[inline(never)]
fn crc_pass(table: &[u32; 256], bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |c, byte| table[((c ^ u32::from(*byte)) & 255) as usize] ^ (c >> 8))
}

#[inline(never)]
fn leaf_work(mut x: u64) -> u64 {
    for _ in 0..3000 {
        x = black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407));
    }
    x
}

#[inline(never)]
fn walk_tree(depth: u64, x: u64) -> u64 {
    if depth == 0 {
        return leaf_work(x);
    }
    black_box(walk_tree(depth - 1, x ^ depth)).wrapping_add(depth)
}

const LEFT: u32 = line!() + 2;
#[inline(never)]
fn tree_left(n: u64) -> u64 {
    (0..n).fold(1, |sum, i| black_box(sum).wrapping_add(walk_tree(40, i)))
}

const RIGHT: u32 = line!() + 2;
#[inline(never)]
fn tree_right(n: u64) -> u64 {
    (0..n).fold(7, |sum, i| black_box(sum) ^ walk_tree(40, i + 3))
}

#[inline(always)]
fn inlined_mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^ (x >> 33)
}

const MIX: u32 = line!() + 2;
#[inline(never)]
fn mix_all(n: u64, x: u64) -> u64 {
    (0..n).fold(x, |x, i| inlined_mix(x.wrapping_add(i)))
}

fn main() {
    let begun = Instant::now();
    let bytes: Vec<u8> = (0..1u32 << 16).map(|i| (i * 7) as u8).collect();
    let mut table = [0u32; 256];
    for (i, slot) in table.iter_mut().enumerate() {
        *slot = (0..8).fold(i as u32, |c, _| if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 });
    }
    let names = [("crc_pass", CRC), ("tree_left", LEFT), ("tree_right", RIGHT), ("mix_all", MIX)];
    let share_ms = [40, 10, 30, 20].map(|percent| Duration::from_millis(percent * 4));
    let mut times = [(Duration::ZERO, Duration::ZERO, 0u64); 4];
    for _ in 0..10 {
        for k in 0..4 {
            let (wall, used) = (Instant::now(), cpu(THREAD_CPU));
            while cpu(THREAD_CPU) < used + share_ms[k] {
                match k {
                    0 => drop(black_box(crc_pass(&table, &bytes))),
                    1 => drop(black_box(tree_left(50))),
                    2 => drop(black_box(tree_right(50))),
                    _ => drop(black_box(mix_all(100_000, black_box(9)))),
                }
                times[k].2 += 1;
            }
            times[k].0 += wall.elapsed();
            times[k].1 += cpu(THREAD_CPU) - used;
        }
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (wall, all_cpu) = (ms(begun.elapsed()), ms(cpu(PROCESS_CPU)));
    let functions: Vec<String> = names
        .iter()
        .zip(times)
        .map(|((name, line), (w, c, calls))| {
            format!(
                "{{\"function\":\"{name}\",\"location\":\"native.rs:{line}\",\"calls\":{calls},\"wall_ms\":{:.2},\"cpu_ms\":{:.2},\
                 \"wall_share_pct\":{:.2},\"cpu_share_pct\":{:.2},\"tol_share_pts\":2.0,\"type\":\"function_call\"}}",
                ms(w),
                ms(c),
                100.0 * ms(w) / wall,
                100.0 * ms(c) / all_cpu
            )
        })
        .collect();
    let truth = format!(
        "{{\"schema\":1,\"workload\":\"w21_native\",\"variant\":\"rust\",\"process\":{{\"wall_ms\":{wall:.2},\"cpu_ms\":{all_cpu:.2}}},\
         \"functions\":[{}],\"bottleneck\":{{\"classification\":\"CPU\",\"accept\":[\"CPU\"],\"top_function\":\"crc_pass\"}},\
         \"suspicions\":[]}}\n",
        functions.join(",")
    );
    let dir = std::env::var("TRUTH_DIR").unwrap_or_else(|_| "truth".into());
    fs::create_dir_all(&dir).unwrap();
    fs::write(format!("{dir}/w21_native.rust.json"), truth).unwrap();
}
