//! Quantities → short text for people. Numbers and units are apart, thousands are grouped, nothing is longer than needed.

use crate::recording::Nanos;

/// "7.28 s", "268 ms", "0.34 ms", "12 µs".
pub fn duration(length: Nanos) -> String {
    let ns = length.0 as f64;
    if ns >= 99.95e9 {
        format!("{:.0} s", ns / 1e9)
    } else if ns >= 0.9995e9 {
        format!("{:.2} s", ns / 1e9)
    } else if ns >= 99.5e6 {
        format!("{:.0} ms", ns / 1e6)
    } else if ns >= 9.95e6 {
        format!("{:.1} ms", ns / 1e6)
    } else if ns >= 0.0995e6 {
        format!("{:.2} ms", ns / 1e6)
    } else {
        format!("{:.0} µs", ns / 1e3)
    }
}

/// "1.2 MB", decimal as in the map's byte counts.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value >= 9.95 { format!("{value:.0} {}", UNITS[unit]) } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// "256 MiB", "1.5 GiB".
pub fn memory(count: f64) -> String {
    let mib = count / (1024.0 * 1024.0);
    if mib.abs() >= 10_000.0 {
        format!("{:.1} GiB", mib / 1024.0)
    } else if mib.abs() >= 10.0 {
        format!("{mib:.0} MiB")
    } else {
        format!("{mib:.1} MiB")
    }
}

/// "48 %", "0.6 %".
pub fn percent(value: f64) -> String {
    if value.abs() >= 9.95 { format!("{value:.0} %") } else { format!("{value:.1} %") }
}

/// "5 120".
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit_the_size() {
        let durations =
            [0, 12_400, 340_000, 9_940_000, 9_990_000, 268_000_000, 999_600_000, 7_280_000_000, 200e9 as u64];
        let shown: Vec<String> = durations.iter().map(|&ns| duration(Nanos(ns))).collect();
        assert_eq!(shown, ["0 µs", "12 µs", "0.34 ms", "9.94 ms", "10.0 ms", "268 ms", "1.00 s", "7.28 s", "200 s"]);
        let sizes: Vec<String> = [0, 999, 1000, 1_200_000, 999_999, u64::MAX].iter().map(|&b| bytes(b)).collect();
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "1.2 MB", "1.0 MB", "18447 PB"]);
        assert_eq!([grouped(7), grouped(712), grouped(5120), grouped(1_234_567)], ["7", "712", "5 120", "1 234 567"]);
        assert_eq!([percent(0.58), percent(48.3)], ["0.6 %", "48 %"]);
        assert_eq!([memory(256.0 * 1048576.0), memory(1.5 * 1048576.0)], ["256 MiB", "1.5 MiB"]);
    }
}
